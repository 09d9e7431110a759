"""The learner's own U-Net, kept in my_unet.py for the notebooks that follow.

The file has a part for each of three exercises; what has not passed its check is the course's.
"""

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
'''
COURSE = "# the course's, until yours passes its check\nfrom unet_helpers."
PARTS = {  # of the file, in its order: the exercise's notebook, and what stands in its place
    "my_conv_block": ("02", f"{COURSE}models import conv_block as my_conv_block"),
    "my_upsampling_block": (
        "03",
        f"{COURSE}exercises.decoder import upsampling_block as my_upsampling_block",
    ),
    "my_unet_model": ("04", f"{COURSE}exercises.whole import unet_model as my_unet_model"),
}


def keep(name, answer, verdict):
    """Keep the functions and imports of a right answer's cell as its part of the file.

    Args:
        name: the part, such as "my_conv_block".
        answer: the learner's function.
        verdict: function (answer) -> (passed, sentence), which judges what comes back from the
            file: there the answer must be right without the notebook's other cells.

    Returns:
        str: a sentence that says so, or why not; empty for a function of the course or the file.
    """
    if str(getattr(answer, "__module__", "")).split(".")[0] in ("unet_helpers", FILE.stem):
        return ""
    try:
        parts = read_parts() | {name: part_of(name, answer)}
        passed, told = verdict(load(parts, name))
        if not passed:
            raise DataError(
                "it does not work without the notebook's other cells. Write what it uses into its "
                f"own cell, as functions or imports, or into the function. By itself: {told}"
            )
        with atomic_write(path()) as file:
            file.write_text("\n\n".join([HEADER, *map(section, parts.items())]), encoding="utf-8")
    except Exception as error:  # whatever is the matter with it, the answer is right
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
            return load(parts, name), None
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


def section(part):
    """Return the lines of a part, (name, source), with the line above it."""
    name, source = part
    return f"# {'-' * 64} {name}, notebook {PARTS[name][0]}\n\n{source}\n"


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


def part_of(name, answer):
    """Return the functions and imports of the cell that defines an answer.

    Raises DataError when the answer is not a function with a `def` of its own in a cell.
    """
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


def load(parts, name):
    """Run the file's parts up to one of them, and return that part's function.

    Each has a namespace of its own, so that helpers of one name do not get mixed up. Raises
    DataError if a part does not run.
    """
    functions = {}
    for each, part in parts.items():
        source, place = f"{HEADER}\n\n{part}\n", f"{FILE}: {each}"
        # With the source at hand, `inspect.getsource` and error messages show the function's lines.
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        space = {"__name__": FILE.stem, **functions}
        try:
            exec(compile(source, place, "exec"), space)
            functions[each] = space[each]
        except (Exception, SystemExit) as error:
            raise DataError(f"{FILE} does not run ({type(error).__name__}: {error}).") from None
        if each == name:
            return functions[name]
