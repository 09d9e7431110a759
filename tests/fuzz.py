"""Damaged and hostile inputs for everything that reads files, from a seed.

python tests/fuzz.py                 1,000 inputs through every reader, a table of the outcomes
python tests/fuzz.py own 5000        one reader, more inputs
python tests/fuzz.py own 1 --from 77 --show     one input again, with what it said

An input ends in a result or in a DataError. Everything else is a fault: another exception, a
process that crashes, one that takes longer than LIMIT seconds, or a file left half-written.
"""

import argparse
import collections
import gzip
import io
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))
LIMIT = 20
SIZE = (12, 16)


class TooLong(BaseException):
    """The time of one input is over."""


# ---------------------------------------------------------------- bytes


def damage(data, rng):
    """Change bytes in one of eleven ways."""
    data = bytearray(data)
    place = int(rng.integers(0, max(len(data), 1)))
    length = int(rng.integers(1, max(2, min(400, len(data)))))
    noise = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    way = rng.integers(0, 11)
    if way == 0:
        return bytes(data[:place])
    if way == 1:
        for _ in range(rng.integers(1, 20)):
            if data:
                data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
    if way == 2:
        data[place : place + length] = noise
    if way == 3:
        del data[place : place + length]
    if way == 4:
        data[place:place] = noise
    if way == 5:
        data[place:place] = data[place : place + length]
    if way == 6:
        data[place : place + length] = bytes(length)
    if way == 7:
        return noise
    if way == 8:
        return b""
    if way == 9:  # the first bytes, where sizes and kinds stand
        for _ in range(rng.integers(1, 6)):
            if data:
                data[rng.integers(0, min(64, len(data)))] = int(rng.integers(0, 256))
    if way == 10:
        data += noise
    return bytes(data)


def damage_text(text, rng):
    """Change a text by characters that mean something in tables, lists and JSON."""
    pieces = [*',\n"#-{} \0/\u00e9\u202e', "0", "255", "256", "99999999999", "..", "void"]
    pieces += ["name", "id", "colour", "[" * 2000, "null", "1e999", "NaN"]
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, len(text) + 1))
        cut = int(rng.choice([0, 0, 1, 3]))
        text = text[:place] + str(rng.choice(pieces)) + text[place + cut :]
    return text


# ---------------------------------------------------------------- images


def encode(array, kind, mode=None, **options):
    image = Image.fromarray(array)
    if mode:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_png_size(data, width, height):
    """Write other sizes into a PNG's header, with the checksum that belongs to them."""
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def with_jpeg_size(data, width, height):
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def with_tiff_size(data, width, height):
    """Change the entries 256 and 257 of a little-endian TIFF to 32-bit sizes."""
    data = bytearray(data)
    start = struct.unpack("<I", data[4:8])[0]
    for i in range(struct.unpack("<H", data[start : start + 2])[0]):
        entry = start + 2 + 12 * i
        tag = struct.unpack("<H", data[entry : entry + 2])[0]
        if tag in (256, 257):
            value = width if tag == 256 else height
            data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/ran) (w) file closefile\nshowpage\n"
SIZES = (
    (65_535, 65_535),
    (65_535, 1),
    (1, 65_535),
    (0, 0),
    (0, 9),
    (2**31 - 1, 1),
    (2**31, 2),
    (8_190, 8_190),
    (20_000, 20_000),
    (65_500, 12),
)


