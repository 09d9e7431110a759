"""The public names of a folder, each imported from its module when it is used."""

import importlib


def hand_on(package, names):
    """Return the functions `__getattr__` and `__dir__` for a folder's __init__.py (PEP 562).

    names is a dict from each public name to the module in the folder that defines it.
    """

    def __getattr__(name):
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{names[name]}"), name)

    return __getattr__, lambda: sorted(names)
