"""The committed sample data: what the scripts draw, small enough, and not too easy."""

import importlib.util
import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets
from unet_helpers.datasets import camvid, carla
from unet_helpers.evaluation import baselines, confusion_matrix, scores

RECORDS = "data/tensorflow_datasets/oxford_iiit_pet/4.0.0"


def script(repo, name):
    """Import a script of data/ without leaving compiled files beside it."""
    spec = importlib.util.spec_from_file_location(name, repo / "data" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def difference(a, b):
    """Give the mean absolute difference of two images."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# ---------------------------------------------------------------- the scripts


@pytest.fixture(scope="module")
def streets(repo):
    return script(repo, "make_streets")


def test_carla_frames_are_what_the_script_draws(streets):
    image, mask = streets.render("dataD", 17)
    (pair,) = [p for p in carla.find_pairs("val") if p[0].name == "000017.png"]
    kept_image, kept_mask = carla.read_pair(*pair)
    assert image.shape == (150, 200, 3)
    assert (mask == kept_mask).mean() >= 0.995
    assert difference(image, kept_image) < 1


def test_fresh_streets_are_drawn_in_carlas_format_and_only_once(streets, tmp_path, monkeypatch):
    monkeypatch.setattr(streets, "STREETS", dict(streets.STREETS))
    assert streets.draw_fresh(6, 2, (36, 48), tmp_path) == 2
    kept = sorted(tmp_path.rglob("*.png"))
    assert [path.name for path in kept] == ["0006_0000.png", "0006_0001.png"] * 2
    kept[-1].unlink()  # a mask: the frame is drawn again
    assert streets.draw_fresh(6, 2, (36, 48), tmp_path) == 1
    assert streets.draw_fresh(6, 2, (36, 48), tmp_path) == 0
    pairs = carla.find_pairs("train", tmp_path)  # street 6 lies in dataB
    image, mask = carla.read_pair(*pairs[0])
    assert image.shape == (36, 48, 3) and mask.shape == (36, 48) and len(np.unique(mask)) > 4
    assert str(streets.fresh_street(6)) == str(streets.fresh_street(6))
    assert streets.fresh_street(6)["camera"] != streets.fresh_street(7)["camera"]


@pytest.mark.parametrize(
    "arguments", ["--recordings 4", "--recordings 5 --frames 351", "--recordings 9 --size 20 40"]
)
def test_a_large_set_that_cannot_be_is_refused(streets, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "set"), *arguments.split()])
    with pytest.raises(SystemExit):
        streets.main()
    assert "expected 5 recordings or more, 1 to 350 frames" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_large_frame_does_not_depend_on_its_bands(streets):
    image, mask = streets.render_large("dataE", 10, (45, 80), rows=45)
    other, other_mask = streets.render_large("dataE", 10, (45, 80), rows=13)
    assert image.shape == (45, 80, 3) and mask.shape == (45, 80)
    assert len(np.unique(mask)) > 5
    assert (mask == other_mask).mean() > 0.999
    assert difference(image, other) < 0.1


def test_camvid_images_are_what_the_script_draws(streets):
    image, mask = streets.render("dataD", 6, "camvid")
    (pair,) = [p for p in camvid.find_pairs("val") if p[0].name == "D_00180.png"]
    kept_image, kept_mask = camvid.read_pair(*pair)
    assert image.shape == (120, 160, 3)
    assert (np.where(mask == streets.VOID, 255, mask) == kept_mask).mean() >= 0.995
    assert difference(image, kept_image) < 1


@pytest.mark.parametrize(("split", "index"), [("train", 3), ("test", 1)])
def test_pets_are_what_the_script_draws(repo, split, index):
    image, trimap, species = script(repo, "make_pets").draw(index, split)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=80)
    image = np.asarray(Image.open(encoded))
    kept = examples(repo, split)[index]
    kept_image = np.asarray(Image.open(io.BytesIO(kept["image"])))
    kept_trimap = np.asarray(Image.open(io.BytesIO(kept["segmentation_mask"])))
    assert image.shape == kept_image.shape
    assert (trimap == kept_trimap).mean() >= 0.995
    assert difference(image, kept_image) < 4
    assert species == kept["species"]


# ---------------------------------------------------------------- the files


def test_sample_data_is_small(repo):
    data = repo / "data"
    files = [
        path
        for path in data.rglob("*")
        if path.is_file() and not {"full", "__pycache__"} & set(path.relative_to(data).parts)
    ]
    assert len(files) > 600
    assert sum(path.stat().st_size for path in files) <= 24 * 2**20


def examples(repo, split):
    """Read the examples of a TFRecord file as dicts, in the order of the file."""
    (file,) = (repo / RECORDS).glob(f"*-{split}.tfrecord-*")
    result = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        fields = tf.train.Example.FromString(record).features.feature
        values = {}
        for key, field in fields.items():
            value = list(getattr(field, field.WhichOneof("kind")).value)
            values[key] = value[0] if len(value) == 1 else value
        result.append(values)
    return result


@pytest.mark.parametrize("split", ["train", "test"])
def test_pets_records_have_the_fields_of_the_original(repo, split):
    kept = examples(repo, split)
    breeds = (repo / RECORDS / "label.labels.txt").read_text().split("\n")[:-1]
    assert len(breeds) == 37
    assert len({example["file_name"] for example in kept}) == len(kept)
    assert {example["species"] for example in kept} == {0, 1}
    sizes = set()
    for example in kept:
        assert set(example) == {
            *("file_name", "head_bbox", "image", "label", "segmentation_mask", "species")
        }
        assert example["file_name"].decode().rsplit("_", 1)[0] == breeds[example["label"]]
        image = Image.open(io.BytesIO(example["image"]))
        trimap = Image.open(io.BytesIO(example["segmentation_mask"]))
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert (trimap.format, trimap.mode) == ("PNG", "L")
        assert image.size == trimap.size
        assert len(example["head_bbox"]) == 4
        assert 0 <= min(example["head_bbox"]) <= max(example["head_bbox"]) <= 1
        assert set(np.unique(np.asarray(trimap))) == {1, 2, 3}
        sizes.add(image.size)
    assert len(sizes) > len(kept) / 4


# ---------------------------------------------------------------- how hard it is


@pytest.fixture(scope="module")
def carla_sample():
    return {split: datasets.to_arrays(carla.load(split)) for split in ("train", "val", "test")}


def test_neighbouring_frames_are_near_copies_and_recordings_are_not(carla_sample):
    images, masks = carla_sample["train"]  # 48 frames each of dataA, dataB and dataC
    agree = (masks[1:] == masks[:-1]).mean(axis=(1, 2))
    inside = np.arange(1, 144) % 48 != 0
    assert agree[inside].min() > 0.75
    apart = [(masks[i] == masks[i + 48]).mean() for i in range(96)]
    assert np.mean(apart) < np.mean(agree[inside]) - 0.2
    near = np.mean([difference(images[i], images[i + 1]) for i in range(0, 40, 5)])
    far = np.mean([difference(images[i], images[i + 48]) for i in range(0, 40, 5)])
    assert near < far / 1.5


@pytest.mark.parametrize(
    ("name", "iou", "accuracy"), [("majority class", 0.1, 0.6), ("colour only", 0.2, 1)]
)
def test_baselines_fail(carla_sample, name, iou, accuracy):
    images, truth = carla_sample["test"]
    guesses = baselines.predictions(*carla_sample["train"], images, 13)
    result = scores(confusion_matrix(truth, guesses[name], 13))
    assert 0 < result.mean_iou < iou
    assert result.pixel_accuracy < accuracy


def test_colour_alone_learns_something(carla_sample):
    pairs = zip(*carla_sample["train"], strict=True)
    lookup = baselines.learn(pairs, 13)["colour only"]
    assert np.count_nonzero(lookup != np.bincount(lookup).argmax()) > 100
