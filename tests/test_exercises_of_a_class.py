"""The teacher's command judges a folder of submitted notebooks and says what it found."""

import csv
import io
import json
import sys

import pytest

from unet_helpers import exercises
from unet_helpers.exercises import __main__ as command
from unet_helpers.exercises.submission import judge, read_notebook

IMPORTS = "import numpy as np\nfrom unet_helpers import exercises, labels\n"
RIGHT = """\
def my_output_size(size, kernel, stride, padding):
    return len(range(0, size, stride)) if padding == "same" else (size - kernel) // stride + 1


passed = exercises.output_size.check(my_output_size)
"""
STUB = """\
def my_centre_crop(features, target):
    return None


passed = exercises.centre_crop.check(my_centre_crop)
"""
RAISES = """\
ONE = 1


def my_receptive_field(layers):
    field = ONE
    return field / 0


passed = exercises.receptive_field.check(my_receptive_field)
"""
# The right answer, which calls what a test puts in its place and needs 1 from it.
CALLS = RIGHT.replace("+ 1", "+ (%s)")


def write(path, *sources, text=None):
    cells = [{"cell_type": "code", "source": source} for source in (IMPORTS, *sources)]
    if text is not None:
        cells.append({"cell_type": "markdown", "source": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    return path


def verdict(*sources, name="output_size"):
    return judge([IMPORTS, *sources], name)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["exercises", *map(str, arguments)])
    command.main()


# ---------------------------------------------------------------- the verdict the student saw


def test_answers_are_judged_without_running_the_rest():
    sources = (
        "raise SystemExit('a training that must not run')",
        "this is no Python",
        RIGHT,
        STUB,
        RAISES,
        "exercises.stack_cost.check(my_lost_function)",
        "exercises.no_such_thing.check(my_output_size)",
    )
    assert verdict(*sources) == ("right", "right.")
    assert verdict(*sources, name="centre_crop")[0] == "not attempted"
    found, sentence = verdict(*sources, name="receptive_field")
    assert found == "not yet" and "raised in line 6, `return field / 0`" in sentence
    found, sentence = verdict(*sources, name="stack_cost")
    assert found == "not yet" and "In code cell 7: NameError: name 'my_lost_function'" in sentence
    found, sentence = verdict(*sources, name="no_such_thing")
    assert (found, sentence) == ("not yet", "There is no exercise no_such_thing.")


def test_a_stub_of_its_comment_only_is_not_attempted():
    assert verdict(STUB.replace("return None", "# your code here"), name="centre_crop") == (
        "not attempted",
        "not attempted yet (about 10 minutes). exercises.centre_crop.hint() gives a nudge.",
    )


@pytest.mark.parametrize(
    "source",
    [
        "%%time\n" + RIGHT,
        "%matplotlib inline\n!pip install nothing\nnp?\n" + RIGHT,
        "%%capture out\n%%time\n" + RIGHT,
        RIGHT.replace("passed = ", "%timeit -n 1 lost()\n%time passed = "),
    ],
)
def test_cells_with_magics_are_read_as_ipython_does(source):
    assert verdict(source) == ("right", "right.")


def test_the_lines_of_a_timed_cell_are_quoted():
    assert "line 6, `return field / 0`" in verdict("%%time\n" + RAISES, name="receptive_field")[1]


@pytest.mark.parametrize(
    ("before", "one"),
    [
        ("X = labels.VOID", "X - 254"),
        ("ZERO = 1 - 1", "ZERO + 1"),
        ("mx = np.maximum", "int(mx(0, 1))"),
        ("from math import *", "int(cos(0))"),
        ("table = []\ntable.append(1)", "table[0]"),
        ("table = {}\nfor i in range(3):\n    table[i] = i", "table[1]"),
        ("class Box:\n    one = 0\nBox.one = 1", "Box.one"),
        ("a, b = np.array([0, 1])\nb += a", "int(b)"),
        ("try:\n    import lost\nexcept ImportError:\n    lost = 1", "lost"),
        ("def f(n=np.ones(1)):\n    return g(n)\ndef g(n):\n    return int(n[0])", "f()"),
        ("one = 1 + 0\ntry:\n    one = lost\nexcept NameError:\n    pass", "one"),
        ("from functools import cache\n@cache\ndef f():\n    display(1)\n    return 1", "f()"),
        ("if __name__ == '__main__':\n    one = 1", "one"),
    ],
)
def test_names_that_an_answer_uses_have_their_values(before, one):
    assert verdict(before, CALLS % one) == ("right", "right.")


def test_a_check_is_judged_with_the_names_as_they_are_at_its_place():
    helper = "def helper():\n    return "
    assert verdict(helper + "2", CALLS % "helper()", helper + "1")[0] == "not yet"
    assert verdict(helper + "1", CALLS % "helper()", helper + "2")[0] == "right"
    assert verdict(CALLS % "helper()", helper + "1")[0] == "not yet"
    found, sentence = verdict("one = np.lost", CALLS % "one")
    assert found == "not yet" and "In code cell 2: AttributeError" in sentence


def test_the_last_of_several_answers_counts():
    wrong = CALLS % 2
    assert verdict(wrong, RIGHT)[0] == "right"
    assert verdict(RIGHT, wrong)[0] == "not yet"
    slip = RIGHT.replace("return", "return return")
    found, sentence = verdict(RIGHT, slip)
    assert found == "not yet" and "In code cell 3: SyntaxError" in sentence


@pytest.mark.parametrize(
    "check",
    [
        "assert exercises.output_size.check(answer=my_output_size)",
        "from unet_helpers.exercises import output_size\noutput_size.check(my_output_size)",
        "for answer in (None, my_output_size):\n    exercises.output_size.check(answer)",
    ],
)
def test_checks_are_found_in_other_forms(check):
    assert verdict(RIGHT.split("passed")[0] + check) == ("right", "right.")


def test_what_cannot_be_judged_is_said():
    trained = "model = lost()\nmodel.fit(np.lost)"
    assert verdict(trained, CALLS % "model.one") == (
        "not judged",
        "It needs code cell 2, which trains a network.",
    )
    found, sentence = verdict("if False:\n    exercises.output_size.check(None)")
    assert (found, sentence) == ("not judged", "Its check in code cell 2 is never called.")


BAD_CELLS = ["x = {[1]: 2}", "return 1", "0\0", "-" * 10**4 + "1", "'a\ud800'", "(" * 300, "%lost?"]


@pytest.mark.parametrize("cell", BAD_CELLS)
def test_no_cell_makes_the_others_unjudgeable(cell):
    assert verdict(cell, RIGHT) == ("right", "right.")


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "content",
    [b'{"cells": [', b"[]", b'{"cells": {"a": 1}}', b'{"cells": [1]}', b"\xff\xfe{", b"[" * 10**5],
)
def test_no_notebook_is_a_sentence(tmp_path, content):
    (tmp_path / "torn.ipynb").write_bytes(content)
    with pytest.raises(ValueError, match="is not a notebook"):
        read_notebook(tmp_path / "torn.ipynb")


