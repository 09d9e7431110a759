"""Run the notebooks in order and store their outputs: python notebooks/refresh.py [00 05 ...]

Stamps the shared first cell, executes in a fresh kernel, keeps what strict nbval can compare,
strips what is volatile, and records a fingerprint of the sources, by which a test notices a
notebook that was edited and not refreshed. A notebook is replaced only when all of it ran.
Where a value after the sign ≈ has left the spread that spread.json holds from earlier runs, this
says so and fails; `--widen` runs nothing and takes the stored values in. Times are left out.
`--lax FOLDER` only executes, writes the results to FOLDER and changes nothing here; with
`--solved` the stubs of all exercises are replaced by their solutions, every check must pass, and
four epochs are trained: what training must reach is compared in the strict run.

`--stamp` runs nothing: it renews first cells and "Open in Colab" badges. `--repository ADDRESS`
does so with a new address of the course; without ADDRESS it is that of git's remote "origin".
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
SPREAD = HERE / "spread.json"
TIMEOUT = 1800  # seconds a cell may take
KEPT = ("tags", "jupyter", "cellView")  # of a cell's metadata
# what sanitize.cfg replaces, but no time or rate: those are the machine's
DECIDED = re.compile(r"≈\s*([-+]?(?:[\d.,]*\d(?:e[-+]?\d+)?|nan|inf))(?![\d.]* ?(?:m?s|billion)\b)")


def first_cell():
    """Read the shared first cell."""
    return (HERE / "first_cell.py").read_text(encoding="utf-8").rstrip("\n")


def published():
    """Give owner/name of the course on GitHub and its branch, or None."""
    found = re.search(
        r'^PUBLISHED = "https://github\.com/([^"@]+)@?([^"]*)"', first_cell(), re.MULTILINE
    )
    return (found[1], found[2] or "main") if found else None


def publish(address):
    """Write the course's address into the shared first cell; by default that of git's remote."""
    if not address:
        command = ["git", "-C", str(HERE), "remote", "get-url", "origin"]
        git = subprocess.run(command, capture_output=True, text=True, check=False)
        address = git.stdout.strip()
    form = r"(?:\S+@|\w+://\S*?)?github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?(@[\w./-]+)?"
    found = re.fullmatch(form, address)
    if not found:
        raise SystemExit(
            f"The address is {address!r}; expected one on GitHub, such as "
            "https://github.com/owner/course, or https://github.com/owner/course@branch where the "
            "branch is not main."
        )
    line = f'PUBLISHED = "https://github.com/{found[1]}{found[2] or ""}"'
    source = re.sub(r'^PUBLISHED = ".*?"', line, first_cell(), flags=re.MULTILINE)
    (HERE / "first_cell.py").write_text(source + "\n", encoding="utf-8")


def with_badge(text, name, image):
    """Give a text with the badge that opens a notebook in Colab under its heading, if published."""
    text = re.sub(r"\[!\[Open in Colab\].*\n\n", "", text)
    if not published():
        return text
    repository, branch = published()
    page = f"https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{name}"
    return text.replace("\n\n", f"\n\n[![Open in Colab]({image})]({page})\n\n", 1)


def fingerprint(notebook):
    """Give the SHA-256 of all cells' types, sources and tags."""
    cells = [
        [cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in notebook.cells
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def stamp(notebook, name):
    """Put the shared first cell, collapsed here and on Colab, and the badge into a notebook."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = first_cell()
    first.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    notebook.cells[0].source = with_badge(notebook.cells[0].source, name, "../docs/colab.svg")


def stamp_unrun(path):
    """Stamp a stored notebook and run nothing; one that was edited since its run stays so."""
    notebook = nbformat.read(path, as_version=4)
    current = notebook.metadata["refreshed_sources"] == fingerprint(notebook)
    stamp(notebook, path.name)
    if current:
        notebook.metadata["refreshed_sources"] = fingerprint(notebook)
    nbformat.write(notebook, path)


def solve(notebook):
    """Replace the stub of every exercise by its solution, let its check decide, train shortly."""
    for cell in notebook.cells:
        if cell.source.startswith("# What must hold"):
            cell.source = ""
        if cell.cell_type == "code":
            cell.source = re.sub(
                r"^((EPOCHS|STEPS)\b.* = .*)", r"\1\n\2 = 4", cell.source, flags=re.MULTILINE
            )
        if "exercise" in cell.metadata.get("tags", []):
            name, answer = re.search(r"exercises\.(\w+)\.check\((\w+)\)", cell.source).groups()
            cell.source = (
                f"{answer} = exercises.{name}.reference\n"
                f"passed = exercises.{name}.check({answer})\nassert passed"
            )


def execute(notebook, name):
    """Run all cells in a fresh kernel of this Python, from the notebooks' folder."""
    # the package beside the notebooks, even if that of another checkout is installed
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        store_widget_state=False,
        record_timing=False,
    )
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable  # this environment, whatever "python3" means
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        raise SystemExit(f"{name} stopped:\n{error}") from None


def clean(notebook):
    """Strip what differs from run to run: stderr (printed here), widget models, the machine."""
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT}
        if cell.cell_type != "code":
            continue
        noise = [o for o in cell.outputs if o.get("name") == "stderr"]
        for output in noise:
            print(f"A learner would see this on stderr:\n{output.text}")
        cell.outputs = [o for o in cell.outputs if o not in noise]
        for output in cell.outputs:
            # The model of a widget is not stored, so its view could not be shown.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "refreshed_sources": fingerprint(notebook),
    }


