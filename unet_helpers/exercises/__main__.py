"""For teachers: run all checks on a folder of submitted notebooks and print a table.

    python -m unet_helpers.exercises FOLDER [--csv TABLE.csv]

Of each notebook only imports, definitions and constants are run, not the trainings, so an answer
must not need what another cell has computed. Every notebook is judged in a process of its own.
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
    space = {"__name__": "submission"}
    calls = {}
    for number, source in enumerate(code_cells(path), start=1):
        place = f"<code cell {number}>"
        # With the source at hand, messages can quote the line that raised.
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue  # a cell of notes, a %magic, or a slip; its answer then counts as missing
        for statement in tree.body:
            if is_definition(statement):
                run(statement, place, space)
        for name, answer in checks(tree):
            calls[name] = answer  # the last one counts
    rows = []
    for name, answer in calls.items():
        exercise = exercises.ALL.get(name)
        if exercise is None:
            rows.append((name, "not yet", f"There is no exercise {name}."))
            continue
        try:
            value = eval(compile(ast.Expression(answer), str(path), "eval"), space)
        except Exception as error:
            found = f"{ast.unparse(answer)} cannot be found ({type(error).__name__}: {error})"
            rows.append((name, "not yet", f"{found}. Does its cell have a slip in it?"))
            continue
        passed, sentence = exercise.verdict(value)
        waiting = "not attempted" if "not attempted yet" in sentence else "not yet"
        rows.append((name, "right" if passed else waiting, sentence))
    return rows


def code_cells(path):
    """List the sources of a notebook's code cells; raises ValueError when it is not a notebook."""
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a notebook ({describe_error(error)}).") from None


def describe_error(error):
    """Return an error's kind and first line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def is_definition(statement):
    """Tell whether a statement only makes names known: import, def, class or a constant."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
        return True
    if isinstance(statement, ast.Assign):
        if isinstance(statement.value, ast.Lambda | ast.Name):
            return True
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            return False
        return True
    return False


def run(statement, place, space):
    """Execute a statement in a name space; what fails is simply not defined there."""
    try:
        exec(compile(ast.Module([statement], []), place, "exec"), space)
    except Exception as error:
        print(f"{place} {ast.unparse(statement)[:60]}: {describe_error(error)}", file=sys.stderr)


def checks(tree):
    """Yield (exercise's name, expression of the answer) of all `exercises.NAME.check(ANSWER)`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "check"
            and isinstance(node.func.value, ast.Attribute)
            and isinstance(node.func.value.value, ast.Name)
            and node.func.value.value.id == "exercises"
            and node.args
        ):
            yield node.func.value.attr, node.args[0]


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
            rows = judge_notebook(folder)
        except ValueError as error:
            raise SystemExit(str(error)) from None
        print("\n" + json.dumps({"rows": rows}))
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
            writer = csv.writer(file)
            writer.writerow(("notebook", "exercise", "verdict", "sentence"))
            writer.writerows(table)


if __name__ == "__main__":
    main()
