"""Pair images with their masks, and split the pairs."""

import os
import unicodedata
from pathlib import Path

import numpy as np

from unet_helpers.datasets.images import IMAGE_ENDINGS, image_files
from unet_helpers.files import sample_folder
from unet_helpers.labels import DataError


def choose(data, name, get_full):
    """Return the folder that a notebook's line `DATA = "sample"` stands for.

    `data` is "sample", "full" (by `get_full`, which may download it), the path of a folder, or
    None for the sample, which is `name` in `data/`. UNET_COURSE_DATA overrides "sample" and "full"
    only. Raises DataError if there is no such folder.
    """
    if data in ("sample", "full"):
        data = os.environ.get("UNET_COURSE_DATA") or data
        if data not in ("sample", "full"):
            raise DataError(f"UNET_COURSE_DATA is {data!r}; it must be sample or full.")
    if data in (None, "sample"):
        return sample_folder(name)
    if data == "full":
        return get_full()
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Pass 'sample', 'full', or another path.")
    return folder


def pair_up(image_folder, mask_folder):
    """Pair the images and masks of two folders by name, without the ending.

    Returns a list of (image Path, mask Path), sorted by name. Raises DataError if there are no
    images, an image or mask has no partner, or two files have the same name.
    """
    images, masks = by_name(image_files(image_folder)), by_name(image_files(mask_folder))
    if not images and not masks:
        raise DataError(
            f"No images in {image_folder} and {mask_folder}. Expected one file per image in "
            f"each, with the same name. These endings are read: {', '.join(IMAGE_ENDINGS)}."
        )
    for have, lack, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(set(have) - set(lack))
        if alone:
            folder = mask_folder if kind == "mask" else image_folder
            raise DataError(
                f"{have[alone[0]]} has no {kind} in {folder}"
                + (f", and {len(alone) - 1} more like it" if len(alone) > 1 else "")
                + ". Is a download incomplete? Delete the file or add its partner."
            )
    return [(images[name], masks[name]) for name in sorted(images)]


def by_name(files):
    """Return a dict from `plain_name` to file; raises DataError if two files share a name."""
    found = {}
    for file in files:
        name = plain_name(file)
        if name in found:
            raise DataError(
                f"{found[name]} and {file.name!r} have the same name, so either could be the "
                "partner of that name. Delete or rename one of them."
            )
        found[name] = file
    return found


def plain_name(file):
    """Return a file's name without its ending, accented letters in one of their two encodings.

    Unicode has two that look the same, and operating systems differ in which one they write.
    """
    return unicodedata.normalize("NFC", Path(file).stem)


def split_at_random(names, shares=(0.7, 0.15, 0.15), seed=0):
    """Split names once, before training shuffles anything.

    Args:
        names: file names or other strings; they are sorted first, so their order does not matter.
        shares: of train, val and test; must sum to 1.
        seed: of the permutation.

    Returns:
        dict with "train", "val" and "test": sorted lists with no name in common.

    Raises:
        DataError: shares that do not sum to 1, duplicate names, or an empty split.
    """
    names = sorted(names)
    if abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise DataError(f"The shares of train, val and test are {shares}; they must sum to 1.")
    if len(set(names)) < len(names):
        raise DataError("Some names occur twice; an image could end up in two splits.")
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(shares) * len(names)).astype(int)
    parts = np.split(order, ends[:2])
    splits = {
        split: [names[i] for i in sorted(part)]
        for split, part in zip(("train", "val", "test"), parts, strict=True)
    }
    for (split, part), share in zip(splits.items(), shares, strict=True):
        if share > 0 and not part:
            raise DataError(
                f"{len(names)} images are too few for a {split} split of {share:.0%}: it would "
                "be empty."
            )
    return splits
