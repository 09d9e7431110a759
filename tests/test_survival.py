"""Processes that are really killed: what the next one finds, and how it goes on."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from unet_helpers import datasets
from unet_helpers.datasets import download
from unet_helpers.datasets import folder as folder_dataset

PROGRAM = Path(__file__).with_name("survivor.py")
CONTENT = np.random.default_rng(1).integers(0, 256, 100_000).astype(np.uint8).tobytes()


class Server:
    """A survivor.py that has imported TensorFlow and forks a process for every command."""

    def __init__(self):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, str(PROGRAM)]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process = subprocess.Popen(command, env=environment, **pipes)

    def run(self, *arguments, meanwhile=lambda pid: None):
        """Run a command; when it is READY, call meanwhile, and kill it as kill -9 does.

        Returns (its output, its exit status).
        """
        self.process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self.process.stdin.flush()
        said, pid = [], None
        for line in self.process.stdout:
            what, _, number = line.strip().partition(" ")
            if what == "PID":
                pid = int(number)
            elif what == "READY":
                try:
                    meanwhile(pid)
                finally:
                    os.kill(pid, signal.SIGKILL)
            elif what == "ENDED":
                return "".join(said), int(number)
            else:
                said.append(line)
        raise AssertionError(f"The server ended: {said}")

    def kill_when_ready(self, *arguments, **options):
        """Run a command that must be killed."""
        assert self.run(*arguments, **options)[1] == -signal.SIGKILL


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.communicate(timeout=60)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


# ---------------------------------------------------------------- training


@pytest.fixture(scope="module")
def runs(server, tmp_path_factory):
    """The history of an undisturbed training run, and the folder of one that was killed four times.

    found is what lay in the folder after each kill, said what each run had printed before it,
    copies is the folder as it was after the first kill.
    """
    folder = tmp_path_factory.mktemp("survival")
    undisturbed, status = server.run("train", folder / "undisturbed")
    assert status == 0
    killed, found, said = folder / "killed", {}, {}
    for place in ("epoch-2", "weights-2", "best-3", "history-4"):
        said[place], status = server.run("train", killed, place)
        assert status == -signal.SIGKILL
        found[place] = names(killed)
        if place == "epoch-2":
            shutil.copytree(killed, folder / "copy")
    last, status = server.run("train", killed)
    assert status == 0
    return dict(
        undisturbed=json.loads(undisturbed.splitlines()[-1]),
        history=json.loads(last.splitlines()[-1]),
        said={**said, "end": last},
        found=found,
        folder=killed,
        copy=folder / "copy",
    )


def test_kills_hit_where_they_should(runs):
    one = ["best.keras", "epoch-1.weights.h5", "history.json"]
    assert runs["found"] == {
        "epoch-2": one,
        "weights-2": sorted([*one, "part-epoch-2.weights.h5"]),
        # history.json names epoch 3 already; best.keras of an older epoch is still there
        "best-3": sorted(
            [*one[::2], *("epoch-2.weights.h5", "epoch-3.weights.h5"), "part-best.keras"]
        ),
        "history-4": sorted(
            [*one[::2], "epoch-3.weights.h5", "epoch-4.weights.h5", "part-history.json"]
        ),
    }


def test_every_run_goes_on_after_the_last_whole_epoch(runs):
    resumed = {
        place: [line.split(",")[0] for line in text.splitlines() if line.startswith("Resuming")]
        for place, text in runs["said"].items()
    }
    assert resumed == {
        "epoch-2": [],
        "weights-2": ["Resuming after epoch 1 of 4"],
        "best-3": ["Resuming after epoch 1 of 4"],
        "history-4": ["Resuming after epoch 3 of 4"],
        "end": ["Resuming after epoch 3 of 4"],
    }


def test_the_history_is_that_of_an_undisturbed_run(runs):
    """Weights, optimizer, learning rate, dropout, order and augmentation: all go on."""
    killed, undisturbed = dict(runs["history"]), dict(runs["undisturbed"])
    assert len(killed.pop("seconds")) == len(undisturbed.pop("seconds")) == 4
    assert set(killed) == {"loss", "val_loss", "val_accuracy", "val_mean_iou"}
    for key, values in undisturbed.items():
        np.testing.assert_allclose(killed[key], values, rtol=1e-4, err_msg=key)


def test_nothing_half_written_stays_behind(runs):
    assert names(runs["folder"]) == ["best.keras", "epoch-4.weights.h5", "history.json"]
    kept = json.loads((runs["folder"] / "history.json").read_text())
    assert kept["history"] == runs["history"]


def test_a_full_disk_ends_in_a_sentence_and_keeps_the_checkpoint(server, runs, tmp_path):
    """No file may grow beyond 2,000 bytes; there HDF5 alone would crash the process."""
    before = {path.name: path.read_bytes() for path in runs["copy"].iterdir()}
    # history.json and best.keras are there already; best.keras is written first, on resuming
    out, status = server.run("limited", runs["copy"], 2000)
    assert status == 1
    assert "could not be written (File too large). Make space" in out
    assert "what was there before is kept" in out
    assert {path.name: path.read_bytes() for path in runs["copy"].iterdir()} == before
    out, status = server.run("limited", tmp_path / "fresh", 2000)
    assert status == 1
    assert "epoch-1.weights.h5 could not be written (File too large)" in out
    assert names(tmp_path / "fresh") == []


# ---------------------------------------------------------------- downloads


def test_a_killed_download_leaves_nothing_that_is_taken_for_the_file(server, file_server, tmp_path):
    file_server.files["/data.bin"] = CONTENT
    url, target = f"{file_server.address}/data.bin", tmp_path / "data.bin"
    server.kill_when_ready("fetch", url, target)
    assert names(tmp_path) == ["part-data.bin"]
    assert download.fetch(url, target).read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin"]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_a_killed_unpacking_starts_again(server, tmp_path, name):
    archive = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("in/one.txt", "first second")
    else:
        with tarfile.open(archive, "w:gz") as file:
            entry = tarfile.TarInfo("in/one.txt")
            entry.size = 12
            file.addfile(entry, io.BytesIO(b"first second"))
    server.kill_when_ready("unpack", archive, tmp_path / "out")
    assert names(tmp_path) == sorted([name, "out.part"])  # no folder of the final name
    assert (tmp_path / "out.part" / "in" / "one.txt").read_text() == "first"
    folder = download.unpack(archive, tmp_path / "out", "in")
    assert (folder / "one.txt").read_text() == "first second"
    assert names(tmp_path) == sorted([name, "out"])


# ---------------------------------------------------------------- the cache on the disk


@pytest.fixture
def images(tmp_path, rng):
    """A set of one's own with twelve pairs, and the sums of its images and masks."""
    root, sums = tmp_path / "mine", [0, 0]
    for i, (name, shape, most) in enumerate((("images", (8, 8, 3), 256), ("masks", (8, 8), 2))):
        (root / name).mkdir(parents=True)
        for number in range(12):
            values = rng.integers(0, most, shape).astype(np.uint8)
            sums[i] += int(values.sum())
            Image.fromarray(values).save(root / name / f"{number:02d}.png")
    (root / "labels.csv").write_text("name\nroad\ncar\n")
    return root, sums


