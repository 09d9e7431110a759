"""The notebooks' first cell finds the package in each of its ways, with a stand-in for pip.

Then the address and the badges that notebooks/refresh.py writes without running anything.
"""

import builtins
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from urllib.parse import quote, urlsplit

import nbformat
import pytest
from IPython.core.error import StdinNotImplementedError

from conftest import REPO

CELL = (REPO / "notebooks" / "first_cell.py").read_text(encoding="utf-8")
CELL = re.sub(r'\nPUBLISHED = ".*"', '\nPUBLISHED = ""', CELL)  # whoever has published it
PIP = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the cell where the package is missing; returns what it printed and pip's addresses.

    A pip that knows one address stands in for the real one.
    """

    def run(known="", typed=None, server="http://127.0.0.1:9", **fields):
        asked, cell = [], CELL
        for name, value in fields.items():
            cell = cell.replace(f'{name} = ""', f'{name} = "{value}"')
            assert f'{name} = "{value}"' in cell

        def pip(command, check):
            assert command[:-1] == PIP and not check
            asked.append(command[-1])
            if command[-1] == f"git+{known}":
                install(monkeypatch)

        def answer(prompt):
            print(prompt)
            if typed is None:  # as in a run without a screen
                raise StdinNotImplementedError
            return typed

        monkeypatch.setattr(subprocess, "run", pip)
        monkeypatch.setattr(builtins, "input", answer)
        address = urlsplit(server)
        monkeypatch.setenv("COLAB_JUPYTER_IP", address.hostname)
        monkeypatch.setenv("KMP_TARGET_PORT", str(address.port))
        exec(cell, {})
        return capsys.readouterr().out, asked

    monkeypatch.setitem(sys.modules, "unet_helpers", None)  # as if it were not installed
    return run


def install(monkeypatch):
    """Put a package in place of the course's that prints when its first function is called."""
    package = ModuleType("unet_helpers")
    package.__spec__ = ModuleSpec("unet_helpers", None)
    package.quiet = SimpleNamespace(import_tensorflow=lambda: print("quiet"))
    monkeypatch.setitem(sys.modules, "unet_helpers", package)


READY = "quiet\nunet_helpers is ready\n"


def serve(file_server, *paths):
    """Let the stand-in for Colab's server name the pages of its notebooks."""
    sessions = [{"name": "notebook.ipynb", "path": f"fileId={quote(p, safe='')}"} for p in paths]
    file_server.files["/api/sessions"] = json.dumps(sessions).encode()
    return file_server.address


PAGE = "https://github.com/lena/course-fork/blob/my/branch/notebooks/05_carla_training.ipynb"


def test_a_package_that_is_there_is_taken_whatever_else_is_known(run, monkeypatch, file_server):
    install(monkeypatch)
    server = serve(file_server, PAGE)
    assert run(server=server, REPOSITORY="https://github.com/owner/course") == (READY, [])
    assert file_server.requests == []


def test_an_address_in_the_field_comes_before_colabs_server(run, file_server):
    known = "file:///tmp/course.git"
    server = serve(file_server, PAGE)
    assert run(known, server=server, REPOSITORY=known) == (READY, [f"git+{known}"])
    assert file_server.requests == []


@pytest.mark.parametrize(
    ("page", "known"),
    [
        (PAGE, "https://github.com/lena/course-fork@my/branch"),
        (
            "https://github.com/owner/course/blob/main/notebooks/00_start_here.ipynb",
            "https://github.com/owner/course@main",
        ),
    ],
)
def test_opened_from_github_colabs_server_names_the_fork_and_its_branch(
    run, file_server, page, known
):
    server = serve(file_server, page)
    upstream = "https://github.com/owner/upstream"
    assert run(known, server=server, PUBLISHED=upstream) == (READY, [f"git+{known}"])


@pytest.mark.parametrize(
    "answer", [None, b"not JSON", b"[]", b'[{"path": "fileId=1AbC"}]', b'[{"path": null}]']
)
def test_a_server_that_does_not_know_falls_through_to_the_published_address(
    run, file_server, answer
):
    """None: not found; 1AbC: a file in Google Drive."""
    file_server.files["/api/sessions"] = answer
    known = "https://github.com/owner/course"
    server = file_server.address
    assert run(known, server=server, PUBLISHED=known) == (READY, [f"git+{known}"])
    assert file_server.requests == ["/api/sessions"]


def test_a_server_that_never_answers_is_not_waited_for(run, monkeypatch):
    known = "https://github.com/owner/course"
    assert "timeout=2)" in CELL
    monkeypatch.setitem(globals(), "CELL", CELL.replace("timeout=2)", "timeout=0.1)"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert run(known, server=server, PUBLISHED=known) == (READY, [f"git+{known}"])


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        (" https://github.com/owner/course\n", "https://github.com/owner/course"),
        ("https://github.com/owner/course.git", "https://github.com/owner/course.git"),
        ("https://github.com/owner/course/tree/main", "https://github.com/owner/course@main"),
        (PAGE, "https://github.com/lena/course-fork@my/branch"),
    ],
)
def test_the_address_or_a_page_of_the_course_can_be_pasted(run, typed, known):
    printed, asked = run(known, typed)
    assert printed.endswith(f"such as https://github.com/owner/course: \n{READY}")
    assert asked == [f"git+{known}"]


