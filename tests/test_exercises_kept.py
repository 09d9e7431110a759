"""What a learner's right answer leaves in my_unet.py, and what the next notebooks get from it."""

import builtins
import importlib
import inspect
import itertools
import linecache
import sys

import pytest

from unet_helpers import exercises
from unet_helpers.exercises import kept

IMPORTS = "import keras\nimport numpy as np\nfrom keras import layers, ops\n"
BLOCK = """\
def my_conv_block(inputs, n_filters=32, dropout_prob=0.0, max_pooling=True, batch_norm=False):
    return inputs, n_filters
"""
UP = """\
def my_upsampling_block(expansive_input, contractive_input, n_filters=32, batch_norm=False):
    return expansive_input
"""
numbers = itertools.count()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cell(*sources):
    """Run sources as cells of one notebook; returns its names."""
    space = {"__name__": "__main__"}
    for source in (IMPORTS, *sources):
        name = f"<cell {next(numbers)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), space)
    return space


def right(function):
    return True, "right."


def keep(*sources, name="my_conv_block", check=right):
    return kept.keep(name, cell(*sources)[name], check)


def text():
    return kept.FILE.read_text(encoding="utf-8")


def test_a_right_answer_is_kept_and_comes_back(capsys):
    assert "Kept in my_unet.py" in keep(BLOCK)
    function = exercises.conv_block.yours()
    assert function(1, 2) == (1, 2) and inspect.getsource(function) == BLOCK
    assert capsys.readouterr().out == "my_conv_block: yours, from my_unet.py.\n"


def test_without_an_answer_it_is_the_courses(capsys):
    for name, number in (("conv_block", "02"), ("upsampling_block", "03"), ("unet_model", "04")):
        exercise = exercises.ALL[name]
        assert exercise.yours() is exercise.reference
        assert capsys.readouterr().out.replace("\n", " ") == (
            f"my_{name}: the course's, because yours is not in my_unet.py yet (notebook {number}). "
        )
    with pytest.raises(ValueError, match="No answer to stack_cost is kept, only my_conv_block"):
        exercises.stack_cost.yours()


def test_only_what_passes_is_kept(monkeypatch, capsys):
    block = cell(BLOCK)["my_conv_block"]
    judged = []
    monkeypatch.setattr(exercises.conv_block, "judge", lambda attempt: judged.append(attempt))
    assert exercises.conv_block.check(block)
    assert "right. Kept in my_unet.py, for the notebooks that follow." in capsys.readouterr().out
    assert len(judged) == 2  # the answer, and what is kept of it
    before = text()
    assert not exercises.conv_block.check(None)
    assert exercises.conv_block.check(exercises.conv_block.reference)
    assert exercises.conv_block.check(exercises.conv_block.yours())
    assert text() == before


def test_only_the_answers_part_is_written_anew():
    keep(BLOCK)
    keep(UP, name="my_upsampling_block")
    keep(BLOCK.replace("return inputs", "return -inputs"))
    assert "return -inputs" in text() and text().count("def ") == 2
    block = "from unet_helpers import exercises\nmy_conv_block = exercises.conv_block.yours()"
    network = "def my_unet_model(size):\n    return my_conv_block(size, 2)"
    assert "Kept" in keep(block, network, name="my_unet_model")
    assert exercises.unet_model.yours()(5) == (-5, 2)
    names = [text().index(f"def {name}(") for name in kept.PARTS]
    assert names == sorted(names)


def test_the_file_can_be_imported(folder, monkeypatch):
    keep(BLOCK)
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("my_unet")
    monkeypatch.delitem(sys.modules, "my_unet")
    assert module.my_conv_block(1, 2) == (1, 2)
    assert module.my_unet_model is exercises.unet_model.reference


def test_the_functions_and_imports_of_its_cell_are_kept_and_no_check():
    source = (
        "from keras import layers as L\ndef helper():\n    return L.ReLU\n"
        "def block(x):\n    return helper()\nexercises.conv_block.check(block)\n"
    )
    name = "<cell of several>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = {"__name__": "__main__"}
    exec(compile(source.rpartition("exercises.")[0], name, "exec"), space)
    told = kept.keep("my_conv_block", space["block"], right)
    assert "Kept" in told and "check(" not in text()
    assert exercises.conv_block.yours()(1).__name__ == "ReLU"


HELPER = "def helper(x):\n    return x\n"
USING = "def my_conv_block(x):\n    return {}"


