"""Oxford-IIIT Pet: find or download (by TFDS, else the official archives), split, decode."""

import os
import struct
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.download import fetch, unpack
from unet_helpers.datasets.folder import read_lines
from unet_helpers.datasets.images import EncodedImage, read_image, read_mask
from unet_helpers.datasets.pairs import choose, split_at_random
from unet_helpers.files import explained, full_folder
from unet_helpers.labels import PETS as LABELS
from unet_helpers.labels import DataError

TFDS_NAME = "oxford_iiit_pet"
ARCHIVES = "https://thor.robots.ox.ac.uk/~vgg/data/pets"
ARCHIVE_FILES = (  # folder inside, bytes, sha256
    ("images", 791_918_971, "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"),
    ("annotations", 19_173_078, "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"),
)


def load(split, root=None, image_size=(128, 128), seed=0, cache="auto"):
    """Load one split of the pets, sorted by file name.

    split is "train" or "val", 85 % and 15 % of the official training images by `seed`, or "test". A
    folder holds TFDS's `oxford_iiit_pet/4.x.x`, or the official `images` and `annotations`. root,
    image_size and cache are as for `find` and `datasets.load_pairs`.

    Returns a tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 2),
    unbatched. Raises DataError that names what is missing or cannot be used.
    """
    pairs, name = find_pairs(split, root, seed), f"pets {split} images"
    return pipeline.load_pairs(pairs, read_pair, LABELS.n_classes, image_size, name, cache)


def find_pairs(split, root=None, seed=0):
    """List the pairs of a split, paths or images from TFDS's files, sorted by name; see `load`."""
    if split not in ("train", "val", "test"):
        raise DataError(f"There is no split {split!r}; the pets have train, val and test.")
    folder = find(root)
    official = "test" if split == "test" else "train"
    read = pairs_of_archives if (folder / "annotations").is_dir() else pairs_of_tfds
    pairs = read(folder, official)
    names = sorted(pairs)
    if split != "test":
        names = split_at_random(names, (0.85, 0.15, 0), seed)[split]
    return [pairs[name] for name in names]


def read_pair(image_source, trimap_source):
    """Read one image and its trimap: (uint8 (H, W, 3), uint8 (H, W), labels minus one).

    Raises DataError for an image that cannot be read, or a trimap with other values than 1 pet, 2
    background, 3 outline.
    """
    trimap = read_mask(trimap_source)
    wrong = np.setdiff1d(trimap, (1, 2, 3))
    if wrong.size:
        raise DataError(
            f"{trimap_source} holds {wrong[:8].tolist()}; a trimap has 1 pet, 2 background and "
            "3 outline. Was one subtracted from it already?"
        )
    return read_image(image_source), trimap - 1


def pairs_of_tfds(folder, split):
    """Read the encoded pairs of TFDS's files: dict from file name to (image, trimap).

    Not by TFDS, which imports whatever Python module its description of a data set names.
    """
    versions = sorted(Path(folder).glob(f"{TFDS_NAME}/4.*/dataset_info.json"))
    if not versions:
        raise DataError(
            f"{folder} holds no pets: expected {TFDS_NAME}/4.x.x as TFDS writes it, or the "
            "official folders images and annotations."
        )
    place, pairs = versions[-1].parent, {}
    keys = ("file_name", "image", "segmentation_mask")
    features = {key: tf.io.FixedLenFeature((), tf.string) for key in keys}
    cure = "Delete this folder and get the pets again."
    errors = (tf.errors.OpError, OSError, ValueError, struct.error)
    problem = f"The TFRecord files of {split} in {place} cannot be read"
    with explained(problem, f"They are damaged or cut off. {cure}", errors):
        found = place.glob(f"{TFDS_NAME}-{split}.tfrecord-*")
        files = sorted(str(file) for file in found if file.is_file())  # no folder, pipe or device
        due = int(files[0].rsplit("-of-", 1)[1]) if files else 1
        if len(files) != due:
            raise DataError(f"{place} has {len(files)} of {due} TFRecord files of {split}. {cure}")
        for file in files:
            check_lengths(file)
        parse = partial(tf.io.parse_single_example, features=features)
        for example in tf.data.TFRecordDataset(files).map(parse).as_numpy_iterator():
            name = example["file_name"].decode()
            pairs[name] = (
                EncodedImage(f"{place}: {name}", example["image"]),
                EncodedImage(f"{place}: trimap of {name}", example["segmentation_mask"]),
            )
    return pairs


def check_lengths(file):
    """Raise DataError if a TFRecord file announces, and TensorFlow allocates, more than it has."""
    size, position = os.path.getsize(file), 0
    with open(file, "rb") as records:
        while position < size:
            records.seek(position)
            # eight bytes of length and four of its checksum, the record, four of its checksum
            position += struct.unpack("<Q", records.read(8))[0] + 16
    if position != size:
        raise DataError(
            f"{file} is damaged or cut off: a record in it ends at byte {position:,}, the file at "
            f"{size:,}. Delete its folder and get the pets again."
        )


def pairs_of_archives(folder, split):
    """List the pairs of the unpacked archives: dict from image file name to (image, trimap)."""
    listing = folder / "annotations" / ("test.txt" if split == "test" else "trainval.txt")
    lines = read_lines(listing, "an image's name in every line. Unpack annotations.tar.gz again")
    pairs = {}
    for name in (line.split()[0] for line in lines if line.strip()):
        image = folder / "images" / f"{name}.jpg"
        trimap = folder / "annotations" / "trimaps" / f"{name}.png"
        for file in (image, trimap):
            if not os.path.isfile(file):
                raise DataError(f"{file} is missing, but {listing} names it. Unpack again.")
        pairs[image.name] = image, trimap
    if not pairs:
        raise DataError(f"{listing} names no image: the {split} split is empty.")
    return pairs


def read_labels(root=None):
    """Return the Labels, which are the same for every folder."""
    return LABELS


def find(root=None):
    """Return the folder for None, "sample", "full" (downloaded if missing) or a path."""
    return choose(root, "tensorflow_datasets", download)


def download():
    """Find the full set in its folder, or get it (0.8 GB) with TFDS or else from the archives."""
    folder = full_folder("pets")
    # Until it is complete, TFDS's folder has another name.
    if (folder / "annotations").is_dir() or any(folder.glob(f"{TFDS_NAME}/4.*/dataset_info.json")):
        return folder
    try:
        import tensorflow_datasets as tfds

        tfds.builder(f"{TFDS_NAME}:4.*.*", data_dir=folder).download_and_prepare()
        return folder
    except Exception as error:  # of any kind: TFDS has many parts, and the wrong protobuf its own
        print(f"TFDS could not serve the pets ({type(error).__name__}); taking the archives.")
    for inside, size, sha256 in ARCHIVE_FILES:
        name = f"{inside}.tar.gz"
        archive = fetch(f"{ARCHIVES}/{name}", folder / name, size, sha256)
        unpack(archive, folder / inside, inside)
    return folder
