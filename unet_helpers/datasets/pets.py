"""Oxford-IIIT Pet: find or download (TFDS, else the official archives), split, decode.

The trimaps hold 1 pet, 2 background, 3 outline; one is subtracted, so the classes are
0 pet, 1 background, 2 outline.
"""

import json
import os
import struct
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.download import fetch, unpack
from unet_helpers.datasets.images import EncodedImage, read_image, read_mask
from unet_helpers.datasets.pairs import choose, split_at_random
from unet_helpers.files import full_folder
from unet_helpers.labels import PETS as LABELS
from unet_helpers.labels import DataError

TFDS_NAME = "oxford_iiit_pet"
ARCHIVES = "https://thor.robots.ox.ac.uk/~vgg/data/pets"
# name: (bytes, sha256)
ARCHIVE_FILES = {
    "images.tar.gz": (
        791_918_971,
        "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ),
    "annotations.tar.gz": (
        19_173_078,
        "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
    ),
}
VAL_SHARE = 0.15


def load(split, root=None, image_size=(128, 128), seed=0, cache="auto"):
    """Load one split of the pets as a data set of pairs, sorted by file name.

    Args:
        split: "train" or "val" (85 % and 15 % of the official training images), or "test".
        root: None or "sample" for the course's sample, "full" for the whole set, or a folder
            that holds TFDS's `oxford_iiit_pet/4.x.x`, or the archives' `images` and
            `annotations`.
        image_size: (height, width) to resize to; None keeps the images' own sizes.
        seed: of the choice of the validation images.
        cache: where the decoded pairs are kept: "memory", "disk", the path of a folder, or "auto",
            as for `datasets.load_pairs`.

    Returns:
        tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 2), unbatched.

    Raises:
        DataError: no such folder, no pairs, an image that cannot be used (the message names it).
    """
    pairs = find_pairs(split, root, seed)
    return pipeline.load_pairs(
        pairs,
        read_pair,
        LABELS.n_classes,
        image_size,
        f"pets {split} images",
        cache,
    )


def find_pairs(split, root=None, seed=0):
    """List the (image, mask) pairs of a split, sorted by name; arguments as in `load`.

    Each is the path of a file, or an encoded image from TFDS's files.
    """
    if split not in ("train", "val", "test"):
        raise DataError(f"There is no split {split!r}; the pets have train, val and test.")
    folder = find(root)
    official = "test" if split == "test" else "train"
    if (folder / "annotations").is_dir():
        pairs = pairs_of_archives(folder, official)
    else:
        pairs = pairs_of_tfds(folder, official)
    if split != "test":
        shares = (1 - VAL_SHARE, VAL_SHARE, 0)
        names = split_at_random(pairs, shares, seed)[split]
        return [pairs[name] for name in names]
    return [pairs[name] for name in sorted(pairs)]


def read_pair(image_source, trimap_source):
    """Read one image and its trimap, labels minus one.

    Returns (uint8 (H, W, 3), uint8 (H, W)). Raises DataError for an image that cannot be read
    or a trimap with other values than 1, 2, 3.
    """
    trimap = read_mask(trimap_source)
    wrong = np.setdiff1d(trimap, (1, 2, 3))
    if wrong.size:
        raise DataError(
            f"{trimap_source} holds {wrong[:8].tolist()}; a trimap has 1 pet, 2 background and "
            "3 outline. Is it a mask from which one was subtracted already?"
        )
    return read_image(image_source), trimap_to_classes(trimap)


def trimap_to_classes(trimap):
    """Subtract one: 1 pet, 2 background, 3 outline become the classes 0, 1 and 2.

    Shapes: uint8 (H, W) -> uint8 (H, W).
    """
    return trimap - 1


def pairs_of_tfds(folder, split):
    """Read the encoded pairs of TFDS's files: dict from file name to (image, trimap).

    The TFRecord files are read without TFDS: its description of a data set, features.json, may
    name any Python module, and TFDS would import it. Raises DataError when there are no files or
    they are damaged.
    """
    versions = sorted(Path(folder).glob(f"{TFDS_NAME}/4.*/dataset_info.json"))
    if not versions:
        raise DataError(
            f"{folder} holds no pets: expected {TFDS_NAME}/4.x.x as TFDS writes it, or the "
            "official folders images and annotations."
        )
    place = versions[-1].parent
    try:
        return {
            name: (
                EncodedImage(f"{place}: {name}", image),
                EncodedImage(f"{place}: trimap of {name}", trimap),
            )
            for name, image, trimap in examples(place, split)
        }
    except (tf.errors.OpError, OSError, ValueError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"The TFRecord files of {split} in {place} cannot be read ({type(error).__name__}): "
            "damaged or cut off. Delete this folder and get the pets again."
        ) from None


def examples(place, split):
    """Yield (file name, encoded image, encoded trimap) of the TFRecord files of a split."""
    files = sorted(str(file) for file in Path(place).glob(f"{TFDS_NAME}-{split}.tfrecord-*"))
    expected = int(files[0].rsplit("-of-", 1)[1]) if files else 1
    if len(files) != expected:
        raise DataError(
            f"{place} has {len(files)} of {expected} TFRecord files of {split}. Delete this folder "
            "and get the pets again."
        )
    for file in files:
        check_lengths(file)
    keys = ("file_name", "image", "segmentation_mask")
    parse = partial(
        tf.io.parse_single_example,
        features={key: tf.io.FixedLenFeature((), tf.string) for key in keys},
    )
    for example in tf.data.TFRecordDataset(files).map(parse).as_numpy_iterator():
        yield example["file_name"].decode(), example["image"], example["segmentation_mask"]


def check_lengths(file):
    """Raise DataError when a TFRecord file announces more bytes than it has.

    TensorFlow sets aside whatever memory a record announces, before it looks how long the file is.
    """
    if not os.path.isfile(file):
        raise DataError(f"{file} is no file but a folder, a pipe or a device. Remove it.")
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
    if not listing.is_file():
        raise DataError(f"{listing} is missing; unpack annotations.tar.gz again.")
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{listing} cannot be read ({error}); unpack it again.") from None
    names = [line.split()[0] for line in lines if line.strip()]
    pairs = {}
    for name in names:
        image = folder / "images" / f"{name}.jpg"
        trimap = folder / "annotations" / "trimaps" / f"{name}.png"
        if "/" in name or "\\" in name:
            raise DataError(f"{listing} names {name!r}, which is no plain file name. Unpack again.")
        for file in (image, trimap):
            if not os.path.isfile(file):
                raise DataError(f"{file} is missing, but {listing} names it. Unpack again.")
        pairs[image.name] = image, trimap
    if not pairs:
        raise DataError(f"{listing} names no image: the {split} split is empty.")
    return pairs


def tfds_or_none():
    """Import TFDS, or give None where its import fails (a wrong protobuf does that on Colab)."""
    try:
        import tensorflow_datasets

        return tensorflow_datasets
    except Exception:  # protobuf raises its own VersionError, not ImportError
        return None


def read_labels(root=None):
    """Give the Labels, the same for every folder; `folder.read_labels` is the one that reads."""
    return LABELS


def find(root=None):
    """Give the folder for None, "sample", "full" or a path; "full" is downloaded if need be."""
    name = "tensorflow_datasets" if root in (None, "sample", "full") else "pets"
    return choose(root, name, download)


def download():
    """Find the full set in its folder, or get it by TFDS, or else from the official archives.

    Returns Path (about 0.8 GB to download). Raises DataError when neither works.
    """
    folder = full_folder("pets")
    if (folder / "annotations").is_dir() or prepared(folder):
        return folder
    tfds = tfds_or_none()
    if tfds is not None:
        try:
            tfds.builder(f"{TFDS_NAME}:4.*.*", data_dir=folder).download_and_prepare()
            return folder
        except Exception as error:  # TFDS passes on whatever its many parts raise
            print(f"TFDS could not serve the pets ({type(error).__name__}); taking the archives.")
    return download_archives(folder)


def prepared(folder):
    """Tell whether TFDS has written the whole set to a folder, not only begun."""
    for info in Path(folder).glob(f"{TFDS_NAME}/4.*/dataset_info.json"):
        try:
            splits = json.loads(info.read_text(encoding="utf-8"))["splits"]
            return {"train", "test"} <= {split["name"] for split in splits}
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return False  # half-written or damaged: it is written again
    return False


def download_archives(folder, address=ARCHIVES, files=None):
    """Get the two official archives and unpack them to folder/images and folder/annotations."""
    for name, (size, sha256) in (files or ARCHIVE_FILES).items():
        archive = fetch(f"{address}/{name}", folder / name, size, sha256)
        inside = name.removesuffix(".tar.gz")
        unpack(archive, folder / inside, inside=inside)
    return folder
