"""Hand on a folder's public names; a module is imported when one of its names is used."""

import importlib


def hand_on(package, names):
    """Make the functions `__getattr__` and `__dir__` of a folder (PEP 562).

    names is a dict from each public name to the module of the folder that defines it.
    """

    def __getattr__(name):
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{names[name]}"), name)

    return __getattr__, lambda: sorted(names)