def any_image(rng, mask):
    """Make an image in one of many formats, or one that only claims to be one."""
    array = rng.integers(0, 3 if mask else 256, (*SIZE, 3)).astype(np.uint8)
    grey = array[..., 0]
    other = [Image.fromarray(array[::-1])]
    width, height = SIZES[rng.integers(0, len(SIZES))]
    makers = [
        lambda: encode(grey, "PNG"),
        lambda: encode(array, "PNG"),
        lambda: encode(grey, "PNG", "P"),
        lambda: encode(array, "PNG", "P", transparency=3),
        lambda: encode(array, "PNG", "RGBA"),
        lambda: encode(array, "PNG", "LA"),
        lambda: encode(grey, "PNG", "1"),
        lambda: encode(grey.astype(np.uint16) * 257, "PNG"),
        lambda: encode(grey.astype(np.int32) - 9, "TIFF"),
        lambda: encode(grey.astype(np.float32) / 0.7, "TIFF"),
        lambda: encode(array, "TIFF", "CMYK"),
        lambda: encode(array, "TIFF", "LAB"),
        lambda: encode(array, "TIFF", compression="tiff_lzw"),
        lambda: encode(array, "TIFF", compression="tiff_adobe_deflate"),
        lambda: encode(grey, "TIFF", "1", compression="group4"),
        lambda: encode(array, "JPEG"),
        lambda: encode(array, "JPEG", "CMYK"),
        lambda: encode(array, "JPEG", progressive=True),
        lambda: encode(grey, "JPEG"),
        lambda: encode(array, "GIF", save_all=True, append_images=other),
        lambda: encode(array, "WEBP", save_all=True, append_images=other),
        lambda: encode(array, "WEBP", lossless=True),
        lambda: encode(array, "BMP"),
        lambda: encode(grey, "BMP", "1"),
        lambda: encode(array, "PNG", save_all=True, append_images=other),
        lambda: encode(array, "PPM"),
        lambda: encode(array, "TGA"),
        lambda: encode(array, "ICO"),
        lambda: encode(array[:5], "PNG"),  # of another size than its partner
        lambda: EPS,
        lambda: b"<svg><image href='file:///etc/passwd'/></svg>",
        lambda: b"<html>404</html>",
        lambda: with_png_size(encode(grey if mask else array, "PNG"), width, height),
        lambda: with_jpeg_size(encode(array, "JPEG"), width % 65_536, height % 65_536),
        lambda: with_tiff_size(encode(grey if mask else array, "TIFF"), width, height),
        lambda: b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encode(grey, "GIF")[10:],
        lambda: (
            encode(array, "BMP")[:18]
            + struct.pack("<ii", width % 2**31, -(height % 2**31))
            + (encode(array, "BMP")[26:])
        ),
    ]
    data = makers[rng.integers(0, len(makers))]()
    return damage(data, rng) if rng.random() < 0.5 else data


def good_image(rng, top, kind="PNG", channels=3):
    array = rng.integers(0, top, (*SIZE, channels)).astype(np.uint8)
    return encode(array[..., 0] if channels == 1 else array, kind)


NAMES = (
    "-rf",
    "a\nb",
    "x" * 240,
    "..",
    "...",
    ".hidden",
    " ",
    "a.png",
    "caf\u00e9",
    "cafe\u0301",
    "ONE",
    "\u202egnp",
    "%s{}",
    "\x01\x1b[31m",
    "\udcff\udcfe",
    "😀",
    "CON",
    "0",
)


