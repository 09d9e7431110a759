"""Pair images with their masks, and split the pairs."""

import os
import unicodedata
from pathlib import Path

import numpy as np

from unet_helpers.datasets.images import IMAGE_ENDINGS, image_files
from unet_helpers.files import sample_folder
from unet_helpers.labels import DataError, note

SPLITS = ("train", "val", "test")


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
    if data == "" or not folder.is_dir():
        raise DataError(f"There is no folder '{data}'. Pass 'sample', 'full', or another path.")
    return folder


def pair_up(image_folder, mask_folder):
    """Pair the images and masks of two folders by name, without the ending.

    Returns a list of (image Path, mask Path), sorted by name, and says which files it leaves out.
    Raises DataError for no images, a file without partner, two of one name, or half left out.
    """
    images, masks = by_name(image_files(image_folder)), by_name(image_files(mask_folder))
    if not images and not masks:
        raise DataError(
            f"No images in {image_folder} and {mask_folder}. Expected one file per image in "
            f"each, with the same name. These endings are read: {', '.join(IMAGE_ENDINGS)}."
        )
    if alone := sorted(set(images) ^ set(masks)):
        lack, where = ("mask", mask_folder) if alone[0] in images else ("image", image_folder)
        more = f", and {len(alone) - 1} more like it" * (len(alone) > 1)
        raise DataError(
            f"{(images | masks)[alone[0]]} has no {lack} in {where}{more}. Is a download "
            "incomplete? Delete the file or add its partner."
        )
    unused = unused_files(image_folder, images.values()), unused_files(mask_folder, masks.values())
    if names := sorted({str(file) for files in unused for file in files}):
        count = (
            f"{image_folder} and {mask_folder}: {len(images)} pairs are used, {len(names)} other "
            f"files left out: {', '.join(names[:5])}{', ...' * (len(names) > 5)}."
        )
        lost = set.intersection(*({file.with_suffix("") for file in files} for files in unused))
        if len(lost) >= len(images):
            raise DataError(
                f"{count} That is half of the data or more. Move images out of sub-folders, and "
                f"convert them to one of {', '.join(IMAGE_ENDINGS)}."
            )
        note(count)
    return [(images[name], masks[name]) for name in sorted(images)]


def unused_files(folder, used):
    """List files of other names than those used, and images in sub-folders, within a folder."""
    names, found = {file.stem for file in used}, []
    for entry in sorted(Path(folder).iterdir()):
        if entry.stem not in names and not entry.name.startswith("."):
            found += image_files(entry) if entry.is_dir() else [entry]
    return [file.relative_to(folder) for file in found]


def by_name(files):
    """Return a dict from `plain_name` to file; raises DataError if two files share a name."""
    found = {}
    for file in files:
        name = plain_name(file)
        if name in found:
            raise DataError(
                f"{found[name]} and {file.name!r} have the same name. Delete or rename one of them."
            )
        found[name] = file
    return found


def plain_name(file):
    """Return a file's name without an image's ending, in one of Unicode's two spellings."""
    file = Path(file)
    name = file.stem if file.suffix.lower() in IMAGE_ENDINGS else file.name
    return unicodedata.normalize("NFC", name)


def split_at_random(names, shares=(0.7, 0.15, 0.15), seed=0):
    """Split names, which are sorted first, into "train", "val" and "test" by a seed.

    shares are those of the three and must sum to 1. Returns a dict of sorted lists with no name in
    common. Raises DataError for other shares, duplicate names, or an empty split.
    """
    names = sorted(names)
    if abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise DataError(f"The shares of train, val and test are {shares}; they must sum to 1.")
    if len(set(names)) < len(names):
        raise DataError("Some names occur twice; an image could end up in two splits.")
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(shares) * len(names)).astype(int)
    splits = {}
    for split, part, share in zip(SPLITS, np.split(order, ends[:2]), shares, strict=True):
        splits[split] = [names[i] for i in sorted(part)]
        if share > 0 and not splits[split]:
            raise DataError(f"{len(names)} images are too few for a {split} split of {share:.0%}.")
    return splits