def test_missing_exercises_are_those_of_the_notebook_it_was(tmp_path):
    course = command.course_exercises()
    names = [name for _, checked in course.values() for name in checked]
    assert sorted(set(names)) == sorted(exercises.ALL)
    _, texts = read_notebook(command.COURSE / "05_carla_training.ipynb")
    some = {*sorted(texts)[:3], "a text of the student"}
    of_05, of_08 = ["resize_mask", "input_pipeline"], ["soft_dice", "threshold_for_recall"]
    assert command.expected(tmp_path / "02.ipynb", some, course) == of_05
    assert command.expected(tmp_path / "08 Anna.ipynb", set(), course) == of_08
    assert command.expected(tmp_path / "anna.ipynb", set(), course) is None
    assert command.expected(tmp_path / "06.ipynb", texts, {}) is None

    first = {"course": course}
    assert list(command.judge_notebook(write(tmp_path / "05.ipynb", ""), **first)) == [
        (name, "missing", f"The notebook does not call exercises.{name}.check(...).")
        for name in of_05
    ]
    rows = list(command.judge_notebook(write(tmp_path / "anna.ipynb", ""), **first))
    assert [row[:2] for row in rows] == [("(others)", "not judged")]


# ---------------------------------------------------------------- the command


def test_the_command_prints_a_table_and_writes_it(tmp_path, repo, monkeypatch, capsys):
    folder = tmp_path / "class"
    write(folder / "anna" / "03.ipynb", RIGHT, STUB)
    (folder / "ben").mkdir()
    (folder / "ben" / "03.ipynb").write_text("not a notebook")
    table = tmp_path / "table.csv"
    monkeypatch.chdir(repo)
    run(monkeypatch, folder, "--csv", table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "anna/03.ipynb"
    assert lines[1].split() == ["output_size", "right"]
    assert lines[2].split()[:3] == ["centre_crop", "not", "attempted"]
    _, wanted = command.course_exercises()["03_decoder_blocks.ipynb"]
    missing = [name for name in wanted if name != "centre_crop"]
    end = 3 + len(missing)
    assert [line.split()[:2] for line in lines[3:end]] == [[name, "missing"] for name in missing]
    assert lines[end] == f"  1 of {2 + len(missing)} right"
    assert lines[end + 1] == "ben/03.ipynb" and "is not a notebook" in lines[end + 2]
    rows = [row["verdict"] for row in csv.DictReader(table.open(newline=""))]
    assert rows == ["right", "not attempted", *["missing"] * len(missing), "not judged"]


FORGED = '{"rows": [["stack_cost", "right", "right."]]}'
TRICKS = {
    "stack_cost": f"print({FORGED!r}, flush=True)\n    os._exit(0)",
    "centre_crop": f"""\
import atexit
    atexit.register(print, {FORGED!r})
    raise SystemExit""",
    "tile_starts": """\
import gc
    for thing in gc.get_objects():
        if type(thing).__name__ == "Connection":
            thing.send_bytes(b'["right", "right."]')
    os._exit(0)""",
    "receptive_field": "return input('your answer: ')",
    "transposed_size": "os.write(1, b'\\xff')\n    print('\\u03c0')\n    os.abort()",
}


def test_tricks_and_ends_forge_no_verdict_and_leave_the_others_alone(tmp_path, repo, monkeypatch):
    monkeypatch.chdir(repo)
    cells = [
        f"import os\ndef my_{name}(*args):\n    {body}\nexercises.{name}.check(my_{name})"
        for name, body in TRICKS.items()
    ]
    box = f"import os\nclass Box:\n    print({FORGED!r}, flush=True)\n    os._exit(0)"
    cells.append(f"{box}\nexercises.class_share.check(Box)")
    path = write(tmp_path / "02.ipynb", *cells, RIGHT)
    rows = {name: row for name, *row in command.judge_notebook(path, {})}
    ended = "The answer ends Python (exit code %s) instead of returning."
    assert rows["stack_cost"] == ["not yet", ended % 0]
    assert rows["class_share"] == ["not yet", ended % 0]
    assert rows["tile_starts"] == ["not yet", ended % 0]
    assert rows["transposed_size"] == ["not yet", ended % -6]
    assert rows["centre_crop"][0] == "not yet" and "exits Python" in rows["centre_crop"][1]
    assert rows["receptive_field"][0] == "not yet" and "EOFError" in rows["receptive_field"][1]
    assert rows["output_size"] == ["right", "right."]


def test_an_answer_that_prints_for_ever_is_stopped_and_not_read(repo, monkeypatch, capfd):
    monkeypatch.chdir(repo)
    endless = "while True:\n    print('x' * 10**6)\nx = 1\n"
    answer = f"def my_output_size(*args):\n    {endless.replace(chr(10), chr(10) + '    ')}\n"
    cells = [IMPORTS, answer + "exercises.output_size.check(my_output_size)"]
    found, sentence = command.judge_in_process(cells, "output_size", limit=1)
    assert (found, sentence) == ("not yet", "Stopped after 1 seconds: does the answer never end?")
    assert capfd.readouterr().out == ""


def test_rows_are_written_as_they_are_known_and_harmless_in_a_spreadsheet(tmp_path, monkeypatch):
    def rows(path, course):
        yield "output_size", "not yet", "@sum(1)\x1b[2J\n\u03c0"
        yield "=1+1", "-1", "+1"
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "judge_notebook", rows)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    table = tmp_path / "table.csv"
    path = write(tmp_path / "=a.ipynb")
    with pytest.raises(SystemExit, match=r"Stopped \(Ctrl-C\). .*table.csv has the rows so far."):
        run(monkeypatch, path, "--csv", table)
    assert list(csv.reader(table.open(newline="", encoding="utf-8")))[1:] == [
        ["'=a.ipynb", "output_size", "not yet", "'@sum(1) [2J \u03c0"],
        ["'=a.ipynb", "'=1+1", "'-1", "'+1"],
    ]
    terminal.seek(0)
    assert "@sum(1) [2J \\u03c0" in terminal.read()


@pytest.mark.parametrize("table", ["", "lost/table.csv", "a.ipynb"])
def test_the_target_is_checked_before_anything_is_judged(tmp_path, monkeypatch, table):
    path = write(tmp_path / "a.ipynb")
    before = path.read_bytes()
    monkeypatch.setattr(command, "judge_notebook", None)  # calling it would raise TypeError
    with pytest.raises(SystemExit, match=r"cannot be written|takes the table's file"):
        run(monkeypatch, tmp_path, "--csv", tmp_path / table)
    assert path.read_bytes() == before


def test_a_folder_without_notebooks_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="There is no notebook in"):
        run(monkeypatch, tmp_path)
