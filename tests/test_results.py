"""The stored runs of experiments/, and that the published tables are theirs."""

import importlib
import json
import sys

import pytest

from conftest import REPO


@pytest.fixture
def experiments(monkeypatch):
    """Import a script of experiments/ by name."""
    monkeypatch.syspath_prepend(REPO / "experiments")
    yield importlib.import_module
    for name in ("results", "tables"):
        sys.modules.pop(name, None)


def test_the_tables_of_results_md_are_made_of_the_stored_runs(experiments):
    page = (REPO / "docs" / "results.md").read_text(encoding="utf-8")
    assert experiments("tables").filled(page) == page


def test_a_changed_run_changes_the_page(experiments, monkeypatch):
    tables = experiments("tables")
    groups = {name: tables.stored_runs(name) for name, *_ in tables.TABLES.values()}
    groups["streets"]["unet"][0]["mean_iou"] += 0.1
    monkeypatch.setattr(tables, "stored_runs", groups.get)
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page) != page


def test_differences_are_taken_run_by_run(experiments):
    runs = {"a": (0.5, 0.3), "b": (0.4, 0.4)}
    found = {
        name: [
            {"left_out": f"s{i}", "mean_iou": v, "accuracy": 0.9, "iou": {"Car": v, "Sky": 1.0}}
            for i, v in enumerate(values)
        ]
        for name, values in runs.items()
    }
    tables = experiments("tables")
    # by hand: differences -0.1 and +0.1, mean 0, standard deviation sqrt(0.02) = 0.141
    last = tables.by_part(found, ("a", "b")).splitlines()[-1]
    assert last == "| b | 0.400 | 0.400 | 0.400 ± 0.000 | 0.900 ± 0.000 | +0.000 ± 0.141 | 1 of 2 |"
    assert tables.by_class(found, ("a", "b")).splitlines()[-1] == "| b | 0.40 | 1.00 |"


def test_seeds_are_averaged_and_compared(experiments):
    def runs(*values):
        return [{"seed": i, "mean_iou": v, "accuracy": v, "iou": {}} for i, v in enumerate(values)]

    tables = experiments("tables")
    last = tables.by_part({"a": runs(0.2, 0.4), "b": runs(0.3, 0.5)}, ("a", "b")).splitlines()[-1]
    assert last.endswith(
        "| 0.300 | 0.500 | 0.400 ± 0.141 | 0.400 ± 0.141 | +0.100 ± 0.000 | 0 of 2 |"
    )
    twice = [run | {"left_out": street} for street in "st" for run in runs(0.2, 0.4)]
    assert tables.by_part({"a": twice}, ("a",)).splitlines()[-1].startswith("| a | 0.300 | 0.300 |")


def test_an_experiment_goes_on_where_it_stopped(experiments, tmp_path, monkeypatch):
    results = experiments("results")
    monkeypatch.setattr(results, "FOLDER", tmp_path / "new")
    results.Results("small", {"epochs": 1}).add(variant="a", seed=0, mean_iou=0.123456)
    again = results.Results("small", {"epochs": 1})
    assert again.has(variant="a", seed=0) and not again.has(variant="a", seed=1)
    again.add(variant="a", seed=1, mean_iou=0.5)
    runs = json.loads((tmp_path / "new" / "small.json").read_text())["runs"]
    assert [run["mean_iou"] for run in runs] == [0.1235, 0.5]
    with pytest.raises(SystemExit, match="other settings"):
        results.Results("small", {"epochs": 2})
