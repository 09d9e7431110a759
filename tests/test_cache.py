"""Decoded pairs on disk: the same data set as in memory, and never an old or a broken one."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets, files
from unet_helpers.datasets import cache, camvid, carla, pets, pipeline
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.labels import DataError

SIZE = (4, 6)
SAMPLE = 3  # pairs that are decoded to find a cache


@pytest.fixture
def pairs(tmp_path, rng):
    """Twenty pairs of files; mask number i is full of i."""
    (tmp_path / "files").mkdir()
    result = []
    for i in range(20):
        image, mask = (tmp_path / "files" / f"{kind}{i:02d}.png" for kind in "im")
        Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8)).save(image)
        Image.fromarray(np.full((8, 12), i, np.uint8)).save(mask)
        result.append((image, mask))
    return result


class Reader:
    """Read pairs and count how many were read."""

    def __init__(self):
        self.count = 0

    def __call__(self, image, mask):
        self.count += 1
        return datasets.read_image(image), datasets.read_mask(mask)

    def new(self):
        """Return how many pairs were read since the last call."""
        count, self.count = self.count, 0
        return count


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "caches"


def load(pairs, reader, where, size=SIZE, **options):
    return datasets.load_pairs(pairs, reader, 20, size, cache=where, **options)


def assert_same(one, other):
    for a, b in zip(datasets.to_arrays(one), datasets.to_arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- the same data set as in memory


def test_the_disk_gives_the_pairs_of_the_memory_in_their_order(pairs, reader, folder):
    disk, memory = load(pairs, reader, folder), load(pairs, reader, "memory")
    assert disk.element_spec == memory.element_spec
    assert int(disk.cardinality()) == 20
    assert datasets.to_arrays(disk)[1][:, 0, 0].tolist() == list(range(20))
    assert_same(disk, memory)
    assert_same(disk, memory)  # twice
    assert_same(disk.skip(3).take(9), memory.skip(3).take(9))


def test_training_batches_are_those_of_the_memory_epoch_by_epoch(pairs, reader, folder):
    def two_epochs(where):
        batches = datasets.batches(load(pairs, reader, where), 6, 2, datasets.augment, seed=4)
        return [part.numpy() for batch in batches for part in batch]

    disk, memory = two_epochs(folder), two_epochs("memory")
    assert len(disk) == 16
    for a, b in zip(disk, memory, strict=True):
        np.testing.assert_array_equal(a, b)


def test_shuffling_holds_numbers_and_no_images(pairs, reader, folder):
    """All images but one are gone; it can be read all the same when it is drawn first."""
    batches = datasets.batches(load(pairs, reader, folder), 1, 1)
    first = int(next(iter(batches))[1][0, 0, 0])
    for file in next(folder.iterdir()).iterdir():
        if file.name != str(first):
            file.write_bytes(b"")
    assert int(next(iter(batches))[1][0, 0, 0]) == first


def test_a_process_may_end_in_the_middle_of_an_epoch(pairs, reader, folder):
    """Its iterator still reads ahead; the process must end all the same."""
    load(pairs, reader, folder)
    [place] = folder.iterdir()
    program = f"""if True:
        from pathlib import Path
        from unet_helpers.datasets import cache, pipeline
        pairs = cache.dataset(Path({str(place)!r}), 20, {SIZE}, lambda numbers: [])
        batches = iter(pipeline.batches(pairs, 2, 1000))
        print(next(batches)[0].shape)
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert (done.returncode, done.stdout) == (0, "(2, 4, 6, 3)\n"), done.stderr[-1000:]


# ---------------------------------------------------------------- decoded once, or anew


def change_time(pairs):
    os.utime(pairs[3][0], ns=(1, 1))


def change_image(pairs):
    Image.fromarray(np.full((8, 12, 3), 77, np.uint8)).save(pairs[3][0])


def drop_pair(pairs):
    del pairs[3]


def reverse(pairs):
    pairs.reverse()


