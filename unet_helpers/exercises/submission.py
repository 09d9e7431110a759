"""A submitted notebook: the exercises it checks, and the verdict that its student saw.

The verdict is that of a run from top to bottom. Of the statements before a check, only those run
that give a value to a name its answer uses, directly or through other names.
"""

import ast
import builtins
import json
import linecache
import os
import re
import symtable
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib
from IPython.core.inputtransformer2 import TransformerManager

from unet_helpers import exercises
from unet_helpers.exercises.showing import complete_stubs

# What these take as their last argument is Python, to be run in the notebook.
PYTHON_MAGICS = {("run_cell_magic", name) for name in ("capture", "time", "timeit")}
PYTHON_MAGICS.add(("run_line_magic", "time"))
TRAINING = {"fit", "train_on_batch"}
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Statement(NamedTuple):
    """A statement of a notebook."""

    place: str  # its cell, such as "code cell 3"
    node: ast.stmt
    checks: set  # the exercises it checks
    reads: set  # global names it uses, in its functions too
    binds: set  # global names it gives a value
    changes: set  # names of what it may change in place, such as x in x.append(1)


def read_notebook(path):
    """Read a notebook; returns the list of its code cells and the set of its other cells.

    Raises ValueError with a sentence when the file is not a notebook.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        sources = [(cell["cell_type"] == "code", "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a notebook ({type(error).__name__}: {error}).") from None
    return [text for code, text in sources if code], {text for code, text in sources if not code}


def read_statements(codes):
    """List the statements of code cells. A cell that is not Python raises SyntaxError when run."""
    statements = []
    for number, code in enumerate(codes, start=1):
        place = f"code cell {number}"
        try:
            with warnings.catch_warnings(action="ignore"):
                statements += parse(code, place)
        except Exception as error:  # SyntaxError, RecursionError, or what IPython makes of it
            checks = set(re.findall(r"\bexercises\.(\w+)\.check\(", code))
            node = ast.parse(f"raise SyntaxError({str(error)!r})").body[0]
            statements.append(Statement(place, node, checks, set(), set(), set()))
    return statements


def parse(code, place):
    """Parse a cell as IPython does; returns the list of its statements."""
    code = TransformerManager().transform_cell("".join(complete_stubs([code])))
    compile(code, place, "exec")  # finds what the parser lets through, such as a lone return
    # With the source at hand, messages can quote the line that raised.
    name = f"<{place}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    statements = []
    for node in ast.parse(code).body:
        match node:
            case ast.Expr(
                ast.Call(ast.Attribute(attr=run), [ast.Constant(magic), *_, ast.Constant(body)])
            ) if (run, magic) in PYTHON_MAGICS:
                statements += parse(body, f"{place}, %{magic}")
            case _:
                statements.append(describe(place, node))
    return statements


def describe(place, node):
    """Find the exercises and the names in a statement."""
    checks, binds, changes = set(), set(), set()
    for part in ast.walk(node):
        match part:
            case ast.Call(ast.Attribute(ast.Attribute(_, name) | ast.Name(name), "check")):
                if name in exercises.ALL or ast.unparse(part.func).startswith("exercises."):
                    checks.add(name)
            case ast.ImportFrom(names=[ast.alias("*")]):
                binds.add("*")
            case (
                ast.Attribute(ctx=ast.Store() | ast.Del())
                | ast.Subscript(ctx=ast.Store() | ast.Del())
                | ast.Expr(ast.Call())
            ) if not isinstance(node, DEFINITIONS):
                changes.add(re.match(r"\w*", ast.unparse(part))[0])
    reads, bound = global_names(ast.unparse(node))
    return Statement(place, node, checks, reads, binds | bound, changes)


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


def find_checks(statements):
    """Return a dict from each exercise that is checked to the number of its last check."""
    return {name: number for number, item in enumerate(statements) for name in sorted(item.checks)}


def needed(statements, number):
    """List, in order, the statements before a check that give or change what it uses."""
    before = statements[:number]
    fixed = set(dir(builtins))
    for item in before:
        if isinstance(item.node, ast.Import | ast.ImportFrom):
            fixed |= item.binds
    wanted = {"*"} | statements[number].reads
    chosen = set()
    while new := {
        i
        for i, item in enumerate(before)
        if i not in chosen and (item.binds & wanted or item.changes & (wanted - fixed))
    }:
        chosen |= new
        wanted = wanted.union(*(before[i].reads | before[i].binds for i in new))
    return [before[i] for i in sorted(chosen)]


def trains(node):
    """Tell whether a statement trains a network when it is run."""
    called = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    names = {getattr(func, "attr", None) or getattr(func, "id", None) for func in called}
    return bool(names & TRAINING) and not isinstance(node, DEFINITIONS)


def judge(codes, name):
    """Judge the last check of an exercise in a notebook's code cells.

    Returns the verdict ("right", "not yet", "not attempted" or "not judged") and a sentence.
    """
    if name not in exercises.ALL:
        return "not yet", f"There is no exercise {name}."
    exercise, told, slips = exercises.ALL[name], [], []
    statements = read_statements(codes)
    number = find_checks(statements)[name]
    check = statements[number]
    space = {"__name__": "__main__", "display": print}
    # The check runs as it stands, in a loop or with an assert; only its verdict is kept.
    exercise.check = lambda answer: told.append(exercise.verdict(answer)) or told[-1][0]
    try:
        for item in [*needed(statements, number), check]:
            if trains(item.node):
                return "not judged", f"It needs {item.place}, which trains a network."
            try:
                module = ast.Module([item.node], [])
                exec(compile(module, f"<{item.place}>", "exec"), space)
            except BaseException as error:  # exit() too
                if not told:
                    slips.append(f"In {item.place}: {type(error).__name__}: {error}.")
    finally:
        del exercise.check
    if not told and not slips:
        return "not judged", f"Its check in {check.place} is never called."
    if not told:
        return "not yet", f"Its check fails. {' '.join(slips)}"
    passed, sentence = told[-1]
    if passed:
        return "right", sentence
    waiting = sentence.startswith("not attempted yet")
    return "not attempted" if waiting else "not yet", " ".join([sentence, *slips])


def report(writer, nonce, codes, name):
    """Judge an answer, send nonce, verdict and sentence, and end the process that runs this."""
    if hasattr(os, "setsid"):
        os.setsid()  # whatever the answer starts can be ended with it
    sys.stdin = open(os.devnull)  # noqa: SIM115  open until the process ends, like the next
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for number, file in enumerate([sys.stdin, sys.stdout, sys.stderr]):
        os.dup2(file.fileno(), number)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # small examples; CUDA fails after a fork
    matplotlib.use("Agg")  # a figure's window would wait to be closed
    verdict, sentence = judge(codes, name)
    writer.send_bytes(nonce + json.dumps([verdict, sentence[:2000]]).encode())
    os._exit(0)  # what the answer left for the end, such as atexit and threads, does not run
