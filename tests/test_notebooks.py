"""The stored notebooks keep the course's rules; that they run is nbval's part."""

import ast
import copy
import functools
import importlib
import importlib.util
import itertools
import json
import re
from pathlib import Path

import nbformat
import pytest

from unet_helpers import exercises

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
NOTEBOOKS = [pytest.param(path, id=path.stem) for path in PATHS]


def load_refresh():
    spec = importlib.util.spec_from_file_location("refresh", FOLDER / "refresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def read(path):
    """Read a notebook, once; a test that changes it takes a copy."""
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_every_notebook_leads_to_the_one_after_it():
    """Numbers may be left free, but no two notebooks share one."""
    assert len({path.stem[:2] for path in PATHS}) == len(PATHS) >= 11
    for path, following in itertools.pairwise(PATHS):
        link = re.search(
            r"\*\*Next:\*\* \[(\d\d) · [^\]]+\]\(([^)]+)\)", read(path).cells[-1].source
        )
        assert link.groups() == (following.stem[:2], following.name), path.name


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_was_refreshed_after_its_last_edit(path):
    stored = read(path).metadata.get("refreshed_sources")
    assert stored == load_refresh().fingerprint(read(path)), (
        f"{path.name} was edited and not refreshed: run python notebooks/refresh.py {path.name[:2]}"
    )


def test_an_edit_changes_the_fingerprint():
    notebook = copy.deepcopy(read(PATHS[0]))
    before = load_refresh().fingerprint(notebook)
    notebook.cells[-1].source += " "
    assert load_refresh().fingerprint(notebook) != before


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_stored_values_lie_in_their_spread(path):
    refresh = load_refresh()
    spread = json.loads(refresh.SPREAD.read_text(encoding="utf-8"))[path.stem]
    values = refresh.decided(read(path))
    assert spread.keys() == values.keys(), "run python notebooks/refresh.py"
    for line, printed in values.items():
        for (low, high), *column in zip(spread[line], *printed, strict=True):
            assert low <= min(column) and max(column) <= high, line


def test_a_value_that_leaves_its_spread_is_named(tmp_path, monkeypatch):
    refresh = load_refresh()
    monkeypatch.setattr(refresh, "SPREAD", tmp_path / "spread.json")
    refresh.SPREAD.write_text("{}")

    def run(text, take_in=False):
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text)])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        left = refresh.keep_spread("05", refresh.decided(notebook), take_in)
        return left, json.loads(refresh.SPREAD.read_text())["05"]

    line = "mean IoU ≈, 40 ≈"
    first = {line: [[0.46, 0.46], [1200, 1200]]}
    assert run("mean IoU ≈ 0.46, 40 ≈ 1,200\n≈ 30 ms\nten") == ([], first)
    wider = {line: [[0.46, 0.49], [1200, 1300]]}
    assert run("mean IoU ≈ 0.49, 40 ≈ 1,300") == ([], wider)
    assert run("mean IoU ≈ 0.38, 40 ≈ 1,300") == ([f"{line}: 0.38, so far 0.46 to 0.49"], wider)
    assert run("mean IoU ≈ nan, 40 ≈ 1,300") == ([f"{line}: nan, so far 0.46 to 0.49"], wider)
    taken = run("mean IoU ≈ 0.38, 40 ≈ 1,250", take_in=True)[1]
    assert taken == {line: [[0.38, 0.49], [1200, 1300]]}
    twice = "mean IoU ≈ 0.9, 40 ≈ 1,250\nmean IoU ≈ 0.4, 40 ≈ 1,250"
    assert run(twice)[0] == [f"{line}: 0.9, so far 0.38 to 0.49"]
    assert run(twice, take_in=True)[1] == {line: [[0.38, 0.9], [1200, 1300]]}


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_first_code_cell_is_the_shared_one(path):
    first = code_cells(path)[0]
    assert first.source == load_refresh().first_cell()
    assert first.metadata["jupyter"]["source_hidden"] and first.metadata["cellView"] == "form"