def plant(folder, name, data):
    """Write bytes to a file; what the file system refuses is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / name).write_bytes(data)
    except (OSError, ValueError):
        return


def make_odd(path, rng):
    """Put something at a path that is no plain file: a folder, a pipe, a link, a socket."""
    if path.is_symlink() or path.exists():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    way = rng.integers(0, 9)
    if way == 0:
        path.mkdir()
    elif way == 1:
        os.mkfifo(path)
    elif way == 2:
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(path.parent)  # a socket's address is short
            try:
                server.bind(path.name)
            except OSError:
                path.touch()
            finally:
                os.chdir(here)
    elif way == 8:
        path.touch(0o000)
    else:
        places = ("/etc/passwd", "/dev/zero", "/dev/stdin", path.name, "gone", "/")
        path.symlink_to(places[(way - 3) % len(places)])


# ---------------------------------------------------------------- folders


def spoil(root, rng, texts=()):
    """Change one to three things in a folder of images: contents, kinds of files, names."""
    for _ in range(rng.integers(1, 4)):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        if not files:
            return
        path = files[rng.integers(0, len(files))]
        is_mask = any(word in str(path.parent) for word in ("mask", "annot", "Seg", "trimaps"))
        way = rng.integers(0, 10)
        if path.name in texts:
            if way < 6:
                text = damage_text(path.read_bytes().decode("utf-8", "replace"), rng)
                path.write_bytes(text.encode("utf-8", "replace"))
            elif way < 9:
                path.write_bytes(damage(path.read_bytes(), rng))
            else:
                make_odd(path, rng)
        elif way < 4:
            path.write_bytes(any_image(rng, is_mask))
        elif way < 6:
            path.write_bytes(damage(path.read_bytes(), rng))
        elif way == 6:  # image and mask exchanged, or two images
            other = files[rng.integers(0, len(files))]
            if other.is_file() and other.name not in texts:
                mine, theirs = path.read_bytes(), other.read_bytes()
                path.write_bytes(theirs)
                other.write_bytes(mine)
        elif way == 7:
            make_odd(path, rng)
        elif way == 8:
            name = NAMES[rng.integers(0, len(NAMES))]
            plant(
                path.parent,
                name + str(rng.choice([".png", ".jpg", ".PNG", ""])),
                (any_image(rng, is_mask)),
            )
        else:
            name = NAMES[rng.integers(0, len(NAMES))] + path.suffix
            try:
                path.rename(path.with_name(name))
            except (OSError, ValueError):
                path.unlink()


def carla_input(root, rng):
    from unet_helpers.datasets import carla

    for recording in ("dataA", "dataD"):
        for i in range(2):
            folder = root / recording / recording
            plant(folder / "CameraRGB", f"{i}.png", good_image(rng, 256))
            plant(folder / "CameraSeg", f"{i}.png", good_image(rng, 13))
    spoil(root, rng)
    return lambda: list(carla.load("all", root, (8, 8)))


def camvid_input(root, rng):
    from unet_helpers.datasets import camvid

    for i in range(3):
        plant(root / "train", f"{i}.png", good_image(rng, 256))
        plant(root / "trainannot", f"{i}.png", good_image(rng, 12, channels=1))
    spoil(root, rng)
    return lambda: list(camvid.load("train", root, (8, 8)))


def own_folder(root, rng):
    painted = rng.random() < 0.4
    colours = np.array([(128, 64, 128), (0, 0, 142), (0, 0, 0)], np.uint8)
    for i in range(8):
        plant(root / "images", f"{i}.jpg", good_image(rng, 256, "JPEG"))
        ids = rng.integers(0, 3, SIZE).astype(np.uint8)
        plant(root / "masks", f"{i}.png", encode(colours[ids] if painted else ids, "PNG"))
    (root / "labels.csv").write_text(
        "name,id,colour\nroad,0,#804080\ncar,1,0 0 142\nvoid,2,#000000\n"
    )
    if rng.random() < 0.4:
        for split, names in (("train", "0\n1\n2.jpg\n"), ("val", "3\n"), ("test", "4\n5.png\n")):
            (root / f"{split}.txt").write_text(names)
    spoil(root, rng, ("labels.csv", "train.txt", "val.txt", "test.txt"))


def own_input(root, rng):
    from unet_helpers.datasets import folder as folder_dataset

    own_folder(root, rng)
    return lambda: list(folder_dataset.load("train", root, (8, 8)))


def checks_input(root, rng):
    from unet_helpers.datasets import folder as folder_dataset
    from unet_helpers.datasets.checks import check_pairs

    pass

    own_folder(root, rng)

    def run():
        splits = {split: folder_dataset.find_pairs(split, root) for split in folder_dataset.SPLITS}
        str(
            check_pairs(splits, **folder_dataset.files(root))
        ).encode()  # a screen must be able to show it

    return run


def archives_input(root, rng):
    from unet_helpers.datasets import pets

    names = [f"Bengal_{i}" for i in range(8)]
    for name in names:
        plant(root / "images", f"{name}.jpg", good_image(rng, 256, "JPEG"))
        trimap = 1 + rng.integers(0, 3, SIZE).astype(np.uint8)
        plant(root / "annotations" / "trimaps", f"{name}.png", encode(trimap, "PNG"))
    listing = "".join(f"{name} 6 1 2\n" for name in names)
    (root / "annotations" / "trainval.txt").write_text(listing)
    spoil(root, rng, ("trainval.txt",))
    return lambda: list(pets.load("train", root, (8, 8)))


def tfds_input(root, rng):
    import tensorflow as tf

    from unet_helpers.datasets import pets

    place = root / "oxford_iiit_pet" / "4.0.0"
    place.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        shutil.copy(REPO / "data/tensorflow_datasets/oxford_iiit_pet/4.0.0" / name, place)

    def entry(data):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    records = place / "oxford_iiit_pet-train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for i in range(8):
            name = rng.choice([f"Bengal_{i}.jpg".encode()] * 20 + [b"\xff\xfe", b"../a", b""])
            image = good_image(rng, 256, "JPEG") if rng.random() < 0.9 else any_image(rng, False)
            trimap = encode(1 + rng.integers(0, 3, SIZE).astype(np.uint8), "PNG")
            trimap = trimap if rng.random() < 0.9 else any_image(rng, True)
            features = {"file_name": entry(bytes(name)), "image": entry(image)}
            if rng.random() < 0.98:
                features["segmentation_mask"] = entry(trimap)
            example = tf.train.Example(features=tf.train.Features(feature=features))
            data = example.SerializeToString()
            # with a checksum that fits: what a hostile writer would send
            writer.write(damage(data, rng) if rng.random() < 0.05 else data)
    way = rng.integers(0, 6)
    path = sorted(place.iterdir())[rng.integers(0, 3)]
    if way < 3:
        path = records
        path.write_bytes(damage(path.read_bytes(), rng))
    elif way == 3:
        path.write_bytes(damage_text(path.read_bytes().decode("latin-1"), rng).encode())
    elif way == 4:
        make_odd(path, rng)
    elif way == 5 and rng.random() < 0.3:
        path.rename(path.with_name(path.name.replace("00001", "x0001")))
    return lambda: list(pets.load("train", root, (8, 8)))


# ---------------------------------------------------------------- single images


def image_input(reader, mask):
    def make(root, rng):
        from unet_helpers import datasets

        path = root / "a.png"
        path.write_bytes(any_image(rng, mask))
        if rng.random() < 0.05:
            make_odd(path, rng)
        return lambda: getattr(datasets, reader)(path)

    return make


# ---------------------------------------------------------------- archives, models, checkpoints


def unpack_input(root, rng):
    from unet_helpers.datasets import download

    archive, target = root / "a.bin", root / "out"
    files = {"top/one.txt": b"one" * 500, "top/two.bin": rng.bytes(3000)}
    odd = [f"{name}.txt" for name in NAMES] + [
        *("../escaped", "/tmp/fuzz-escaped", "top/../../escaped", "top\\..\\..\\escaped", "C:\\x"),
        *("top/one.txt/below", "top", "./top/./x", "a" * 300, "b/" * 200 + "c", "", "nul\0l"),
    ]
    kind = rng.integers(0, 4)
    buffer = io.BytesIO()
    if kind < 2:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in files.items():
                file.writestr(name, data)
            if rng.random() < 0.5:
                name = odd[rng.integers(0, len(odd))].encode("utf-8", "replace").decode() or "x"
                file.writestr(name, b"odd")
            if rng.random() < 0.1:
                file.writestr("bomb", bytes(40_000_000))
    else:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as file:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
            if rng.random() < 0.7:
                entry = tarfile.TarInfo(odd[rng.integers(0, len(odd))])
                kinds = (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"x", b"?")
                entry.type = kinds[rng.integers(0, len(kinds))]
                entry.linkname = str(rng.choice(["../../x", "/etc/passwd", "top/one.txt", ".", ""]))
                entry.mode = int(rng.choice([0, 0o4777, 0o644]))
                file.addfile(entry)
                if rng.random() < 0.5:
                    file.addfile(tarfile.TarInfo(f"{entry.name}/below"))
        data = tar.getvalue()
        if rng.random() < 0.3:
            data = damage(data, rng)
        buffer.write(gzip.compress(data, 1) if kind == 2 else data)
    data = buffer.getvalue()
    archive.write_bytes(damage(data, rng) if rng.random() < 0.5 else data)
    inside = rng.choice(["", "top", "top/one.txt", "gone"])

    def run():
        outside = sorted(os.listdir(root.parent))
        try:
            download.unpack(archive, target, inside or None)
        finally:
            left = sorted(os.listdir(root))
            if left not in (["a.bin"], ["a.bin", "out"]):
                raise AssertionError(f"left behind: {left}")
            if sorted(os.listdir(root.parent)) != outside or os.path.exists("/tmp/fuzz-escaped"):
                raise AssertionError("wrote outside its folder")

    return run


def small_model():
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(x))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    return model


KEPT = {}


def kept(name, make):
    """Make something once and keep it: models take longer to build than to read."""
    if name not in KEPT:
        KEPT[name] = make()
    return KEPT[name]


def saved_model():
    with tempfile.TemporaryDirectory() as folder:
        small_model().save(Path(folder) / "a.keras")
        return (Path(folder) / "a.keras").read_bytes()


def model_input(root, rng):
    from unet_helpers import inference

    data = kept("model", saved_model)
    way = rng.integers(0, 3)
    if way:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        name = "config.json" if way == 1 else list(files)[rng.integers(0, len(files))]
        if name == "config.json":
            files[name] = hostile_config(files[name].decode(), rng).encode("utf-8", "replace")
        else:
            files[name] = damage(files[name], rng)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        data = buffer.getvalue()
    else:
        data = damage(data, rng)
    path = root / str(rng.choice(["a.keras", "a.keras", "a.h5"]))
    path.write_bytes(data)
    return lambda: inference.load_model(path)


def hostile_config(text, rng):
    """Change a model's description: other classes, other modules, other numbers."""
    way = rng.integers(0, 4)
    if way == 0:
        return damage_text(text, rng)
    words = [
        "Conv2D",
        "Dropout",
        "BatchNormalization",
        "keras.layers",
        "Functional",
        "GlorotUniform",
        "keras.src.models.functional",
        "relu",
        "InputLayer",
    ]
    others = [
        "Lambda",
        "os",
        "system",
        "builtins",
        "subprocess",
        "keras.utils",
        "get_file",
        "eval",
        "antigravity",
        "keras.src.utils.file_utils",
        "StringLookup",
        "TorchModuleWrapper",
        "keras.config",
        "enable_unsafe_deserialization",
        "__main__",
        "Dense",
        "Reshape",
    ]
    if way == 1:
        return text.replace(str(rng.choice(words)), str(rng.choice(others)))
    config = json.loads(text)
    layers = config["config"]["layers"]
    layer = layers[rng.integers(0, len(layers))]
    if way == 2:
        layer["config"][
            str(rng.choice(["filters", "axis", "rate", "kernel_size", "dtype", "name"]))
        ] = [-1, 0, 99_999, None, "x", [], {}, 1e30, [3], True][rng.integers(0, 10)]
    else:
        layer["module"] = str(rng.choice(others))
        layer["class_name"] = str(rng.choice(others))
    return json.dumps(config)


