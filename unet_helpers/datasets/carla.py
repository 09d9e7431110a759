"""The CARLA street scenes of the Lyft/Udacity challenge: find or download, pair up, split, decode.

Files: `dataX/dataX/CameraRGB/*.png` and `dataX/dataX/CameraSeg/*.png` for the recordings
dataA ... dataE, class ids 0 to 12 in the red channel. Another edition has `CameraRGB` and
`CameraMask` in one folder, as RGBA.
"""

from pathlib import Path

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.images import read_image, read_red_channel
from unet_helpers.datasets.pairs import choose, pair_up, split_at_random
from unet_helpers.files import full_folder
from unet_helpers.labels import CARLA as LABELS
from unet_helpers.labels import DataError

KAGGLE_NAME = "kumaresanmanickavelu/lyft-udacity-challenge"
RECORDINGS = {"train": ("dataA", "dataB", "dataC"), "val": ("dataD",), "test": ("dataE",)}


def load(split, root=None, image_size=(96, 128), split_by="recording", seed=0, cache="auto"):
    """Load one split of CARLA as a data set of pairs in one fixed order.

    Args:
        split: "train", "val", "test", or "all".
        root: None or "sample" for the course's sample, "full" for the whole set, or a folder.
        image_size: (height, width) to resize to; None keeps the files' size.
        split_by: "recording" (dataA to dataC, dataD, dataE) or "random", which puts
            neighbouring frames, near copies of each other, into different splits: for
            comparison only.
        seed: of the random split.
        cache: where the decoded pairs are kept: "memory", "disk", the path of a folder, or "auto",
            as for `datasets.load_pairs`.

    Returns:
        tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 12), unbatched.

    Raises:
        DataError: no such folder, no pairs, a file that cannot be used (the message names it).
    """
    pairs = find_pairs(split, root, split_by, seed)
    return pipeline.load_pairs(
        pairs,
        read_pair,
        LABELS.n_classes,
        image_size,
        f"CARLA {split} images",
        cache,
    )


def find_pairs(split, root=None, split_by="recording", seed=0):
    """List the (image path, mask path) pairs of a split, sorted by recording and frame.

    Arguments and errors as in `load`.
    """
    if split not in ("train", "val", "test", "all"):
        raise DataError(f"There is no split {split!r}; CARLA has train, val, test and all.")
    folder = find(root)
    recordings = {name: pair_up(*place) for name, place in find_recordings(folder).items()}
    pairs = [pair for recording in recordings.values() for pair in recording]
    if split == "all":
        return pairs
    if split_by == "random":
        names = {str(image.relative_to(folder)): (image, mask) for image, mask in pairs}
        return [names[name] for name in split_at_random(names, seed=seed)[split]]
    if split_by != "recording":
        raise DataError(f"split_by is {split_by!r}; it may be 'recording' or 'random'.")
    wanted = [name for name in RECORDINGS[split] if name in recordings]
    if not wanted:
        raise DataError(
            f"The {split} split is the recording {', '.join(RECORDINGS[split])}, but {folder} "
            f"has {', '.join(recordings)}. Load split='all', or split_by='random' and keep in "
            "mind that neighbouring frames are near copies."
        )
    return [pair for name in wanted for pair in recordings[name]]


def find_recordings(folder):
    """Find the folders of images and masks below a folder.

    Returns:
        dict from a recording's name (the folder that holds CameraRGB) to
        (image folder, mask folder), sorted by name.

    Raises:
        DataError: there is no CameraRGB beside a CameraSeg or CameraMask.
    """
    folder = Path(folder)
    found = {}
    for images in sorted(path for path in folder.rglob("CameraRGB") if path.is_dir()):
        for masks in (images.with_name("CameraSeg"), images.with_name("CameraMask")):
            if masks.is_dir():
                name = images.parent.name
                found[name if name not in found else str(images.parent)] = images, masks
                break
    if not found:
        raise DataError(
            f"{folder} holds no CARLA recording: expected folders CameraRGB with CameraSeg (or "
            "CameraMask) beside it, such as dataA/dataA/CameraRGB and dataA/dataA/CameraSeg."
        )
    return found


def read_pair(image_path, mask_path):
    """Read one frame and its mask.

    Returns (uint8 (H, W, 3), uint8 (H, W)), classes as in the file's red channel. Raises
    DataError for a file that cannot be read or a mask without a red channel.
    """
    return read_image(image_path), read_red_channel(mask_path)


def read_labels(root=None):
    """Give the Labels, the same for every folder; `folder.read_labels` is the one that reads."""
    return LABELS


def find(root=None):
    """Give the folder for None, "sample", "full" or a path; "full" is downloaded if need be."""
    return choose(root, "carla", download)


def download():
    """Find the full set in its folder or download it with kagglehub (several GB, no key).

    Returns Path. Raises DataError when it cannot be had, with what to do instead.
    """
    folder = full_folder("carla")
    if folder.is_dir():
        return folder
    manual = f"Or get it by hand from kaggle.com/datasets/{KAGGLE_NAME} and unpack it to {folder}."
    try:
        import kagglehub
    except ImportError:
        raise DataError(
            f"The package kagglehub is needed to download CARLA: pip install kagglehub. {manual}"
        ) from None
    try:
        found = Path(kagglehub.dataset_download(KAGGLE_NAME))
    except Exception as error:  # kagglehub lets requests' and its own errors through
        raise DataError(
            f"CARLA could not be downloaded from Kaggle ({type(error).__name__}: {error}). Is "
            f"there a network connection and enough space? Run this again to go on. {manual}"
        ) from error
    find_recordings(found)
    return found
