"""The teacher's command judges a folder of submitted notebooks and says what it found."""

import csv
import json
import sys

import pytest

from unet_helpers.exercises.__main__ import judge_in_process, judge_notebook, main
from unet_helpers.exercises.exercise import Exercise

IMPORTS = "import numpy as np\nfrom keras import layers\nfrom unet_helpers import exercises\n"
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


def write(path, *sources):
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": s}
        for s in (IMPORTS, *sources)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    return path


def test_answers_are_judged_without_running_the_rest(tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        "raise SystemExit('a training that must not run')",
        "this is no Python",
        RIGHT,
        STUB,
        RAISES,
        "exercises.stack_cost.check(my_lost_function)",
        "exercises.no_such_thing.check(my_output_size)",
    )
    rows = {name: (verdict, sentence) for name, verdict, sentence in judge_notebook(path)}
    assert rows["output_size"][0] == "right"
    assert rows["centre_crop"][0] == "not attempted"
    verdict, sentence = rows["receptive_field"]
    assert verdict == "not yet" and "raised in line 6, `return field / 0`" in sentence
    assert "my_lost_function cannot be found" in rows["stack_cost"][1]
    assert "There is no exercise no_such_thing" in rows["no_such_thing"][1]


def test_the_last_of_several_answers_counts(tmp_path):
    wrong = RIGHT.replace("+ 1", "+ 2")
    assert judge_notebook(write(tmp_path / "a.ipynb", wrong, RIGHT))[0][1] == "right"
    assert judge_notebook(write(tmp_path / "b.ipynb", RIGHT, wrong))[0][1] == "not yet"


def test_no_notebook_is_a_sentence(tmp_path):
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    with pytest.raises(ValueError, match="is not a notebook"):
        judge_notebook(tmp_path / "torn.ipynb")


def test_an_answer_that_never_ends_is_stopped_and_the_others_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(Exercise, "seconds", 0.2)
    endless = RIGHT.replace("    return len", "    while True:\n        pass\n    return len")
    rows = judge_notebook(write(tmp_path / "a.ipynb", endless, STUB))
    assert rows[0][1] == "not yet" and "was stopped after 0.2 seconds" in rows[0][2]
    assert rows[1][1] == "not attempted"


def test_a_notebook_that_never_ends_is_stopped(tmp_path):
    rows = judge_in_process(write(tmp_path / "a.ipynb", RIGHT), limit=0.2)
    assert rows == [("(all)", "not yet", "Stopped after 0.2 seconds: does an answer never end?")]


def test_the_command_prints_a_table_and_writes_it(tmp_path, repo, monkeypatch, capsys):
    folder = tmp_path / "class"
    write(folder / "anna" / "02.ipynb", RIGHT, STUB)
    (folder / "ben").mkdir()
    (folder / "ben" / "02.ipynb").write_text("not a notebook")
    table = tmp_path / "table.csv"
    monkeypatch.chdir(repo)
    monkeypatch.setattr(sys, "argv", ["exercises", str(folder), "--csv", str(table)])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "anna/02.ipynb: 1 of 2 right"
    assert lines[1].split() == ["output_size", "right"]
    assert lines[2].split() == ["centre_crop", "not", "attempted"]
    assert lines[3] == "ben/02.ipynb: 0 of 1 right" and "is not a notebook" in lines[4]
    rows = list(csv.DictReader(table.open(newline="")))
    assert [row["verdict"] for row in rows] == ["right", "not attempted", "not yet"]


def test_a_folder_without_notebooks_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["exercises", str(tmp_path)])
    with pytest.raises(SystemExit, match="There is not a notebook in"):
        main()
