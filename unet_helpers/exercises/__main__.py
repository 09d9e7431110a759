"""For teachers: run all checks on a folder of submitted notebooks and print a table.

    python -m unet_helpers.exercises FOLDER [--csv TABLE.csv]

Of each notebook only imports, definitions and constants are run, not the training runs, so an
answer must not need what another cell has computed. Every notebook is judged in its own process.
"""

import argparse
import ast
import csv
import json
import linecache
import subprocess
import sys
from pathlib import Path

from unet_helpers import exercises

LIMIT = 300  # seconds for one notebook; the checks of all exercises together take a few


def judge_notebook(path):
    """Judge all answers in a notebook.

    Returns a list of (exercise, verdict, sentence); verdict is "right", "not yet" or "not
    attempted". Raises ValueError with a sentence when the file is not a notebook.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a notebook ({type(error).__name__}: {error}).") from None
    space = {"__name__": "submission"}
    answers = {}
    for number, source in enumerate(sources, start=1):
        place = f"<code cell {number}>"
        # With the source at hand, messages can quote the line that raised.
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue  # a cell of notes, a %magic, or a slip; its answer then counts as missing
        for statement in filter(is_definition, tree.body):
            try:
                exec(compile(ast.Module([statement], []), place, "exec"), space)
            except Exception as error:  # then it is simply not defined
                code = ast.unparse(statement)[:60]
                print(f"{place} {code}: {type(error).__name__}: {error}", file=sys.stderr)
        answers.update(checks(tree))  # the last one counts
    return [(name, *judge_answer(name, answer, space)) for name, answer in answers.items()]


def judge_answer(name, answer, space):
    """Judge the expression of an answer in a notebook's name space; returns verdict, sentence."""
    if name not in exercises.ALL:
        return "not yet", f"There is no exercise {name}."
    try:
        value = eval(compile(ast.Expression(answer), "<answer>", "eval"), space)
    except Exception as error:
        found = f"{ast.unparse(answer)} cannot be found ({type(error).__name__}: {error})"
        return "not yet", f"{found}. Does its cell have a slip in it?"
    passed, sentence = exercises.ALL[name].verdict(value)
    waiting = "not attempted" if "not attempted yet" in sentence else "not yet"
    return "right" if passed else waiting, sentence


def is_definition(statement):
    """Tell whether a statement only makes names known: import, def, class or a constant."""
    if not isinstance(statement, ast.Assign):
        kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
        return isinstance(statement, kinds)
    try:
        ast.literal_eval(statement.value)
    except ValueError:
        return isinstance(statement.value, ast.Lambda | ast.Name)
    return True


def checks(tree):
    """Yield (exercise's name, expression of the answer) of all `exercises.NAME.check(ANSWER)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).split(".")
            if len(called) == 3 and called[0] == "exercises" and called[2] == "check":
                yield called[1], node.args[0]


def judge_in_process(path, limit=LIMIT):
    """Judge a notebook in a process of its own, so that no submission can disturb another."""
    command = [sys.executable, "-m", "unet_helpers.exercises", "--one", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return [("(all)", "not yet", f"Stopped after {limit} seconds: does an answer never end?")]
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"rows"')]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [("(all)", "not yet", f"The notebook could not be judged: {last}")]
    return [tuple(row) for row in json.loads(lines[-1])["rows"]]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m unet_helpers.exercises", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", help="folder of notebooks, searched with its folders; or a file")
    parser.add_argument("--csv", metavar="FILE", help="also write the table to a file")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = Path(arguments.folder)
    if arguments.one:
        try:
            print("\n" + json.dumps({"rows": judge_notebook(folder)}))
        except ValueError as error:
            raise SystemExit(str(error)) from None
        return
    paths = sorted(folder.rglob("*.ipynb")) if folder.is_dir() else [folder]
    paths = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    if not paths or not paths[0].exists():
        raise SystemExit(f"There is not a notebook in {folder}; expected files that end in .ipynb.")
    table = []
    for path in paths:
        name = str(path.relative_to(folder)) if folder.is_dir() else path.name
        rows = judge_in_process(path)
        right = sum(verdict == "right" for _, verdict, _ in rows)
        print(f"{name}: {right} of {len(rows)} right", flush=True)
        for exercise, verdict, sentence in rows:
            told = "" if verdict != "not yet" else f"  {sentence.removeprefix('not yet. ')}"
            print(f"  {exercise:26}{verdict:15}{told}".rstrip(), flush=True)
            table.append((name, exercise, verdict, sentence))
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("notebook", "exercise", "verdict", "sentence"), *table])


if __name__ == "__main__":
    main()