def gives_four(function):
    """Check a function as an exercise does; its sentence quotes what is raised."""
    try:
        return function(2) == 4, "not yet. Expected 4."
    except NameError as error:
        return False, f"not yet. {error}."


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        (["SIZE = 2", USING.format("SIZE * x")], "alone it does not pass. name 'SIZE' is not"),
        (["SIZE = 2\n" + USING.format("SIZE * x")], "name 'SIZE' is not defined"),
        (["SIZE = 2", "def my_conv_block(x, n=SIZE):\n    return n * x"], "NameError: name 'SIZE'"),
        (["import math", USING.format("math.pow(x, 2)")], "name 'math' is not defined"),
        # in the file it is the helper of its own cell
        ([HELPER + USING.format("helper(x)"), HELPER.replace("x\n", "2 * x\n")], "Expected 4."),
    ],
)
def test_what_another_cell_decides_is_not_kept(sources, told):
    assert gives_four(cell(*sources)["my_conv_block"])[0]
    said = keep(*sources, check=gives_four)
    assert said.startswith("It is not kept in my_unet.py: ") and told in said
    assert not kept.FILE.exists()


def test_what_its_own_cell_decides_is_kept_and_works_alone():
    source = (
        "from math import sqrt\nfrom keras import layers as L\n"
        "def helper(x):\n    return sqrt(x) if isinstance(x, int) else np.abs(x) + lost\n"
        "def my_conv_block(x):\n    return helper(x), L.ReLU"
    )
    assert "Kept" in keep(source)
    assert exercises.conv_block.yours()(9)[0] == 3


@pytest.mark.parametrize(
    "source",
    [
        "my_conv_block = lambda x: x",
        "class Own:\n    __call__ = abs\nmy_conv_block = Own()",
        "def make(n):\n    def block(x):\n        return n\n    return block\n"
        "my_conv_block = make(1)",
        "import functools\nmy_conv_block = functools.partial(max, 1)",
    ],
)
def test_what_a_file_cannot_hold_is_refused_in_a_sentence(source):
    told = "It is not kept in my_unet.py: only a function that is written with `def`"
    assert told in keep(source)
    assert not kept.FILE.exists()


def test_helpers_of_one_name_do_not_get_mixed_up():
    helper = "def helper(x):\n    return {}\ndef {}(x):\n    return helper(x)"
    keep(helper.format("x", "my_conv_block"))
    keep(helper.format("2 * x", "my_upsampling_block"), name="my_upsampling_block")
    assert exercises.conv_block.yours()(3) == 3
    assert exercises.upsampling_block.yours()(3) == 6


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("def my_conv_block(:", "my_unet.py is not as a check wrote it. Rename it"),
        (b"\xff\xfe", "my_unet.py is not as a check wrote it. Rename it"),
        (None, "my_unet.py does not run (NameError: name 'lost' is not defined)"),
    ],
)
def test_a_damaged_file_breaks_no_notebook(content, told, capsys):
    keep(BLOCK)
    if content is None:
        content = text().replace("return inputs", "return inputs\nlost")
    kept.FILE.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = kept.FILE.read_bytes()
    assert exercises.conv_block.yours() is exercises.conv_block.reference
    assert told in capsys.readouterr().out.replace("\n", " ")
    if b"lost" not in before:
        assert "It is not kept" in keep(BLOCK) and kept.FILE.read_bytes() == before


def test_on_colab_drive_is_used_or_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", builtins)
    monkeypatch.setattr(kept, "DRIVE", tmp_path / "drive")
    exercises.conv_block.yours()
    assert "mount Google Drive and check your function again, or paste it into the next" in (
        capsys.readouterr().out.replace("\n", " ")
    )
    assert "every notebook runs on another machine: mount Google Drive" in keep(BLOCK)
    kept.FILE.unlink()
    kept.DRIVE.mkdir()
    assert keep(BLOCK) == "Kept in my_unet.py, for the notebooks that follow."
    assert (kept.DRIVE / "my_unet.py").exists() and not kept.FILE.exists()
    assert exercises.conv_block.yours()(1, 2) == (1, 2)


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch):
    monkeypatch.setattr(kept, "FILE", kept.FILE.with_name("lost") / "my_unet.py")
    kept.FILE.parent.write_text("a file, not a folder")
    assert "could not be written" in keep(BLOCK)
