"""For teachers: run all checks on a folder of submitted notebooks and print a table.

    python -m unet_helpers.exercises FOLDER [--csv TABLE.csv]

Every answer is judged in a process of its own, so that none can disturb another.
"""

import argparse
import contextlib
import csv
import json
import multiprocessing
import os
import re
import secrets
import signal
import sys
from pathlib import Path

from unet_helpers.exercises import submission

LIMIT = 120  # seconds for one exercise; the checks of the slowest right answer take a few
COURSE = Path(__file__).resolve().parents[2] / "notebooks"
# On Linux, processes are copies of one that has imported TensorFlow, which takes seconds.
PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    PROCESSES.set_forkserver_preload(["unet_helpers.exercises.submission"])


def judge_in_process(codes, name, limit=LIMIT):
    """Judge an exercise in a notebook's code cells; returns verdict and sentence.

    Only a message that begins with the nonce counts, and only `submission.report` is given it.
    """
    nonce = secrets.token_hex().encode()
    reader, writer = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=submission.report, args=(writer, nonce, codes, name))
    process.start()
    writer.close()
    try:
        process.join(limit)
        code = process.exitcode
    finally:
        process.kill()
        if hasattr(os, "killpg"):  # also what the answer has started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    with reader, contextlib.suppress(EOFError, OSError):  # of a message that was cut or forged
        message = reader.recv_bytes(100_000) if reader.poll() else b""
        if message.startswith(nonce):
            return tuple(json.loads(message.removeprefix(nonce)))
    if code is None:
        return "not yet", f"Stopped after {limit} seconds: does the answer never end?"
    return "not yet", f"The answer ends Python (exit code {code}) instead of returning."


def course_exercises():
    """Dict from the names of the course's own notebooks to their texts and their exercises."""
    found = {}
    for path in sorted(COURSE.glob("[0-9][0-9]_*.ipynb")):
        codes, texts = submission.read_notebook(path)
        found[path.name] = texts, re.findall(r"\bexercises\.(\w+)\.check\(", "\n".join(codes))
    return found


def expected(path, texts, course):
    """List the exercises that a notebook should have, or return None when that is unknown.

    It comes from the course's notebook with which it shares most cells of text; without any, from
    the one whose number its file name begins with.
    """

    def likeness(name):
        return len(course[name][0] & texts), path.name.startswith(name[:2])

    best = max(course, key=likeness, default=None)
    return course[best][1] if best and any(likeness(best)) else None


def judge_notebook(path, course):
    """Yield (exercise, verdict, sentence) for every exercise that a notebook has or should have."""
    try:
        codes, texts = submission.read_notebook(path)
    except ValueError as error:
        yield "(all)", "not judged", str(error)
        return
    found = submission.find_checks(submission.read_statements(codes))
    for name in found:
        yield name, *judge_in_process(codes, name)
    wanted = expected(path, texts, course)
    if wanted is None:
        unknown = f"no notebook in {COURSE} has its texts or the number its name begins with."
        yield "(others)", "not judged", f"Whether exercises are missing is unknown: {unknown}"
    for name in dict.fromkeys(wanted or ()):
        if name not in found:
            yield name, "missing", f"The notebook does not call exercises.{name}.check(...)."


def plain(text):
    """Replace what could steer a terminal, and line ends, by spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def cell(text):
    """Return a text that a spreadsheet takes for a text, not for a formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def judge_folder(folder, paths, file):
    """Judge notebooks; print every row and write it to an open CSV file as soon as it is known."""
    course = course_exercises()
    table = csv.writer(file)
    table.writerow(["notebook", "exercise", "verdict", "sentence"])
    for path in paths:
        place = plain(str(path.relative_to(folder)) if folder.is_dir() else path.name)
        print(place, flush=True)
        verdicts = []
        for row in judge_notebook(path, course):
            exercise, verdict, sentence = map(plain, row)
            told = "" if verdict == "right" else sentence.removeprefix("not yet. ")
            print(f"  {exercise:26}{verdict:15}{told}".rstrip(), flush=True)
            table.writerow(map(cell, [place, exercise, verdict, sentence]))
            file.flush()
            verdicts.append(verdict)
        print(f"  {verdicts.count('right')} of {len(verdicts)} right", flush=True)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m unet_helpers.exercises", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", help="folder of notebooks, searched with its folders; or a file")
    parser.add_argument("--csv", metavar="FILE", help="also write the table to a file")
    arguments = parser.parse_args()
    folder = Path(arguments.folder)
    paths = sorted(folder.rglob("*.ipynb")) if folder.is_dir() else [folder]
    paths = [path for path in paths if path.is_file() and ".ipynb_checkpoints" not in path.parts]
    if not paths:
        raise SystemExit(f"There is no notebook in {folder}; expected files that end in .ipynb.")
    target = arguments.csv or os.devnull
    if target.endswith(".ipynb"):
        raise SystemExit(f"--csv takes the table's file, such as table.csv, and got {target}.")
    try:
        file = open(target, "w", newline="", encoding="utf-8")  # noqa: SIM115  closed below
    except OSError as error:
        raise SystemExit(f"{target} cannot be written: {error.strerror}. Choose another.") from None
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack a student's letters
    try:
        with file:
            judge_folder(folder, paths, file)
    except (OSError, KeyboardInterrupt) as error:
        kept = f" {target} has the rows so far." if arguments.csv else ""
        raise SystemExit(f"Stopped ({str(error) or 'Ctrl-C'}).{kept}") from None


if __name__ == "__main__":
    main()