def load_and_count(images, folder):
    """Load the set, its pairs cached in a folder, and check it; returns how many were decoded."""
    root, sums = images
    with mock.patch.object(folder_dataset, "read_pair", wraps=folder_dataset.read_pair) as read:
        found = datasets.to_arrays(folder_dataset.load("all", root, (8, 8), cache=folder))
    assert [int(part.sum(dtype="int64")) for part in found] == sums
    return read.call_count


def test_a_killed_writer_and_one_beside_it_leave_a_whole_cache(server, images, tmp_path):
    """One process stands still in the middle of a pair, another one goes on, the first is killed.

    Three pairs are decoded in any case, to find the cache.
    """
    folder, decoded = tmp_path / "caches", []

    def load_beside(pid):
        [place] = folder.iterdir()
        assert names(place) == ["0", "1", "2", "3", "4", f"part-{pid}"]
        decoded.append(load_and_count(images, folder))

    server.kill_when_ready("cache", images[0], folder, "pair", meanwhile=load_beside)
    decoded.append(load_and_count(images, folder))
    assert decoded == [3 + 7, 3]


def test_a_full_disk_stops_the_cache_with_a_sentence(server, images, tmp_path):
    """No file may grow beyond 200 bytes, and a pair has 264."""
    out, status = server.run("cache", images[0], tmp_path / "caches", "full")
    assert status == 1
    assert "could not be written (File too large). Make space" in out
    [place] = (tmp_path / "caches").iterdir()
    assert [name.split("-")[0] for name in names(place)] == ["part"]
