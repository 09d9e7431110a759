"""Decoded pairs on the disk: the same data set as in memory, and never an old or a broken one."""

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets, training
from unet_helpers.datasets import cache, camvid, carla, pets, pipeline
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.labels import DataError

SIZE = (4, 6)


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


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "caches"


def load(pairs, reader, where, size=SIZE, **options):
    return datasets.load_pairs(pairs, reader, 20, size, cache=where, **options)


def caches(folder):
    return [path for path in sorted(folder.iterdir()) if path.name != "lock"]


def tags(batches):
    return [int(tag) for _, masks in batches for tag in masks[:, 0, 0]]


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
    """The same order, the same augmentation, the same weights of classes."""

    def two_epochs(where):
        batches = datasets.batches(load(pairs, reader, where), 6, 2, datasets.augment, seed=4)
        batches = training.with_class_weights(batches, np.arange(20, dtype=np.float32))
        assert int(batches.cardinality()) == 8
        return [tuple(part.numpy() for part in batch) for batch in batches]

    disk, memory = two_epochs(folder), two_epochs("memory")
    assert len(disk) == 8
    for one, other in zip(disk, memory, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_whole_set_is_shuffled_anew_each_epoch(pairs, reader, folder):
    seen = tags(datasets.batches(load(pairs, reader, folder), 6, epochs=3))
    epochs = [seen[:20], seen[20:40], seen[40:]]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, list(range(20))]}) == 4


def test_shuffling_holds_numbers_and_no_images(pairs, reader, folder):
    """All images but some are gone; those that are drawn first can be read all the same."""
    dataset = load(pairs, reader, folder)
    batches = datasets.batches(dataset, 1, 1)
    first = tags(batches)[0]
    for file in caches(folder)[0].iterdir():
        if file.name != str(first):
            file.write_bytes(b"")
    _, masks = next(iter(batches))
    assert int(masks[0, 0, 0]) == first


def test_a_training_goes_on_with_the_order_that_it_would_have_had(
    pairs, reader, folder, tmp_path, capsys
):
    import keras

    def train(epochs, place):
        keras.utils.set_random_seed(1)
        batches = datasets.batches(load(pairs, reader, folder), 6, 4, datasets.augment)
        inputs = keras.Input((*SIZE, 3))
        outputs = keras.layers.Conv2D(20, 1)(keras.layers.Rescaling(1 / 255)(inputs))
        model = keras.Model(inputs, outputs)
        training.compile_model(model, steps=len(batches))
        steps = len(batches) // 4
        return training.fit(
            model, batches, None, epochs, place, progress=False, steps_per_epoch=steps
        )["loss"]

    undisturbed = train(4, tmp_path / "a")
    assert len(train(2, tmp_path / "b")) == 2
    np.testing.assert_allclose(train(4, tmp_path / "b"), undisturbed, rtol=1e-5)
    assert "Resuming after epoch 2 of 4" in capsys.readouterr().out


