"""What docs/teaching.md takes from notebooks and exercises is theirs; so are README's hours."""

import importlib
import re

import pytest

from conftest import REPO
from unet_helpers import exercises


@pytest.fixture
def teaching(monkeypatch):
    """Import docs/make_teaching.py."""
    monkeypatch.syspath_prepend(REPO / "docs")
    return importlib.import_module("make_teaching")


def test_the_page_is_that_of_the_notebooks_and_exercises(teaching):
    page = teaching.PAGE.read_text(encoding="utf-8")
    assert teaching.filled(page) == page, "run python docs/make_teaching.py"


def test_a_notebooks_minutes_and_an_exercises_change_the_page(teaching, monkeypatch):
    page = teaching.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(exercises.ALL["fold"], "minutes", 30)  # of notebook 16, 20 more than before
    changed = teaching.filled(page)
    assert "- `fold`, 30 minutes: " in changed
    days, weeks = re.findall(r"together \| \| (\d+)", page)
    assert re.findall(r"together \| \| (\d+)", changed) == [days, str(int(weeks) + 20)]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("about 20 minutes with the exercise, a minute of it computing.", 20),
        ("about 65 minutes, 40 of them for two exercises.", 65),
        # 15 for tile_starts, 10 for fold
        ("about 40 minutes of reading, an hour of exercises, one minute of computing.", 65),
    ],
)
def test_minutes_of_reading_are_without_the_exercises(teaching, time, expected):
    found = [exercises.tile_starts, exercises.fold]
    assert teaching.minutes(f"# 01\n\n**Time** {time} **Needs** 00.", found) == expected


def test_schedules_hold_the_core_path_and_all_notebooks(teaching):
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    two_days, weeks = (sum(parts.values(), ()) for parts in teaching.SCHEDULES.values())
    assert list(two_days) == re.findall(r"^\| \*\*(\d\d)\*\* \|", readme, re.MULTILINE)
    assert list(weeks) == list(teaching.notebooks()) == list(teaching.LIVE)


def test_the_readmes_hours_are_the_notebooks_minutes(teaching):
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \W*(\d\d)\W* \| \[.*?\| ([\d.]+) \|", readme, re.MULTILINE)
    hours = {number: float(told) for number, told in rows}
    stated = {number: found["minutes"] / 60 for number, found in teaching.notebooks().items()}
    assert hours == pytest.approx(stated, abs=0.051)


def test_a_mistake_that_no_check_names_any_more_is_said(teaching, monkeypatch):
    monkeypatch.setitem(teaching.OFTEN, "fold", "You folded it twice")
    told = "No check in unet_helpers.exercises.arithmetic says 'You folded it twice'"
    with pytest.raises(SystemExit, match=told):
        teaching.mistake(exercises.fold)
    # by hand: from the words given to the end of their sentence, with a capital
    assert teaching.mistake(exercises.tile_starts) == "The last tile begins at length - tile."


def test_a_section_that_is_gone_is_said(teaching, monkeypatch):
    monkeypatch.setitem(teaching.LIVE, "00", ("Nowhere", "look"))
    with pytest.raises(SystemExit, match=r"00_start_here.ipynb has no section 'Nowhere'"):
        teaching.note("00", teaching.notebooks()["00"])
