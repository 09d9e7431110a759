"""The learner's own U-Net, kept in my_unet.py for the notebooks that follow.

The file has a part for each of three exercises; what has not passed its check is the course's.
"""

import ast
import contextlib
import inspect
import linecache
import re
import symtable
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.files import atomic_write
from unet_helpers.labels import DataError

FILE = Path("my_unet.py")
DRIVE = Path("/content/drive/MyDrive")  # on Colab, once Google Drive is mounted
HEADER = '''\
"""My U-Net: what passed its check in the notebooks. A check that passes writes its part anew."""

import keras
import numpy as np
from keras import layers, ops
'''
IMPORTED = {"keras": keras, "np": np, "layers": layers, "ops": ops}
COURSE = "# the course's, until yours passes its check\nfrom unet_helpers."
PARTS = {  # of the file, in its order: the exercise's notebook, and what stands in its place
    "my_conv_block": ("02", f"{COURSE}models import conv_block as my_conv_block"),
    "my_upsampling_block": (
        "03",
        f"{COURSE}exercises.decoder import upsampling_block as my_upsampling_block",
    ),
    "my_unet_model": ("04", f"{COURSE}exercises.whole import unet_model as my_unet_model"),
}


def keep(name, answer):
    """Write the source of a right answer into its part of the file.

    Returns a sentence that says so, or why not; empty for a function of the course or the file.
    """
    if getattr(answer, "__module__", "").split(".")[0] in ("unet_helpers", FILE.stem):
        return ""
    try:
        parts = read_parts() | {name: part_of(name, answer)}
        text = "\n\n".join([HEADER, *(f"{mark(name)}\n\n{part}\n" for name, part in parts.items())])
        refuse_clashes(parts)
        load(text)
        with atomic_write(path()) as file:
            file.write_text(text, encoding="utf-8")
    except DataError as error:
        return f"It is not kept in {FILE}: {error}"
    if on_colab_without_drive():
        return (
            f"Kept in {FILE}, but on Colab the next notebook runs on another machine: mount Google "
            "Drive and check again, so that it finds the file."
        )
    return f"Kept in {FILE}, for the notebooks that follow."


def find(name):
    """Find the learner's function in the file.

    Returns (function, None), or (None, why) with the reason in words when there is none.
    """
    try:
        parts = read_parts()
        if parts[name] != PARTS[name][1]:
            return load(path().read_text(encoding="utf-8"))[name], None
        why = f"yours is not in {FILE} yet (notebook {PARTS[name][0]})."
    except DataError as error:
        why = str(error)
    if on_colab_without_drive():
        why += (
            " On Colab every notebook runs on another machine: mount Google Drive and check your "
            "function again, or paste it into this cell."
        )
    return None, why


def on_colab_without_drive():
    """Tell whether what is written here is lost to the next notebook."""
    return "google.colab" in sys.modules and not DRIVE.is_dir()


def path():
    """Return where the file is: on Google Drive if that is mounted, else beside the notebook."""
    return DRIVE / FILE if DRIVE.is_dir() else FILE


def mark(name):
    """Return the line above a part of the file."""
    return f"# {'-' * 64} {name}, notebook {PARTS[name][0]}"


def read_parts():
    """Read the file's parts, a dict in the order of `PARTS`; without a file all are the course's.

    Raises DataError when the file is not one that `keep` wrote.
    """
    parts = {name: course for name, (_, course) in PARTS.items()}
    if not path().exists():
        return parts
    try:
        text = path().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{FILE} cannot be read ({type(error).__name__}).") from None
    _, *found = re.split(r"^# -+ (my_\w+), notebook \d+$", text, flags=re.MULTILINE)
    if found[::2] != list(parts):
        raise DataError(
            f"{FILE} is not as a check wrote it: it has parts for {', '.join(found[::2]) or 'none'}"
            f" and should for {', '.join(parts)}. Rename it, and check your functions again."
        )
    return dict(zip(found[::2], map(str.strip, found[1::2]), strict=True))


def load(text):
    """Run a text of the file in a namespace of its own and return that; DataError if it fails."""
    name, space = str(FILE), {"__name__": FILE.stem}
    # With the source at hand, `inspect.getsource` and error messages show the function's lines.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        exec(compile(text, name, "exec"), space)
    except (Exception, SystemExit) as error:
        raise DataError(f"{FILE} does not run ({type(error).__name__}: {error}).") from None
    return space


# ---------------------------------------------------------------- what a function needs


def part_of(name, answer):
    """Write a part of the file: the answer, and before it what it uses of the notebook.

    Raises DataError when it uses something that a file cannot hold.
    """
    imports, lines, done = [], [], set(PARTS)

    def add(name, function):
        source = source_of(name, function)
        for used in sorted(global_names(source)[0] - done):
            done.add(used)
            value = function.__globals__.get(used)
            if value is IMPORTED.get(used):  # or a name of Python's own
                continue
            if line := import_line(used, value):
                imports.append(line)
            elif inspect.isfunction(value):
                add(used, value)
            elif is_literal(value):
                lines.append(f"{used} = {value!r}")
            else:
                raise DataError(
                    f"it uses {used}, a {type(value).__name__} of the notebook, which a file "
                    "cannot hold. Make it inside the function."
                )
        lines.append(source)

    add(name, answer)
    return "\n\n\n".join(["\n".join(imports), *lines]).strip()


def source_of(name, function):
    """Return a function's source; raises DataError unless it is a `def` of this name in a cell."""
    node = None
    with contextlib.suppress(OSError, TypeError, ValueError, SyntaxError):
        source = inspect.getsource(function).strip()
        (node,) = ast.parse(source).body
    if not isinstance(node, ast.FunctionDef) or node.name != name or function.__closure__:
        raise DataError(f"it has to be written as `def {name}(...):`, outside other functions.")
    return source


def global_names(source):
    """Return the sets of global names that a source reads, in its functions too, and binds."""
    whole = symtable.symtable(source, "source", "exec")
    reads, binds, tables = set(), set(), [whole]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table is whole or symbol.is_global():
                if symbol.is_referenced():
                    reads.add(symbol.get_name())
                if symbol.is_assigned() or symbol.is_imported():
                    binds.add(symbol.get_name())
    return reads, binds


def import_line(used, value):
    """Return the line that imports a value under the name used, or "" where none does."""
    own = getattr(value, "__name__", None)
    renamed = f" as {used}" if used != own else ""
    if inspect.ismodule(value):
        return f"import {own}{renamed}"
    home = getattr(value, "__module__", None)
    for module in (layers, ops, keras, sys.modules.get(home)):
        if own and home != "__main__" and getattr(module, own, None) is value:
            return f"from {module.__name__} import {own}{renamed}"
    return ""


def is_literal(value):
    """Tell whether a value is written down completely by its repr, as numbers and lists are."""
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


def refuse_clashes(parts):
    """Raise DataError when two parts of the file give different meanings to one name."""
    meanings = {}
    for part in parts.values():
        for node in ast.parse(part).body:
            text = ast.unparse(node)
            for name in global_names(text)[1]:
                if meanings.setdefault(name, text) != text:
                    raise DataError(
                        f"another part of the file has a different {name}. Give yours another name."
                    )