def test_a_process_may_end_in_the_middle_of_an_epoch(pairs, reader, folder):
    """Its iterator still reads ahead; the process must end all the same."""
    load(pairs, reader, folder)
    name, mark = caches(folder)[0].name.rsplit("-", 1)
    program = f"""
        from unet_helpers.datasets import cache, pipeline
        pairs = cache.dataset({str(folder)!r}, {name!r}, {mark!r}, 20, {SIZE}, None).repeat(1000)
        batches = iter(pipeline.batches(pairs, 2))
        print(next(batches)[0].shape)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert (done.returncode, done.stdout) == (0, "(2, 4, 6, 3)\n"), done.stderr[-1000:]


# ---------------------------------------------------------------- decoded once, or anew


def test_a_second_call_decodes_nothing(pairs, reader, folder):
    first = load(pairs, reader, folder)
    assert reader.count == 20
    second = load(pairs, reader, folder)
    assert reader.count == 20
    assert_same(first, second)


def change_time(pairs):
    os.utime(pairs[3][0], ns=(1, 1))


def change_image(pairs):
    Image.fromarray(np.full((8, 12, 3), 77, np.uint8)).save(pairs[3][0])


def drop_pair(pairs):
    del pairs[3]


def turn_round(pairs):
    pairs.reverse()


@pytest.mark.parametrize("change", [change_time, change_image, drop_pair, turn_round])
def test_changed_files_are_decoded_anew_and_the_old_cache_goes(pairs, reader, folder, change):
    load(pairs, reader, folder)
    old = caches(folder)
    change(pairs)
    assert_same(load(pairs, reader, folder), load(pairs, reader, "memory"))
    assert len(caches(folder)) == len(old) == 1
    assert caches(folder) != old


def test_other_readers_classes_and_versions_are_decoded_anew(pairs, folder, monkeypatch):
    def inverted(image, mask, shift=0):
        return 255 - datasets.read_image(image), datasets.read_mask(mask) // 2 + shift

    def plain(image, mask):
        return datasets.read_image(image), datasets.read_mask(mask)

    marks = {cache.fingerprint(pairs, read, "x") for read in (plain, inverted)}
    marks |= {cache.fingerprint(pairs, partial(inverted, shift=n), "x") for n in (1, 2)}
    marks |= {cache.fingerprint(pairs, plain, "y"), cache.fingerprint(pairs[1:], plain, "x")}
    assert len(marks) == 6
    assert cache.fingerprint(pairs, plain, "x") in marks  # the same twice
    monkeypatch.setattr(cache, "VERSION", 2)
    assert cache.fingerprint(pairs, plain, "x") not in marks


def test_other_sizes_splits_and_variants_lie_side_by_side(pairs, reader, folder):
    sets = [
        load(pairs, reader, folder),
        load(pairs, reader, folder, size=(8, 12)),
        load(pairs[:5], reader, folder, description="val"),
        load(pairs[:7], reader, folder, variant=("random", 1)),
    ]
    assert [int(dataset.cardinality()) for dataset in sets] == [20, 20, 5, 7]
    for dataset in sets:
        assert len(datasets.to_arrays(dataset)[1]) == int(dataset.cardinality())
    assert len(caches(folder)) == 4


def test_encoded_images_are_known_by_their_content(pairs, reader, folder):
    def encoded(shift):
        contents = [[path.read_bytes() for path in pair] for pair in pairs]
        return [
            (datasets.EncodedImage(f"a/b: {i}", contents[i][0]),
             datasets.EncodedImage(f"a/b: mask {i}", contents[(i + shift) % 20][1]))
            for i in range(20)
        ]  # fmt: skip

    load(encoded(0), reader, folder)
    load(encoded(0), reader, folder)
    assert reader.count == 20
    masks = datasets.to_arrays(load(encoded(1), reader, folder))[1]
    assert masks[:, 0, 0].tolist() == [*range(1, 20), 0]


# ---------------------------------------------------------------- damage, no space, no permission


def cut_off(place):
    os.truncate(place / "7", 50)


def lose_one(place):
    (place / "7").unlink()


def add_one(place):
    (place / "20").write_bytes((place / "7").read_bytes())


def empty(place):
    for file in place.iterdir():
        file.unlink()


@pytest.mark.parametrize("damage", [cut_off, lose_one, add_one, empty])
def test_a_cache_that_is_not_whole_is_written_anew(pairs, reader, folder, damage):
    load(pairs, reader, folder)
    damage(caches(folder)[0])
    assert_same(load(pairs, reader, folder), load(pairs, reader, "memory"))
    assert reader.count == 60
    assert len(caches(folder)) == 1


@pytest.mark.parametrize("place", [0, 50, 95, 96, 103])
def test_a_changed_byte_is_noticed_when_it_is_read(pairs, reader, folder, place):
    dataset = load(pairs, reader, folder)
    file = caches(folder)[0] / "7"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    pairs_read = iter(dataset)
    for _ in range(7):
        next(pairs_read)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cache is damaged. Delete its fold"):
        next(pairs_read)


def test_what_a_killed_process_left_is_removed(pairs, reader, folder):
    (folder / "part-x-4x6-0").mkdir(parents=True)
    (folder / "part-x-4x6-0" / "0").write_text("half")
    assert tags(load(pairs, reader, folder).batch(20)) == list(range(20))
    assert [path.name[:6] for path in caches(folder)] == ["images"]


def test_a_broken_image_is_named_and_leaves_the_old_cache(pairs, reader, folder):
    load(pairs, reader, folder)
    old = caches(folder)
    pairs[5][0].write_text("no image")
    with pytest.raises(DataError, match=r"i05\.png is no image"):
        load(pairs, reader, folder)
    assert caches(folder) == old
    pairs[5][0].unlink()
    with pytest.raises(DataError, match=r"i05\.png does not exist"):
        load(pairs, reader, folder)


def test_a_disk_without_space_ends_in_a_sentence(pairs, reader, folder, monkeypatch):
    load(pairs, reader, folder)
    old = caches(folder)
    change_time(pairs)
    free = type("Usage", (), {"free": 20 * (4 * 24 + 8) - 1})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: free)
    with pytest.raises(DataError, match=r"GB free and .* needed\. Make space"):
        load(pairs, reader, folder)
    assert caches(folder) == old
    assert reader.count == 20  # it is said before the work


def test_a_disk_that_fills_while_it_is_written_ends_in_a_sentence(
    pairs, reader, folder, monkeypatch
):
    load(pairs, reader, folder)
    old = caches(folder)
    change_time(pairs)

    def fill(path, content):
        if path.name == "9":
            raise OSError(28, "No space left on device")
        return whole(path, content)

    whole = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(DataError, match=r"could not be written \(No space left on device\). Make"):
        load(pairs, reader, folder)
    assert caches(folder) == old


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
    with pytest.raises(DataError, match=r"one size: give the loader an image_size"):
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
    assert len(caches(tmp_path / "cache")) == 1
    assert_same(disk, loader.load("val", **sizes))
    monkeypatch.setattr(pipeline, "in_threads", None)  # decoding would fail
    assert_same(disk, loader.load("val", cache="disk", **sizes))


def test_splits_of_two_seeds_do_not_replace_each_other(tmp_path):
    sets = [
        carla.load("val", image_size=(6, 8), split_by=way, seed=seed, cache=tmp_path)
        for way, seed in (("recording", 0), ("random", 0), ("random", 1))
    ]
    assert len(caches(tmp_path)) == 3
    for dataset in sets:
        assert datasets.to_arrays(dataset)[0].shape == (int(dataset.cardinality()), 6, 8, 3)


def test_a_changed_labels_csv_is_decoded_anew(tmp_path, rng):
    root = tmp_path / "mine"
    for name, shape in (("images", (6, 8, 3)), ("masks", (6, 8))):
        (root / name).mkdir(parents=True)
        for i in range(3):
            image = rng.integers(0, 2, shape).astype(np.uint8)
            Image.fromarray(image).save(root / name / f"{i}.png")
    (root / "labels.csv").write_text("name,id\nroad,0\ncar,1\n")
    before = datasets.to_arrays(folder_dataset.load("all", root, (6, 8), cache=tmp_path / "c"))[1]
    (root / "labels.csv").write_text("name,id\nroad,1\ncar,0\n")
    after = datasets.to_arrays(folder_dataset.load("all", root, (6, 8), cache=tmp_path / "c"))[1]
    np.testing.assert_array_equal(after, 1 - before)
    assert len(caches(tmp_path / "c")) == 1


# ---------------------------------------------------------------- decoding in threads


def test_results_do_not_heap_up_before_they_are_taken():
    begun = []
    results = pipeline.in_threads(lambda item: begun.append(item) or item, range(10_000))
    assert next(results) == 0
    assert len(begun) <= 4 * os.cpu_count() + 1
    assert list(results) == list(range(1, 10_000))