def test_a_learner_sees_nothing_on_stderr_and_may_run_a_cell_twice(monkeypatch):
    """Notebook 00 up to its first prediction, in a kernel as JupyterLab starts it."""
    for name in ("TF_CPP_MIN_LOG_LEVEL", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    sources = [cell.source for cell in code_cells(PATHS[0])[:3]]
    cells = [nbformat.v4.new_code_cell(source) for source in [*sources, sources[-1]]]
    notebook = nbformat.v4.new_notebook(cells=cells)
    load_refresh().execute(notebook, PATHS[0].name)
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert outputs[0].text == "unet_helpers is ready\n"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_all_cells_ran_in_order_without_error_or_stderr(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_few_cells_are_kept_out_of_the_comparison(path):
    cells = code_cells(path)
    kept_out = [
        cell
        for cell in cells
        if "NBVAL" in cell.source
        or any(tag.startswith("nbval") for tag in cell.metadata.get("tags", []))
    ]
    assert len(kept_out) <= 0.15 * len(cells)


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_cells_are_short(path):
    # the first cell is the shared one and does all the finding and installing
    for cell in code_cells(path)[1:]:
        assert len(cell.source.splitlines()) <= 25, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_is_small_and_every_figure_has_a_description(path):
    assert path.stat().st_size < 2_000_000
    for cell in code_cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                assert output.metadata["image/png"]["alt"], cell.source
            if "<img" in data.get("text/html", ""):
                assert ' alt="' in data["text/html"], cell.source


BOOLEANS = re.compile(r"(.*[:=] *)?[\[(]?\s*(True|False)([,\s]+(True|False))*\s*[\])]?")
TRUTH_IS_THE_ANSWER = ()  # printed lines that may stay: (first letters of the notebook, line)


def boolean_lines(cell):
    """List the printed lines of a cell that say True or False and no number."""
    texts = [o.get("text", o.get("data", {}).get("text/plain", "")) for o in cell.outputs]
    return [line for line in "".join(texts).splitlines() if BOOLEANS.fullmatch(line)]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_outputs_say_numbers_instead_of_booleans(path):
    for cell in code_cells(path):
        for line in boolean_lines(cell):
            assert (path.stem[:2], line) in TRUTH_IS_THE_ANSWER, f"{line!r} of\n{cell.source}"


def test_a_boolean_is_found_alone_and_in_lists_and_a_number_is_not():
    alone = ["True", "same: False", "[ True False]", "(True, True)", "a: True  b: True", "x = True"]
    for text in [*alone, "loss 0.3", "same pixels: 0.99", "True positives: 3", "is it True"]:
        output = nbformat.v4.new_output("stream", text=f"first\n{text}\n")
        cell = nbformat.v4.new_code_cell(outputs=[output])
        assert boolean_lines(cell) == ([text] if text in alone else [])


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_opens_and_closes_as_all_do(path):
    cells = read(path).cells
    assert all(word in cells[0].source for word in ("**You will learn**", "**Time**", "**Needs**"))
    end = cells[-1].source
    assert all(part in end for part in ("## Key points", "## Exercises", "**Next:**"))


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_linked_notebooks_exist(path):
    for cell in read(path).cells:
        for target in re.findall(r"\]\(([^)#:]+)\)", cell.source):
            assert (FOLDER / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_writes_nothing_that_the_package_has(path):
    """A function of the same name as a public one of the package is a second copy of it."""
    package = FOLDER.parent / "unet_helpers"
    public = {
        node.name
        for file in package.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    own = {
        node.name
        for cell in code_cells(path)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.FunctionDef)
    }
    assert not own & public


ROOMS = ("datasets", "models", "training", "evaluation", "inference", "plots", "labels", "timing")
MODULES = {room: f"unet_helpers.{room}" for room in ROOMS} | {
    file.stem: f"unet_helpers.{file.parent.name}.{file.stem}"
    for room in ROOMS[:5]
    for file in (FOLDER.parent / "unet_helpers" / room).glob("[a-z]*.py")
}


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_what_the_prose_names_exists(path):
    for cell in read(path).cells:
        if cell.cell_type != "markdown":
            continue
        for module, name in re.findall(r"`(\w+)\.(\w+)[^`\n]*`", cell.source):
            if module in MODULES and name != "csv":  # labels.csv is a file
                assert hasattr(importlib.import_module(MODULES[module]), name), f"{module}.{name}"


def exercise_cells(path):
    return [c for c in read(path).cells if "exercise" in c.metadata.get("tags", [])]


def test_every_exercise_stands_in_one_notebook():
    found = [
        re.search(r"exercises\.(\w+)\.check", cell.source).group(1)
        for path in PATHS
        for cell in exercise_cells(path)
    ]
    assert sorted(found) == sorted(exercises.ALL)


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_exercises_are_stubs_with_a_time_before_them(path):
    cells = read(path).cells
    for before, cell in itertools.pairwise(cells):
        if "exercise" not in cell.metadata.get("tags", []):
            continue
        name, answer = re.search(r"exercises\.(\w+)\.check\((\w+)\)", cell.source).groups()
        exercise = exercises.ALL[name]
        assert cell.source.startswith(f"def {exercise.call}:")
        assert cell.source.endswith(f"return None\n\n\npassed = exercises.{name}.check({answer})")
        assert "not attempted yet" in str(cell.outputs)
        assert f"About {exercise.minutes} minutes" in before.source
        assert f"my_{name}" in before.source


def test_solving_replaces_every_stub():
    solve = load_refresh().solve
    for path in PATHS:
        notebook = copy.deepcopy(read(path))
        solve(notebook)
        for cell in notebook.cells:
            if "exercise" in cell.metadata.get("tags", []):
                assert "return None" not in cell.source
                assert cell.source.endswith("assert passed") and ".reference" in cell.source