@pytest.mark.parametrize("change", [change_time, change_image, drop_pair, reverse])
def test_changed_files_are_decoded_anew_and_a_data_set_in_use_reads_on(
    pairs, reader, folder, change
):
    first = load(pairs, reader, folder)
    before = datasets.to_arrays(first)
    assert reader.new() == SAMPLE + 20
    assert_same(load(pairs, reader, folder), first)
    assert reader.new() == SAMPLE
    change(pairs)
    assert_same(load(pairs, reader, folder), load(pairs, reader, "memory"))
    for now, then in zip(datasets.to_arrays(first), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_another_size_split_or_reader_has_a_cache_of_its_own(pairs, reader, folder):
    def inverted(image, mask, shift=0):
        return 255 - datasets.read_image(image), datasets.read_mask(mask) // 2 + shift

    for read in (reader, inverted, partial(inverted, shift=1), partial(inverted, shift=2)):
        assert_same(load(pairs, read, folder), load(pairs, read, "memory"))
    for some, size in ((pairs, (8, 12)), (pairs[:5], SIZE)):
        assert_same(load(some, reader, folder, size), load(some, reader, "memory", size))
    assert len(list(folder.iterdir())) == 6


def test_a_change_of_the_code_behind_a_reader_is_noticed(folder, monkeypatch):
    def masks():
        return datasets.to_arrays(pets.load("val", image_size=SIZE, cache=folder))[1]

    before = masks()
    monkeypatch.setattr(pets, "read_mask", lambda source: 4 - datasets.read_mask(source))
    np.testing.assert_array_equal(masks(), 2 - before)


def test_a_changed_labels_csv_is_decoded_anew(tmp_path, rng):
    root = tmp_path / "mine"
    for name, shape in (("images", (6, 8, 3)), ("masks", (6, 8))):
        (root / name).mkdir(parents=True)
        for i in range(3):
            image = rng.integers(0, 2, shape).astype(np.uint8)
            Image.fromarray(image).save(root / name / f"{i}.png")
    masks = []
    for table in ("name,id\nroad,0\ncar,1\n", "name,id\nroad,1\ncar,0\n"):
        (root / "labels.csv").write_text(table)
        dataset = folder_dataset.load("all", root, (6, 8), cache=tmp_path / "c")
        masks.append(datasets.to_arrays(dataset)[1])
    np.testing.assert_array_equal(masks[1], 1 - masks[0])


def test_encoded_images_are_known_by_their_content(pairs, reader, folder):
    def encoded(shift):
        contents = [[path.read_bytes() for path in pair] for pair in pairs]
        return [
            (datasets.images.EncodedImage(f"a/b: {i}", contents[i][0]),
             datasets.images.EncodedImage(f"a/b: mask {i}", contents[(i + shift) % 20][1]))
            for i in range(20)
        ]  # fmt: skip

    load(encoded(0), reader, folder)
    load(encoded(0), reader, folder)
    assert reader.new() == 20 + 2 * SAMPLE
    masks = datasets.to_arrays(load(encoded(1), reader, folder))[1]
    assert masks[:, 0, 0].tolist() == [*range(1, 20), 0]


# ---------------------------------------------------------------- damage, no space, no permission


@pytest.mark.parametrize("damage", [lambda file: os.truncate(file, 50), Path.unlink])
def test_a_pair_that_is_not_complete_is_decoded_again(pairs, reader, folder, damage):
    load(pairs, reader, folder)
    damage(next(folder.iterdir()) / "7")
    reader.new()
    assert_same(load(pairs, reader, folder), load(pairs, reader, "memory"))
    assert reader.new() == SAMPLE + 1 + 20


@pytest.mark.parametrize("place", [0, 95, 103])
def test_a_changed_byte_is_noticed_when_it_is_read(pairs, reader, folder, place):
    dataset = load(pairs, reader, folder)
    file = next(folder.iterdir()) / "7"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    assert len(datasets.to_arrays(dataset.take(7))[0]) == 7
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cache .* is damaged. Delete this"):
        datasets.to_arrays(dataset)


@pytest.mark.parametrize("change", ["write_text", "unlink"])
def test_a_broken_image_is_named(pairs, reader, folder, change):
    dataset = load(pairs, reader, folder)
    pairs[5][0].unlink() if change == "unlink" else pairs[5][0].write_text("not an image")
    with pytest.raises(DataError, match=r"i05\.png (does not exist|is not an image)"):
        load(pairs, reader, folder)
    assert len(datasets.to_arrays(dataset)[0]) == 20


def test_a_disk_without_space_ends_in_a_sentence(pairs, reader, folder, monkeypatch):
    free = type("Usage", (), {"free": 20 * (4 * 24 + 8) - 1})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: free)
    with pytest.raises(DataError, match=r"has 2,079 bytes free and 2,080 are needed\. Make space"):
        load(pairs, reader, folder)
    assert reader.count == SAMPLE  # it is said before the work


