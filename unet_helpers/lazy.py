"""The public names of a folder, each imported from its module when it is used."""

import importlib


def hand_on(package, **modules):
    """Return the functions `__getattr__` and `__dir__` for a folder's __init__.py (PEP 562).

    modules has the public names of every module in the folder, separated by spaces.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def __getattr__(name):
        if name not in places and name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{places.get(name, name)}")
        return module if name in modules else getattr(module, name)

    return __getattr__, lambda: sorted([*modules, *places])
