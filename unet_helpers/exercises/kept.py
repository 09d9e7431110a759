"""The learner's own U-Net, kept in my_unet.py for the notebooks that follow."""

import ast
import inspect
import linecache
import re
import sys
from pathlib import Path

from unet_helpers.files import atomic_write
from unet_helpers.labels import DataError

FILE = Path("my_unet.py")
DRIVE = Path("/content/drive/MyDrive")  # on Colab, once Google Drive is mounted
HEADER = '''\
"""My U-Net: what passed its check in the notebooks. A check that passes writes its part anew."""

import keras
import numpy as np
from keras import layers, ops

# the course's, until yours below take their place
from unet_helpers.exercises.decoder import upsampling_block as my_upsampling_block
from unet_helpers.exercises.whole import unet_model as my_unet_model
from unet_helpers.models import conv_block as my_conv_block
'''
# The parts in the file's order, and the notebooks of their exercises
PARTS = {"my_conv_block": "02", "my_upsampling_block": "03", "my_unet_model": "04"}


def keep(name, answer, check):
    """Keep the functions and imports of a right answer's cell as its part of the file.

    check, a function (answer) -> (passed, sentence), judges it as it is in the file. Returns a
    sentence that says so, or why not; empty for a function of the course or the file.
    """
    if str(getattr(answer, "__module__", "")).split(".")[0] in ("unet_helpers", FILE.stem):
        return ""
    try:
        parts = read_parts() | {name: part_of(name, answer)}
        passed, sentence = check(names_in_file(parts, name)[name])
        if not passed:
            told = f"alone it does not pass. {sentence.removeprefix('not yet. ')} Write into its"
            told += " own cell what it uses, as functions or imports, or into the function."
            raise DataError(told)
        sections = [
            f"# {'-' * 64} {each}, notebook {number}\n\n{parts[each]}\n"
            for each, number in PARTS.items()
            if each in parts
        ]
        with atomic_write(path()) as file:
            file.write_text("\n\n".join([HEADER, *sections]), encoding="utf-8")
    except Exception as error:  # whatever is the matter with it, the answer is right
        return f"It is not kept in {FILE}: {error}"
    return f"Kept in {FILE}, for the notebooks that follow.{without_drive()}"


def find(name):
    """Find the learner's function in the file: (function, None), or (None, why there is none)."""
    try:
        parts = read_parts()
        if name in parts:
            return names_in_file(parts, name)[name], None
        why = f"yours is not in {FILE} yet (notebook {PARTS[name]})."
    except DataError as error:
        why = str(error)
    return None, why + without_drive()


def without_drive():
    """Return what to do where the next notebook would not find the file, else an empty string."""
    if "google.colab" not in sys.modules or DRIVE.is_dir():
        return ""
    told = " On Colab every notebook runs on another machine: mount Google Drive and check your"
    return f"{told} function again, or paste it into the next notebook."


def path():
    """Return where the file is: on Google Drive if that is mounted, else beside the notebook."""
    return DRIVE / FILE if DRIVE.is_dir() else FILE


def read_parts():
    """Read the file's parts, {name: source}; raises DataError when `keep` did not write it."""
    if not path().exists():
        return {}
    try:
        text = path().read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    _, *found = re.split(r"^# -+ (my_\w+), notebook \d+$", text, flags=re.MULTILINE)
    if not found or not PARTS.keys() >= set(found[::2]):
        told = f"{FILE} is not as a check wrote it."
        raise DataError(f"{told} Rename it, and check your functions again.")
    return dict(zip(found[::2], map(str.strip, found[1::2]), strict=True))


def part_of(name, answer):
    """Return the functions and imports of the cell that defines an answer, or raise DataError."""
    try:
        lines, _ = inspect.findsource(answer)
        nodes = ast.parse("".join(lines)).body
    except (OSError, TypeError, SyntaxError):
        nodes = []
    nodes = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.Import | ast.ImportFrom)]
    own = getattr(answer, "__name__", None)
    if own not in [getattr(node, "name", None) for node in nodes]:
        raise DataError("only a function that is written with `def` in a cell can be kept.")
    sources = ["".join(lines[node.lineno - 1 : node.end_lineno]) for node in nodes]
    return "\n\n".join([*sources, *([f"{name} = {own}"] if name != own else [])]).strip()


def names_in_file(parts, name):
    """Run the file's parts up to one of them; returns this one's names, or raises DataError.

    Each has a namespace of its own, so that helpers of one name do not get mixed up.
    """
    functions = {}
    for each in filter(parts.get, PARTS):
        source, place = parts[each] + "\n", f"{FILE}: {each}"
        # With the source at hand, `inspect.getsource` and error messages show the function's lines.
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        space = {"__name__": FILE.stem}
        exec(HEADER, space)
        space |= functions
        try:
            exec(compile(source, place, "exec"), space)
            functions[each] = space[each]
        except (Exception, SystemExit) as error:
            raise DataError(f"{FILE} does not run ({type(error).__name__}: {error}).") from None
        if each == name:
            return space
