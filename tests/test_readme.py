"""What the README and the pages in docs tell the reader to type is there."""

import importlib.util
import json
import platform
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def load_start():
    spec = importlib.util.spec_from_file_location("start", ROOT / "notebooks" / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_has_the_two_commands_and_ci_finds_the_test_command():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/python notebooks/start.py")
    assert commands[1].endswith("pytest")
    assert "requirements.txt" in commands[0] and "requirements.txt" in commands[1]


def test_readme_is_one_page():
    assert len(README.split()) <= 1200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src="([^":]+)"', text):
        assert (page.parent / target).exists(), target


def test_the_hours_of_the_course_map_add_up_to_those_of_the_first_paragraph():
    rows = re.findall(r"^\| (\*\*)?(\d\d)\S* \|[^|]*\| ([\d.]+) \|", README, re.MULTILINE)
    hours = {number: float(hours) for _, number, hours in rows}
    assert len(hours) == len(list(NOTEBOOKS.glob("*.ipynb")))
    core = sum(float(hours) for bold, _, hours in rows if bold)
    whole = sum(hours.values())
    assert f"about {core:.0f} hours" in README
    assert f"The whole course takes about {whole:.0f}," in README


def test_every_notebook_is_in_the_course_map():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert path.name in README


def test_scores_in_the_readme_are_those_of_the_results_page():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    table = re.search(r"## Results\n(.*?)\n## ", README, re.DOTALL).group(1)
    scores = re.findall(r"0\.\d+", table)
    assert len(scores) > 15
    for score in scores:
        assert score in results, score


def test_start_copies_what_is_missing_and_keeps_answers(tmp_path):
    copies = tmp_path / "my_notebooks"
    first = load_start().copy_notebooks(copies)
    assert first == copies / "00_start_here.ipynb"
    assert len(list(copies.iterdir())) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    course, copy = (json.loads(p.read_text("utf-8")) for p in (NOTEBOOKS / first.name, first))
    assert copy["cells"] == course["cells"]
    # what JupyterLab would write into it on opening, and then ask whether to save
    assert copy["metadata"]["language_info"]["version"] == platform.python_version()
    assert copy["metadata"]["kernelspec"]["display_name"].startswith("Python 3")
    first.write_text("my answers")
    (copies / "16_scaling_up.ipynb").unlink()
    load_start().copy_notebooks(copies)
    assert first.read_text() == "my answers"
    assert (copies / "16_scaling_up.ipynb").exists()


def test_a_cell_that_runs_too_early_says_what_to_run(monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", str(NOTEBOOKS / "startup.py"))
    cells = [nbformat.v4.new_code_cell(source) for source in ("my_block(3)", "1 / 0")]
    NotebookClient(nbformat.v4.new_notebook(cells=cells), allow_errors=True).execute()
    early, wrong = (cell.outputs for cell in cells)
    assert [output.get("ename", output.get("text")) for output in wrong] == ["ZeroDivisionError"]
    assert early[0].ename == "NameError" and "'my_block'" in early[0].evalue
    assert early[1].text.endswith("'Run All Above Selected Cell'.\n")


def test_no_requirement_excludes_the_versions_of_colab():
    """Floors only: an upper bound or a pin could replace a package that Colab has."""
    for file, floors in (("requirements.txt", 6), ("pyproject.toml", 14)):
        bounds = re.findall(r"[\w-]([<>~!=]=|[<>])\d", (ROOT / file).read_text())
        assert len(bounds) >= floors
        assert set(bounds) == {">="}


def test_the_requirements_install_the_package():
    """So that a notebook finds it from any folder; its own floors are in pyproject.toml."""
    assert "-e .[data,onnx,serve]\n" in (ROOT / "requirements.txt").read_text()