def test_a_fork_that_is_gone_falls_through_to_the_box(run, file_server):
    known = "https://github.com/owner/course"
    _, asked = run(known, typed=known, server=serve(file_server, PAGE))
    assert asked == ["git+https://github.com/lena/course-fork@my/branch", f"git+{known}"]


@pytest.mark.parametrize("typed", [None, "", "the course", "https://example.org/other"])
def test_without_a_right_answer_it_ends_with_a_sentence(run, typed):
    told = r"unet_helpers is not installed in .*, into REPOSITORY above and run this cell again\."
    with pytest.raises(ModuleNotFoundError, match=f"(?s){told}$"):
        run(typed=typed)


# ---------------------------------------------------------------- address and badges


@pytest.fixture
def refresh(tmp_path, monkeypatch):
    """Make a course of two short notebooks, the second edited since its run; refresh(options)."""
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    shutil.copy(REPO / "notebooks" / "refresh.py", folder)
    (folder / "first_cell.py").write_text(CELL, encoding="utf-8")
    (folder.parent / "README.md").write_text("# U-Net\n\nA course.\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("refresh", folder / "refresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for number in ("00", "01"):
        text = nbformat.v4.new_markdown_cell(f"# {number}\n\nText.")
        code = nbformat.v4.new_code_cell("old", outputs=[nbformat.v4.new_output("stream")])
        notebook = nbformat.v4.new_notebook(cells=[text, code])
        notebook.metadata["refreshed_sources"] = module.fingerprint(notebook)
        notebook.cells[0].source += "" if number == "00" else " Edited."
        nbformat.write(notebook, folder / f"{number}_a.ipynb")

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["refresh.py", *options])
        module.main()
        read = [nbformat.read(path, as_version=4) for path in sorted(folder.glob("*.ipynb"))]
        return module, read, (folder.parent / "README.md").read_text(encoding="utf-8")

    return run


def test_a_stamp_renews_the_first_cell_and_runs_nothing(refresh):
    module, (done, edited), readme = refresh("--stamp")
    assert done.cells[1].source == edited.cells[1].source == module.first_cell()
    assert done.cells[1].metadata["jupyter"]["source_hidden"]
    assert done.cells[1].metadata["cellView"] == "form"  # folds the code on Colab
    assert len(done.cells[1].outputs) == 1  # as it was
    assert done.metadata["refreshed_sources"] == module.fingerprint(done)
    assert edited.metadata["refreshed_sources"] != module.fingerprint(edited)
    assert done.cells[0].source == "# 00\n\nText." and readme == "# U-Net\n\nA course.\n"


OPEN = "https://colab.research.google.com/github"


@pytest.mark.parametrize(
    ("address", "published", "page"),
    [
        ("https://github.com/owner/course", "owner/course", "owner/course/blob/main"),
        ("https://github.com/owner/a.b.git", "owner/a.b", "owner/a.b/blob/main"),
        ("https://secret@github.com/owner/course/", "owner/course", "owner/course/blob/main"),
        ("git@github.com:owner/course.git", "owner/course", "owner/course/blob/main"),
        ("https://github.com/owner/course@my/x", "owner/course@my/x", "owner/course/blob/my/x"),
    ],
)
def test_an_address_is_written_into_first_cells_badges_and_readme(
    refresh, address, published, page
):
    refresh("--repository", "https://github.com/before/it")
    _, (first, second), readme = refresh("--repository", address)
    line = f'\nPUBLISHED = "https://github.com/{published}"  #'
    assert line in first.cells[1].source and line in second.cells[1].source
    link = f"({OPEN}/{page}/notebooks/00_a.ipynb)"
    assert first.cells[0].source == f"# 00\n\n[![Open in Colab](../docs/colab.svg)]{link}\n\nText."
    assert second.cells[0].source.count(f"({OPEN}/{page}/notebooks/01_a.ipynb)") == 1
    assert readme == f"# U-Net\n\n[![Open in Colab](docs/colab.svg)]{link}\n\nA course.\n"


def test_without_an_address_that_of_gits_remote_is_taken(refresh, monkeypatch):
    def git(command, **options):
        assert command[-3:] == ["remote", "get-url", "origin"]
        return subprocess.CompletedProcess(command, 0, "git@github.com:owner/course.git\n")

    monkeypatch.setattr(subprocess, "run", git)
    module, _, _ = refresh("--repository")
    assert module.published() == ("owner/course", "main")


@pytest.mark.parametrize("address", ["https://example.org/owner/course", "github.com/owner"])
def test_what_is_not_a_repository_on_github_is_named_and_nothing_is_written(refresh, address):
    with pytest.raises(SystemExit, match=f"'{address}'; expected one on GitHub"):
        refresh("--repository", address)
    module, (first, _), _ = refresh("--stamp")
    assert module.published() is None and 'PUBLISHED = ""' in first.cells[1].source
