"""Damaged and hostile inputs end in a result or a sentence.

These are few inputs, the same in every run. Many others, of one reader:

UNET_FUZZ=5000 python -m pytest tests/test_fuzz.py -k folder
"""

import collections
import os
import struct
import tracemalloc
import zlib

import fuzz
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

from unet_helpers import datasets, labels
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.labels import DataError
from unet_helpers.models import pretrained

SLOW = ("load_model", "pretrained", "cache")
BY_HAND = int(os.environ.get("UNET_FUZZ", 0))


@pytest.mark.parametrize("reader", fuzz.READERS)
def test_damaged_inputs(reader, monkeypatch):
    monkeypatch.setattr(pretrained, "build", pretrained.build)  # fuzz replaces it
    counts = collections.Counter()

    @hypothesis.settings(
        max_examples=BY_HAND or (25 if reader in SLOW else 60),
        derandomize=not BY_HAND,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.randoms(use_true_random=False))
    def read(random):
        counts[fuzz.outcome(reader, random)] += 1

    read()
    assert min(counts["result"], counts["sentence"]) > 0  # neither all whole nor all broken


def whole_png(width, height, mode=0):
    """Write a PNG of zeros that really has its size: 65,535 x 65,535 pixels are 4 MB of file."""
    channels = {0: 1, 2: 3}[mode]
    packer, parts = zlib.compressobj(9), []
    lines = bytes((1 + channels * width) * 64)
    for _ in range(-(-height // 64)):
        parts.append(packer.compress(lines))
    body = b"".join([*parts, packer.flush()])

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(9_000, 9_000), (65_535, 1_100)])
def test_a_small_file_that_becomes_huge_is_not_decoded(tmp_path, size):
    path = tmp_path / "m.png"
    path.write_bytes(whole_png(*size))
    assert path.stat().st_size < 400_000
    tracemalloc.start()
    for read in (datasets.read_image, datasets.read_mask, datasets.read_red_channel):
        with pytest.raises(DataError, match=r"m\.png claims more than 67,108,864 pixels"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_long_thin_mask_is_a_mask(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(whole_png(65_535, 3))
    assert datasets.read_mask(path).shape == (3, 65_535)


def test_a_image_that_is_a_program_is_not_run(tmp_path):
    """Pillow would hand EPS to Ghostscript, whatever the file is called."""
    path = tmp_path / "a.png"
    path.write_bytes(fuzz.EPS)
    with pytest.raises(DataError, match=r"a\.png is not an image, or its format"):
        datasets.read_image(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for name in "ab":
        with pytest.raises(DataError, match=rf"{name}\.png is not a file but a folder, pipe"):
            datasets.read_image(tmp_path / f"{name}.png")


def test_two_files_of_one_name_are_not_chosen_from(tmp_path):
    for folder, names in (("images", ("a.png", "a.bmp")), ("masks", ("a.png",))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / folder / name)
    with pytest.raises(DataError, match=r"a\.bmp and 'a\.png' have the same name"):
        datasets.pair_up(tmp_path / "images", tmp_path / "masks")


def test_a_name_that_no_screen_can_show_is_written_as_escapes(tmp_path):
    name = "a\udcff\x1b[31m"
    assert labels.printable(f"{name} ok\n") == "a\\udcff\\x1b[31m ok\n"
    with pytest.raises(DataError) as caught:
        folder_dataset.find(tmp_path / name)
    str(caught.value).encode()


def test_negative_labels_do_not_become_void(tmp_path):
    Image.fromarray(np.array([[-1, 0]], np.int32)).save(tmp_path / "m.tif")
    with pytest.raises(DataError, match=r"m\.tif holds the label -1; labels go from 0 to 255"):
        datasets.read_mask(tmp_path / "m.tif")
