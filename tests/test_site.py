"""What site/build.py makes of the repository's pages, and what site/check.py finds wrong."""

import base64
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = """# A course

Words.

## For whom

You.

## Course map

| | notebook | hours | aim |
|---|---|---|---|
| **00** | [start](notebooks/00_start.ipynb) | 0.3 | read |
| 07 | [more](notebooks/07_more.ipynb) | 1.0 | write |
"""


def load(name):
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build, check = load("build"), load("check")


def test_the_course_map_is_that_of_the_readme():
    notebooks = build.course_map((ROOT / "README.md").read_text("utf-8"))
    assert [name for name, _ in notebooks] == sorted(p.stem for p in ROOT.glob("notebooks/*.ipynb"))
    core = [name[:2] for name, bold in notebooks if bold]
    assert core == ["00", "01", "02", "03", "04", "05", "06", "10", "15"]


@pytest.mark.parametrize("play", [True, False])
def test_home_has_the_core_path_titles_and_every_page_in_order(play):
    titles = {"00_start": "Start", "07_more": "More"}
    page = build.home(README, titles, ["docs/data"], play)
    assert "**Core path:** [00](notebooks/00_start.ipynb)\n" in page
    assert "| 07 | [More](notebooks/07_more.ipynb) | 1.0 |" in page
    assert page.index("Core path") < page.index("## Course map") < page.index("## For whom")
    assert "notebooks/00_start\nnotebooks/07_more\n```" in page and "docs/data\n```" in page
    assert ("play/index.html" in page) == play


def test_further_titles_go_down_and_code_stays():
    text = "# Part\n\n### Sub\n\n```python\n# a comment\n```\n\n# Part two"
    lowered = "## Part\n\n### Sub\n\n```python\n# a comment\n```\n\n## Part two"
    assert build.lower_titles(text) == lowered


def test_hidden_cells_fold_and_figures_have_their_alt_text(tmp_path):
    image = {"image/png": base64.b64encode(b"pixels").decode(), "text/plain": "<Figure>"}
    output = {"data": image, "metadata": {"image/png": {"alt": "A street [dataE]"}}}
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["exercise"]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# 00 · Title\n", "words"]},
        {"cell_type": "code", "metadata": hidden, "source": "# code", "outputs": [output]},
        {"cell_type": "markdown", "metadata": {}, "source": "# Part"},
    ]
    title, code, part = build.for_the_site({"cells": cells}, tmp_path)["cells"]
    assert "".join(title["source"]) == "# 00 · Title\nwords"
    assert part["source"] == "## Part" and code["source"] == "# code"
    assert code["metadata"]["tags"] == ["hide-input"]
    (figure,) = tmp_path.iterdir()
    assert figure.read_bytes() == b"pixels"
    markdown = rf"![A street \[dataE\]]({figure.name})"
    assert code["outputs"][0]["data"] == {"text/markdown": markdown}


@pytest.mark.parametrize(
    ("published", "page"),
    [(None, ("", "main")), (("o/r", "trunk"), ("https://github.com/o/r", "trunk"))],
)
def test_colab_links_lead_to_the_address_in_the_first_cell(published, page, monkeypatch):
    for name in ("SITE_REPOSITORY", "SITE_BRANCH"):
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.setattr(build.sys, "argv", ["build.py"])
    monkeypatch.setattr(build, "distribution", lambda _: SimpleNamespace(locate_file=str))
    monkeypatch.setattr(build, "add_play", lambda *_: False)
    monkeypatch.setattr(build, "stage", lambda *_: None)
    stubs = {"refresh": {"published": lambda: published}}
    stubs["sphinx.cmd.build"] = {"main": lambda _: "stopped"}
    for name, content in stubs.items():
        monkeypatch.setitem(build.sys.modules, name, SimpleNamespace(**content))
    with pytest.raises(SystemExit, match="stopped"):
        build.main()
    assert (os.environ["SITE_REPOSITORY"], os.environ["SITE_BRANCH"]) == page


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(build.sys, "argv", ["build.py"])
    monkeypatch.setitem(build.sys.modules, "sphinx", None)
    with pytest.raises(SystemExit, match=r"sphinx\S* is missing here; python -m pip install"):
        build.main()


def test_without_its_play_page_the_site_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "HERE", tmp_path)
    script = tmp_path / "play" / "build.py"
    script.parent.mkdir()
    script.write_text("import sys; sys.exit('npm is missing: it comes with Node.js.')")
    assert not build.add_play(tmp_path / "out", build.sys.executable)
    assert "without the play page: npm is missing" in capsys.readouterr().out
    script.write_text("")
    assert build.add_play(tmp_path / "out", build.sys.executable)


def test_the_check_finds_what_is_broken(tmp_path):
    (tmp_path / "b.html").write_text(
        '<h2 id="here">b</h2><img src="data:image/gif;base64,R0" alt="b">'
    )
    good = '<a href="b.html#here">b</a> <a href="#">top</a> <a href="https://keras.io">Keras</a>'
    (tmp_path / "a.html").write_text(good)
    assert check.faults(tmp_path) == ([], 2, 4)
    bad = '<a href="c.html"></a><a href="b.html#there"></a><img src="https://x.org/y.png">'
    (tmp_path / "a.html").write_text(bad)
    found, pages, links = check.faults(tmp_path)
    assert (pages, links) == (2, 4)
    assert found == [
        "a.html: 1 image(s) without alt text",
        "a.html: c.html is not there",
        "a.html: b.html#there names an anchor that is not there",
        "a.html loads https://x.org/y.png from another server",
    ]
