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


def keep(*sources, name="my_conv_block"):
    return kept.keep(name, cell(*sources)[name])


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
    monkeypatch.setattr(exercises.conv_block, "judge", lambda attempt: None)
    assert exercises.conv_block.check(block)
    assert "right. Kept in my_unet.py, for the notebooks that follow." in capsys.readouterr().out
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
    keep("def my_unet_model(size):\n    return my_conv_block(size, 2)", name="my_unet_model")
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


@pytest.mark.parametrize(
    ("before", "expression", "line"),
    [
        ("from keras import layers as L", "L.Conv2D", "import keras.layers as L"),
        ("from keras.layers import Conv2D", "Conv2D", "from keras.layers import Conv2D"),
        ("from keras.layers import Conv2D as C", "C", "from keras.layers import Conv2D as C"),
        ("from keras import Model", "Model", "from keras import Model"),
        ("from keras.ops import relu", "relu", "from keras.ops import relu"),
        ("import math", "math.pi", "import math"),
        ("from functools import partial", "partial(int)", "from functools import partial"),
        ("from unet_helpers import models", "models.unet", "import unet_helpers.models as models"),
        ("from unet_helpers.models import conv_block", "conv_block", "import conv_block"),
        ("SAME = dict(padding='same')", "SAME['padding']", "SAME = {'padding': 'same'}"),
        ("def helper(x):\n    return SIZE * x\nSIZE = 3", "helper(1)", "SIZE = 3\n\n\ndef helper"),
        ("def my_conv_block():\n    pass", "my_upsampling_block", ""),
        ("", "[layers.ReLU for _ in range(3)][0]", ""),
    ],
)
def test_what_an_answer_uses_of_the_notebook_is_kept(before, expression, line):
    answer = f"def my_conv_block(inputs):\n    return ({expression}), (lambda: {expression})()"
    assert "Kept in" in keep(before, answer)
    assert line in text()
    exercises.conv_block.yours()(1)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("RATE = keras.Variable(1)\ndef my_conv_block(x):\n    return RATE", "it uses RATE, a"),
        ("class Own:\n    pass\ndef my_conv_block(x):\n    return Own()", "it uses Own, a type"),
        ("my_conv_block = lambda x: x", "it has to be written as `def my_conv_block"),
        ("def block(x):\n    return x\nmy_conv_block = block", "it has to be written as `def my"),
        ("class Own:\n    __call__ = abs\nmy_conv_block = Own()", "it has to be written as"),
        (
            "def make(n):\n    def block(x):\n        return n\n    return block\n"
            "my_conv_block = make(1)",
            "it has to be written as `def my_conv_block",
        ),
        ("import functools\nmy_conv_block = functools.partial(max, 1)", "it has to be written as"),
        (f"{BLOCK}\nmy_conv_block.__code__ = compile('1', '?', 'eval')", "it has to be"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_in_a_sentence(source, told):
    assert f"It is not kept in my_unet.py: {told}" in keep(source)
    assert not kept.FILE.exists()


def test_helpers_of_one_name_do_not_get_mixed_up():
    helper = "def helper(x):\n    return {}\ndef {}(x):\n    return helper(x)"
    keep(helper.format("x", "my_conv_block"))
    before = text()
    told = keep(helper.format("2 * x", "my_upsampling_block"), name="my_upsampling_block")
    assert "another part of the file has a different helper" in told and text() == before
    assert "Kept" in keep(helper.format("x", "my_upsampling_block"), name="my_upsampling_block")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("def my_conv_block(:", "it has parts for none and should for my_conv_block, my_up"),
        (b"\xff\xfe", "my_unet.py cannot be read (UnicodeDecodeError)"),
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
    assert "mount Google Drive and check your function again, or paste it into this cell" in (
        capsys.readouterr().out.replace("\n", " ")
    )
    assert "the next notebook runs on another machine: mount Google Drive" in keep(BLOCK)
    kept.FILE.unlink()
    kept.DRIVE.mkdir()
    assert keep(BLOCK) == "Kept in my_unet.py, for the notebooks that follow."
    assert (kept.DRIVE / "my_unet.py").exists() and not kept.FILE.exists()
    assert exercises.conv_block.yours()(1, 2) == (1, 2)


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch):
    monkeypatch.setattr(kept, "FILE", kept.FILE.with_name("lost") / "my_unet.py")
    kept.FILE.parent.write_text("a file, not a folder")
    assert "could not be written" in keep(BLOCK)