def decided(notebook):
    """Return what training decided: dict from a printed line, values left out, to its values.

    The values are a list for each time that the line is printed.
    """
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    lines = [line for output in outputs for line in output.get("text", "").splitlines()]
    found = {}
    for line in lines:
        if values := DECIDED.findall(line):
            now = [float(value.replace(",", "")) for value in values]
            found.setdefault(DECIDED.sub("≈", line), []).append(now)
    return found


def outside(spread, values):
    """List the lines with a value further outside its spread than the spread is wide.

    A spread of few runs is narrow, so a twentieth and a tenth of the value are always allowed.
    """
    left = []
    for line in values.keys() & spread.keys():
        for (low, high), *column in zip(spread[line], *values[line], strict=True):
            slack = max(high - low, 0.05, 0.1 * abs(high))
            for value in column:
                if not low - slack <= value <= high + slack:
                    left.append(f"{line}: {value:g}, so far {low:g} to {high:g}")
    return left


def widen(spread, values):
    """Take values into a spread: dict from a line to [lowest, highest] of each of its values."""
    for line, printed in values.items():
        before = spread.get(line, [[value, value] for value in printed[0]])
        spread[line] = [
            [min(low, *column), max(high, *column)]
            for (low, high), *column in zip(before, *printed, strict=True)
        ]


def write_spreads(spreads):
    """Write spread.json, a line for each printed line."""
    parts = []
    for name, spread in spreads.items():
        lines = (f"  {json.dumps(k, ensure_ascii=False)}: {v}" for k, v in spread.items())
        parts.append(f' "{name}": {{\n' + ",\n".join(lines) + "\n }")
    SPREAD.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def keep_spread(name, values, take_in):
    """Add a notebook's values to their spread; returns the lines with values outside it.

    Without `take_in` nothing is added as long as there are such lines.
    """
    spreads = json.loads(SPREAD.read_text(encoding="utf-8"))
    spread = spreads.get(name, {})
    left = outside(spread, values)
    if take_in or not left:
        widen(spread, values)
        spreads[name] = {line: spread[line] for line in values}  # lines that are gone go
        write_spreads(spreads)
    return left


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="first letters of notebooks; none is all")
    parser.add_argument("--lax", metavar="FOLDER", help="execute only, write results to FOLDER")
    parser.add_argument("--solved", action="store_true", help="with --lax: exercises solved")
    parser.add_argument("--widen", action="store_true", help="only take stored values in")
    parser.add_argument("--stamp", action="store_true", help="run nothing: first cells and badges")
    parser.add_argument(
        "--repository", metavar="ADDRESS", nargs="?", const="", help="stamp with this address"
    )
    arguments = parser.parse_args()
    if arguments.solved and not arguments.lax:
        parser.error("--solved goes with --lax FOLDER: the course keeps the stubs")
    paths = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    if arguments.repository is not None:
        publish(arguments.repository)
    if arguments.stamp or arguments.repository is not None:
        for path in paths:
            stamp_unrun(path)
        text = with_badge(README.read_text(encoding="utf-8"), paths[0].name, "docs/colab.svg")
        README.write_text(text, encoding="utf-8")
        return
    if arguments.names:
        paths = [path for path in paths if path.name.startswith(tuple(arguments.names))]
    if not paths:
        raise SystemExit(f"No notebook in {HERE} starts with {', '.join(arguments.names)}.")
    moved = {}
    for path in paths:
        start = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        if arguments.widen:
            keep_spread(path.stem, decided(notebook), take_in=True)
            continue
        stamp(notebook, path.name)
        if arguments.solved:
            solve(notebook)
        execute(notebook, path.name)
        target = path
        if arguments.lax:
            target = Path(arguments.lax) / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
        clean(notebook)
        part = target.with_name(f"part-{target.name}")
        nbformat.write(notebook, part)
        part.replace(target)
        print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)
        if not arguments.lax and (left := keep_spread(path.stem, decided(notebook), False)):
            moved[path.name] = left
    if moved:
        raise SystemExit(
            "These values left the spread of earlier runs. Where the text still holds, take them "
            "in with --widen:\n"
            + "\n".join(f"{name}: {line}" for name, lines in moved.items() for line in lines)
        )


if __name__ == "__main__":
    main()
