"""Damaged and hostile inputs for everything that reads files; test_fuzz.py runs them.

Every function in READERS writes an input into an empty folder and returns a function that reads
it. `random` is a random.Random in which Hypothesis makes the choices, so that it can simplify an
input that fails. Reading ends in a result or in a DataError. Everything else is a fault: another
exception, a crash, more than LIMIT seconds, or a file left half-written.
"""

import functools
import io
import json
import os
import shutil
import signal
import socket
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets, inference
from unet_helpers.datasets import carla, checks, pets
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.labels import DataError
from unet_helpers.models import pretrained
from unet_helpers.training import checkpoint

DATA = Path(__file__).resolve().parent.parent / "data"
LIMIT = 20
SIZE = (12, 16)


def noise(random, top, *shape):
    """Draw uint8 values below top; only their seed is a choice that Hypothesis simplifies."""
    return np.random.default_rng(random.getrandbits(32)).integers(0, top, shape).astype(np.uint8)


# ---------------------------------------------------------------- bytes


def damage(data, random):
    """Change bytes in one of eleven ways."""
    place = random.randrange(max(len(data), 1))
    end = place + random.randrange(1, max(2, min(400, len(data))))
    new = noise(random, 256, end - place).tobytes()
    flipped = bytearray(data)
    first = random.choice([64, len(data)])  # sizes and kinds stand in the first bytes
    for _ in range(random.randrange(1, 20)):
        if data:
            flipped[random.randrange(min(first, len(data)))] ^= 1 << random.randrange(8)
    ways = [
        *(flipped, flipped, new, b"", data + new, data[:place], data[:place] + data[end:]),
        *(data[:place] + new + data[end:], data[:place] + new + data[place:]),
        *(data[:end] + data[place:], data[:place] + bytes(end - place) + data[end:]),
    ]
    return bytes(random.choice(ways))


def damage_text(text, random):
    """Insert characters that mean something in tables, lists and JSON."""
    pieces = [*',\n"#-{} \0/\u00e9\u202e', "0", "255", "256", "99999999999", "..", "void"]
    pieces += ["name", "id", "colour", "[" * 2000, "null", "1e999", "NaN"]
    for _ in range(random.randrange(1, 5)):
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice(pieces) + text[place + random.choice([0, 0, 1, 3]) :]
    return text.encode("utf-8", "replace")


def damage_member(data, random, change=damage, name=None):
    """Damage one file, or the named one, inside a zip; the zip itself stays valid."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = name or random.choice(list(files))
    files[name] = change(files[name], random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# ---------------------------------------------------------------- images


def encode(array, kind, mode=None, **options):
    """Encode an array as an image file; returns its bytes."""
    image = Image.fromarray(array)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def with_png_size(data, width, height):
    """Write other sizes into a PNG's header, with the checksum that belongs to them."""
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/ran) (w) file closefile\nshowpage\n"
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a viewer turns it by a quarter
SIDES = (0, 1, 9, 12, 8_190, 20_000, 65_500, 65_535, 2**31 - 1, 2**31)