def trained_input(root, rng):
    from unet_helpers.models import pretrained

    model = kept("net", lambda: pretrained.build("fcn_32s"))
    pretrained.build = lambda name: model
    if "weights" not in KEPT:
        source = REPO / "data/trained/fcn_32s.npz"
        KEPT["weights"] = source.read_bytes()
        with np.load(source) as arrays:
            KEPT["arrays"] = dict(arrays)
    path = root / "fcn_32s.npz"
    way = rng.integers(0, 8)
    if way == 0:
        arrays = dict(KEPT["arrays"])
        key = list(arrays)[rng.integers(0, len(arrays))]
        odd = (
            np.array([{"a": 1}], object),
            np.zeros(3),
            np.float32(np.nan),
            np.array("x"),
            np.zeros((0, 2)),
            np.ones((2, 2), complex),
            np.zeros(10**7, np.float64),
        )
        arrays[key] = odd[rng.integers(0, len(odd))]
        np.savez_compressed(path, **arrays)
    elif way == 1:
        with zipfile.ZipFile(io.BytesIO(KEPT["weights"])) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        name = list(files)[rng.integers(0, len(files))]
        files[name] = damage(files[name][:128], rng) + files[name][128:]
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif way == 2:
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(3) if rng.random() < 0.5 else np.array([{}], object))
        path.write_bytes(buffer.getvalue())
    elif way == 3:
        make_odd(path, rng)
    else:
        path.write_bytes(damage(KEPT["weights"], rng))
    return lambda: pretrained.load("fcn_32s", folder=root)