def test_a_disk_that_fills_while_it_is_written_ends_in_a_sentence(
    pairs, reader, folder, monkeypatch
):
    def fill(path, content):
        if (path.parent / "8").exists():
            raise OSError(28, "No space left on device")
        return whole(path, content)

    whole = Path.write_bytes
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        message = r"could not be written \(No space left on device\). Make space, name another"
        with pytest.raises(DataError, match=message):
            load(pairs, reader, folder)
    reader.new()
    assert_same(load(pairs, reader, folder), load(pairs, reader, "memory"))
    assert reader.new() == SAMPLE + 11 + 20  # those that were written are kept


def test_a_folder_that_cannot_be_written_to_ends_in_a_sentence(pairs, reader, tmp_path):
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"could not be written .*UNET_COURSE_CACHE.*'memory'"):
        load(pairs, reader, tmp_path / "file" / "caches")


# ---------------------------------------------------------------- the choice


def test_the_choice_follows_the_free_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "free_memory", lambda: 4000)
    assert cache.choose("auto", 1000, tmp_path) is None
    assert cache.choose("auto", 1001, tmp_path) == tmp_path
    assert cache.choose("auto", None, tmp_path) is None
    assert cache.choose("memory", 10**9, tmp_path) is None
    assert cache.choose("disk", 1, tmp_path) == tmp_path
    assert cache.choose(tmp_path / "b", 1, tmp_path) == tmp_path / "b"
    with pytest.raises(DataError, match=r"disk needs an image_size, such as"):
        cache.choose("disk", None, tmp_path)


def test_the_environment_overrides_auto_only(monkeypatch, tmp_path):
    monkeypatch.setenv("UNET_COURSE_CACHE", "disk")
    assert cache.choose("auto", 1, tmp_path) == tmp_path
    assert cache.choose("memory", 1, tmp_path) is None
    monkeypatch.setenv("UNET_COURSE_CACHE", str(tmp_path / "c"))
    assert cache.choose("auto", 1, tmp_path) == tmp_path / "c"
    monkeypatch.setenv("UNET_COURSE_CACHE", "memory")
    monkeypatch.setattr(cache, "free_memory", lambda: 0)
    assert cache.choose("auto", 1, tmp_path) is None


def test_free_memory_is_a_part_of_the_machine_s():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 10**7 < cache.free_memory() <= total


# ---------------------------------------------------------------- the loaders


@pytest.mark.parametrize("loader", [carla, camvid, pets])
def test_the_samples_from_the_disk(loader, monkeypatch, tmp_path):
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path))
    sizes = dict(image_size=(12, 16))
    disk = loader.load("val", cache="disk", **sizes)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert_same(disk, loader.load("val", **sizes))
    monkeypatch.setattr(pipeline, "in_threads", lambda load, pairs: pairs)  # decodes nothing
    assert_same(disk, loader.load("val", cache="disk", **sizes))


def test_results_do_not_heap_up_before_they_are_taken():
    begun = []
    results = pipeline.in_threads(lambda item: begun.append(item) or item, range(10_000))
    assert next(results) == 0
    assert len(begun) <= 4 * os.cpu_count() + 1
    assert list(results) == list(range(1, 10_000))