def any_image(random, mask):
    """Make an image in one of many formats, or one that only claims to be one."""
    array = noise(random, 3 if mask else 256, *SIZE, 3)
    grey = array[..., 0]
    usual = grey if mask else array
    frames = dict(save_all=True, append_images=[Image.fromarray(array[::-1])])
    width, height = random.choice(SIDES), random.choice(SIDES)
    makers = [
        lambda: encode(grey, "PNG"),
        lambda: encode(array, "PNG"),
        lambda: encode(array, random.choice(["JPEG", "BMP", "GIF", "PPM", "TGA", "ICO"])),
        lambda: encode(array, "PNG", random.choice(["1", "L", "LA", "P", "RGBA"])),
        lambda: encode(array, "PNG", "P", transparency=3),
        lambda: encode(grey.astype(np.uint16) * 257, "PNG"),
        lambda: encode(grey.astype(np.int32) - 9, "TIFF"),
        lambda: encode(grey.astype(np.float32) / 0.7, "TIFF"),
        lambda: encode(array, "TIFF", random.choice(["CMYK", "LAB"])),
        lambda: encode(
            array, "TIFF", compression="tiff_" + random.choice(["lzw", "adobe_deflate"])
        ),
        lambda: encode(grey, "TIFF", "1", compression="group4"),
        lambda: encode(array, "JPEG", random.choice(["L", "CMYK"])),
        lambda: encode(array, "JPEG", progressive=True),
        lambda: encode(array, random.choice(["GIF", "WEBP", "PNG"]), **frames),
        lambda: encode(array, "WEBP", lossless=True),
        lambda: encode(grey, "BMP", "1"),
        lambda: encode(usual, "PNG", exif=TURNED),
        lambda: encode(grey // 2 * 255, random.choice(["PNG", "JPEG"])),  # black and white
        lambda: encode(array[:5], "PNG"),  # of another size than its partner
        lambda: random.choice([EPS, b"<svg><image href='file:///x'/></svg>", b"<html>404</html>"]),
        lambda: with_png_size(encode(usual, "PNG"), width, height),
    ]
    data = random.choice(makers)()
    return damage(data, random) if random.random() < 0.5 else data


def image_input(reader, mask):
    """Make the function for one of the readers of single images."""

    def make(root, random):
        path = root / "a.png"
        path.write_bytes(any_image(random, mask))
        if random.random() < 0.05:
            make_odd(path, random)
        return lambda: reader(path)

    return make


# ---------------------------------------------------------------- folders

NAMES = ("-rf", "a\nb", "x" * 240, "..", "...", ".hidden", " ", "a.png", "ONE", "CON", "0", "%s{}")
NAMES += ("caf\u00e9", "cafe\u0301", "\u202egnp", "\x01\x1b[31m", "\udcff\udcfe", "\U0001f600")
NAMES += ("more/a", "a.heic")


def plant(path, data):
    """Write bytes to a file; what the file system refuses is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(data)
    except (OSError, ValueError):
        return


def make_odd(path, random):
    """Put something at a path that is not a regular file: a folder, a pipe, a link, a socket."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    way = random.choice(["folder", "pipe", "socket", "secret", *["link"] * 5])
    if way == "folder":
        path.mkdir()
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "secret":
        path.touch(0o000)
    elif way == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            try:
                server.bind(str(path))
            except OSError:  # its address may be too long
                path.touch()
    else:
        places = ("/etc/passwd", "/dev/zero", "/dev/stdin", path.name, "gone", "/")
        path.symlink_to(random.choice(places))


def spoil(root, random, texts=()):
    """Change one to three things in a folder of images: contents, kinds of files, names."""
    for _ in range(random.randrange(1, 4)):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        if not files:
            return
        path, way = random.choice(files), random.randrange(10)
        is_mask = any(word in str(path.parent) for word in ("mask", "annot", "Seg", "trimaps"))
        if path.name in texts and way < 6:
            text = path.read_bytes().decode("utf-8", "replace")
            path.write_bytes(damage_text(text, random))
        elif way < 3:
            path.write_bytes(damage(path.read_bytes(), random))
        elif way < 6:
            path.write_bytes(any_image(random, is_mask))
        elif way == 6:  # image and mask exchanged, or two images
            other = random.choice(files)
            mine, theirs = path.read_bytes(), other.read_bytes()
            path.write_bytes(theirs)
            other.write_bytes(mine)
        elif way == 7:
            make_odd(path, random)
        elif way == 8:
            name = random.choice(NAMES) + random.choice([".png", ".jpg", ".PNG", ""])
            plant(path.parent / name, any_image(random, is_mask))
        else:
            plant(path.parent / (random.choice(NAMES) + path.suffix), path.read_bytes())
            path.unlink()


def image(random, top, kind="PNG", channels=3):
    """Make the bytes of a whole image of random values below top, or of a mask of one channel."""
    return encode(noise(random, top, *SIZE, 3)[..., :channels].squeeze(), kind)


def carla_input(root, random):
    for recording in ("dataA", "dataD"):
        for i in range(2):
            folder = root / recording / recording
            plant(folder / "CameraRGB" / f"{i}.png", image(random, 256))
            plant(folder / "CameraSeg" / f"{i}.png", image(random, 13))
    spoil(root, random)
    return lambda: list(carla.load("all", root, (8, 8)))


def own_folder(root, random):
    """Write and spoil a folder in the format of one's own images."""
    painted = random.random() < 0.4
    colours = np.array([(128, 64, 128), (0, 0, 142), (0, 0, 0)], np.uint8)
    for i in range(8):
        plant(root / "images" / f"{i}.jpg", image(random, 256, "JPEG"))
        ids = noise(random, 3, *SIZE)
        plant(root / "masks" / f"{i}.png", encode(colours[ids] if painted else ids, "PNG"))
    table = "name,id,colour\nroad,0,#804080\ncar,1,0 0 142\nvoid,2,#000000\n"
    if random.random() < 0.3:  # black and white
        table = "name,id\nroad,0\ncar,1\nvoid,255\n"
        for path in (root / "masks").iterdir():
            path.write_bytes(encode(255 * noise(random, 2, *SIZE), "PNG"))
    (root / "labels.csv").write_text(table)
    lists = {"train.txt": "0\n1\n2.jpg\n", "val.txt": "3\n", "test.txt": "4\n5.png\n"}
    if random.random() < 0.4:
        for name, text in lists.items():
            (root / name).write_text(text)
    spoil(root, random, ("labels.csv", *lists))


def folder_input(root, random):
    own_folder(root, random)
    return lambda: list(folder_dataset.load("train", root, (8, 8)))


def checks_input(root, random):
    own_folder(root, random)

    def run():
        splits = {split: folder_dataset.find_pairs(split, root) for split in folder_dataset.SPLITS}
        report = checks.check_pairs(splits, **folder_dataset.files(root))
        str(report).encode()  # a screen must be able to show it

    return run


def archives_input(root, random):
    names = [f"Bengal_{i}" for i in range(8)]
    for name in names:
        plant(root / "images" / f"{name}.jpg", image(random, 256, "JPEG"))
        trimap = encode(1 + noise(random, 3, *SIZE), "PNG")
        plant(root / "annotations" / "trimaps" / f"{name}.png", trimap)
    listing = "".join(f"{name} 6 1 2\n" for name in names)
    (root / "annotations" / "trainval.txt").write_text(listing)
    spoil(root, random, ("trainval.txt",))
    return lambda: list(pets.load("train", root, (8, 8)))


def tfds_input(root, random):
    place = root / "oxford_iiit_pet" / "4.0.0"
    place.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        shutil.copy(DATA / "tensorflow_datasets/oxford_iiit_pet/4.0.0" / name, place)

    def encoded(values):
        features = {
            key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for key, value in values.items()
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    records = place / "oxford_iiit_pet-train.tfrecord-00000-of-00001"
    odd = random.randrange(16)  # half of the inputs have one odd record
    with tf.io.TFRecordWriter(str(records)) as writer:
        for i in range(8):
            values = {
                "file_name": f"Bengal_{i}.jpg".encode(),
                "image": image(random, 256, "JPEG"),
                "segmentation_mask": encode(1 + noise(random, 3, *SIZE), "PNG"),
            }
            if i == odd:
                values["file_name"] = random.choice([b"\xff\xfe", b"../a", b"", b"a.jpg"])
                values[random.choice(["image", "segmentation_mask"])] = any_image(random, True)
                if random.random() < 0.2:
                    del values[random.choice(list(values))]
            data = encoded(values)
            # with a checksum that fits: what a hostile writer would send
            writer.write(damage(data, random) if i == odd and random.random() < 0.3 else data)
    way, path = random.randrange(8), random.choice(sorted(place.iterdir()))
    if way < 3:
        records.write_bytes(damage(records.read_bytes(), random))
    elif way == 3:
        path.write_bytes(damage_text(path.read_bytes().decode("latin-1"), random))
    elif way == 4:
        make_odd(path, random)
    elif way == 5:
        path.rename(path.with_name(path.name.replace("00001", "x0001")))
    return lambda: list(pets.load("train", root, (8, 8)))


# ---------------------------------------------------------------- models, checkpoints, the cache


@functools.cache
def small_model():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(x))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    return model


@functools.cache
def saved_model():
    """Return the bytes of a model's file."""
    with tempfile.TemporaryDirectory() as folder:
        small_model().save(Path(folder) / "a.keras")
        return (Path(folder) / "a.keras").read_bytes()


@functools.cache
def saved_training():
    """Return what a training run of one epoch leaves: a dict from file names to bytes."""
    with tempfile.TemporaryDirectory() as folder:
        checkpointer, model = checkpoint.Checkpointer(folder), small_model()
        checkpointer.restore(model)  # nothing, but the model is described
        checkpointer.set_model(model)
        checkpointer.on_train_begin()
        checkpointer.on_epoch_end(0, {"loss": 0.5, "seconds": 1.0, "val_mean_iou": 0.1})
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@functools.cache
def stored_network():
    """Return a stored network, the bytes of its file and its arrays."""
    source = DATA / "trained" / "fcn_32s.npz"
    with np.load(source) as arrays:
        return pretrained.build("fcn_32s"), source.read_bytes(), dict(arrays)


def model_input(root, random):
    data, way = saved_model(), random.randrange(3)
    if way == 0:
        data = damage(data, random)
    else:
        config = (hostile_config, "config.json") if way == 1 else ()
        data = damage_member(data, random, *config)
    path = root / random.choice(["a.keras", "a.keras", "a.h5"])
    path.write_bytes(data)
    return lambda: inference.load_model(path)


WORDS = ("Conv2D", "Dropout", "BatchNormalization", "Functional", "GlorotUniform", "InputLayer")
WORDS += ("relu", "keras.layers", "keras.src.models.functional")
OTHERS = ("Lambda", "StringLookup", "TorchModuleWrapper", "Dense", "Reshape", "os", "system")
OTHERS += ("builtins", "eval", "subprocess", "antigravity", "__main__", "keras.utils", "get_file")
OTHERS += ("keras.src.utils.file_utils", "keras.config", "enable_unsafe_deserialization")


def hostile_config(text, random):
    """Change a model's description: other classes, other modules, other numbers."""
    text, way = text.decode(), random.randrange(4)
    if way == 0:
        return damage_text(text, random)
    if way == 1:
        return text.replace(random.choice(WORDS), random.choice(OTHERS)).encode()
    config = json.loads(text)
    layer = random.choice(config["config"]["layers"])
    if way == 2:
        key = random.choice(["filters", "axis", "rate", "kernel_size", "dtype", "name"])
        layer["config"][key] = random.choice([-1, 0, 99_999, None, "x", [], {}, 1e30, [3], True])
    else:
        layer["module"], layer["class_name"] = random.choice(OTHERS), random.choice(OTHERS)
    return json.dumps(config).encode()


def pretrained_input(root, random):
    model, data, arrays = stored_network()
    pretrained.build = lambda name: model
    path, way = root / "fcn_32s.npz", random.randrange(8)
    if way == 0:
        odd = [np.array([{"a": 1}], object), np.zeros(3), np.float32(np.nan), np.array("x")]
        odd += [np.zeros((0, 2)), np.ones((2, 2), complex), np.zeros(10**7, np.float64)]
        np.savez_compressed(path, **{**arrays, random.choice(list(arrays)): random.choice(odd)})
    elif way == 1:
        change = lambda content, random: damage(content[:128], random) + content[128:]  # noqa: E731
        path.write_bytes(damage_member(data, random, change))
    elif way == 2:
        with open(path, "wb") as file:
            np.save(file, random.choice([np.zeros(3), np.array([{}], object)]))
    elif way == 3:
        make_odd(path, random)
    else:
        path.write_bytes(damage(data, random))
    return lambda: pretrained.load("fcn_32s", folder=root)


def checkpoint_input(root, random):
    files, model = saved_training(), small_model()
    for name, data in files.items():
        (root / name).write_bytes(data)
    name, way = random.choice(["history.json", "epoch-1.weights.h5"]), random.randrange(8)
    if way < 3 and name == "history.json":
        (root / name).write_bytes(damage_text(files[name].decode(), random))
    elif way == 3:
        make_odd(root / name, random)
    elif way == 4 and name == "history.json":
        state = json.loads(files[name])
        histories = [{"loss": 3}, {"loss": [1]}, {"loss": ["a"]}, {"loss": [0.5], "a": []}]
        odd = [None, [], {}, "x", "../x", 7, [[]], *histories]
        state[random.choice(list(state))] = random.choice(odd)
        (root / name).write_text(json.dumps(state))
    elif way != 5:
        (root / name).write_bytes(damage(files[name], random))
    return lambda: checkpoint.Checkpointer(root).restore(model)


def cache_input(root, random):
    """Damage a cache of six pairs and read it: the right pairs, or an error that says so."""
    truth = [np.full((*SIZE, 3), 30 * i, np.uint8) for i in range(6)]
    for i, values in enumerate(truth):
        (root / f"i{i}.png").write_bytes(encode(values, "PNG"))
        (root / f"m{i}.png").write_bytes(encode(np.full(SIZE, i, np.uint8), "PNG"))
    pairs = [(root / f"i{i}.png", root / f"m{i}.png") for i in range(6)]

    def read_pair(image, mask):
        return datasets.read_image(image), datasets.read_mask(mask)

    def load():
        return datasets.load_pairs(pairs, read_pair, 6, SIZE, cache=root / "caches")

    load()
    [place] = (root / "caches").iterdir()
    path, way = place / str(random.randrange(6)), random.randrange(8)
    if way == 0:
        make_odd(path, random)
    elif way == 1:
        (place / random.choice(["7", "x", "00", "part-1"])).write_bytes(b"123456789")
    elif way == 2:
        path.rename(place / "6")
    elif way == 3:
        make_odd(place, random)
    elif way == 4:
        path.write_bytes(noise(random, 256, path.stat().st_size).tobytes())
    else:
        path.write_bytes(damage(path.read_bytes(), random))

    def run():
        try:
            images, masks = datasets.to_arrays(load())
        except tf.errors.InvalidArgumentError as error:  # TensorFlow passes our sentence on
            assert "Delete this folder; the images are decoded anew" in error.message
            raise DataError(error.message) from None
        assert np.array_equal(images, truth), "wrong images"
        assert masks[:, 0, 0].tolist() == list(range(6)), "wrong masks"

    return run


READERS = {
    "read_image": image_input(datasets.read_image, False),
    "read_mask": image_input(datasets.read_mask, True),
    "read_red_channel": image_input(datasets.read_red_channel, True),
    "carla": carla_input,
    "pets-archives": archives_input,
    "pets-tfds": tfds_input,
    "folder": folder_input,
    "check_pairs": checks_input,
    "load_model": model_input,
    "pretrained": pretrained_input,
    "checkpoint": checkpoint_input,
    "cache": cache_input,
}


class TooLong(BaseException):
    """The time of one input is over."""


def outcome(reader, random):
    """Make and read one input; returns "result" or "sentence", and raises any fault."""

    def stop(*_):
        raise TooLong(f"{reader} took more than {LIMIT} seconds")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "one"
        root.mkdir()
        run = READERS[reader](root, random)
        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(LIMIT)
        try:
            run()
            return "result"
        except DataError as error:
            str(error).encode()  # every screen can show it
            return "sentence"
        except SystemExit as error:
            raise AssertionError("a reader may not end the process") from error
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