def saved_training():
    import keras

    from unet_helpers.training import checkpoint

    with tempfile.TemporaryDirectory() as folder:
        checkpointer = checkpoint.Checkpointer(folder)
        checkpointer.set_model(small_model())
        checkpointer.on_train_begin()
        checkpointer.on_epoch_end(0, {"loss": 0.5, "seconds": 1.0, "val_mean_iou": 0.1})
        assert keras
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def checkpoint_input(root, rng):
    from unet_helpers.training import checkpoint

    files = kept("training", saved_training)
    model = kept("small", small_model)
    for name, data in files.items():
        (root / name).write_bytes(data)
    path = root / ["history.json", "epoch-1.weights.h5"][rng.integers(0, 2)]
    way = rng.integers(0, 8)
    if way < 3 and path.suffix == ".json":
        text = damage_text(files[path.name].decode(), rng)
        path.write_bytes(text.encode("utf-8", "replace"))
    elif way == 3:
        make_odd(path, rng)
    elif way == 4 and path.suffix == ".json":
        state = json.loads(files[path.name])
        key = list(state)[rng.integers(0, len(state))]
        odd = (
            None,
            [],
            {},
            "x",
            "../x",
            7,
            [[]],
            {"loss": 3},
            {"loss": [1]},
            {"loss": ["a"]},
            {"loss": [0.5], "a": []},
        )
        state[key] = odd[rng.integers(0, len(odd))]
        path.write_text(json.dumps(state))
    else:
        path.write_bytes(damage(files[path.name], rng))
    return lambda: checkpoint.Checkpointer(root).restore(model)


def cache_input(root, rng):
    """Damage a cache of six pairs and read it: the right pairs, or an error that says so."""
    import tensorflow as tf

    from unet_helpers import datasets
    from unet_helpers.labels import DataError

    pass

    pairs, truth = [], []
    for i in range(6):
        truth.append(np.full((*SIZE, 3), 30 * i, np.uint8))
        (root / f"i{i}.png").write_bytes(encode(truth[i], "PNG"))
        (root / f"m{i}.png").write_bytes(encode(np.full(SIZE, i, np.uint8), "PNG"))
        pairs.append((root / f"i{i}.png", root / f"m{i}.png"))

    def load():
        return datasets.load_pairs(pairs, read_both, 6, SIZE, cache=root / "caches")

    load()
    [place] = (root / "caches").glob("images-*")
    path = place / str(rng.integers(0, 6))
    way = rng.integers(0, 8)
    if way == 0:
        make_odd(path, rng)
    elif way == 1:
        (place / str(rng.choice(["7", "x", "00", "lock"]))).write_bytes(rng.bytes(9))
    elif way == 2:
        path.rename(place / "6")
    elif way == 3:
        shutil.rmtree(place)
        make_odd(place, rng)
    elif way == 4:
        path.write_bytes(rng.bytes(path.stat().st_size))
    else:
        path.write_bytes(damage(path.read_bytes(), rng))

    def run():
        try:
            images, masks = datasets.to_arrays(load())
        except tf.errors.InvalidArgumentError as error:  # TensorFlow passes our sentence on
            if "Delete its folder; the images are decoded anew" in error.message:
                raise DataError(error.message) from None
            raise
        if not np.array_equal(images, truth) or masks[:, 0, 0].tolist() != list(range(6)):
            raise AssertionError("wrong pairs")

    return run


def read_both(image, mask):
    """Read a pair of an image and a mask of ids."""
    from unet_helpers import datasets

    return datasets.read_image(image), datasets.read_mask(mask)


READERS = {
    "read_image": image_input("read_image", False),
    "read_mask": image_input("read_mask", True),
    "read_red_channel": image_input("read_red_channel", True),
    "carla": carla_input,
    "camvid": camvid_input,
    "pets-archives": archives_input,
    "pets-tfds": tfds_input,
    "own": own_input,
    "check_pairs": checks_input,
    "unpack": unpack_input,
    "load_model": model_input,
    "trained": trained_input,
    "checkpoint": checkpoint_input,
    "cache": cache_input,
}


# ---------------------------------------------------------------- running


def outcome(reader, seed, folder):
    """Run one input; returns (kind, what it said), kind one of result, sentence, other, hang."""
    from unet_helpers.labels import DataError

    def stop(*_):
        raise TooLong

    rng = np.random.default_rng([seed, *reader.encode()])
    root = Path(folder) / "inputs" / "one"
    shutil.rmtree(root.parent, ignore_errors=True)
    root.mkdir(parents=True)
    run = READERS[reader](root, rng)
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        run()
        return "result", ""
    except DataError as error:
        str(error).encode()  # every screen can show it
        return "sentence", str(error)
    except TooLong:
        return "hang", ""
    except (Exception, SystemExit) as error:
        return "other", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def many(reader, first, count):
    """Run inputs one after the other, a JSON line for each; the parent reads them."""
    from unet_helpers.models import pretrained

    assert pretrained  # TensorFlow's own memory is not counted
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            kind, said = outcome(reader, seed, folder)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
            print(json.dumps([seed, kind, said[:400], grown]), flush=True)


def supervise(reader, first, count, show):
    """Run `many` in a process of its own, and start it anew behind an input that kills it."""
    counts, seed, most, end = collections.Counter(), first, 0, first + count
    begin = time.monotonic()
    while seed < end:
        command = [
            sys.executable,
            __file__,
            reader,
            str(end - seed),
            "--from",
            str(seed),
            "--child",
        ]
        with tempfile.TemporaryFile("w+") as output:
            child = subprocess.Popen(
                command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
            try:
                status = child.wait(60 + 3 * count)
            except subprocess.TimeoutExpired:
                child.kill()
                status = "hang"
            output.seek(0)
            for line in output:
                if not line.startswith("["):
                    continue
                seed, kind, said, grown = json.loads(line)
                counts[kind] += 1
                most = max(most, grown)
                if show or kind not in ("result", "sentence"):
                    print(f"  {reader} {seed} {kind} {said}", flush=True)
                seed += 1
        if seed < end:
            kind = "hang" if status == "hang" else "crash"
            print(f"  {reader} {seed} {kind}, exit status {status}", flush=True)
            counts[kind] += 1
            seed += 1
    kinds = ("result", "sentence", "other", "hang", "crash")
    cells = "".join(f"{counts[kind]:>10}" for kind in kinds)
    print(f"{reader:18}{cells}{most / 1024:>10.0f}{time.monotonic() - begin:>9.0f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("reader", nargs="?", choices=[*READERS, "all"], default="all")
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--show", action="store_true", help="print every sentence")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        many(options.reader, options.first, options.count)
    else:
        print(f"{'':18}    result  sentence     other      hang     crash  MB grown  seconds")
        for name in READERS if options.reader == "all" else [options.reader]:
            supervise(name, options.first, options.count, options.show)
