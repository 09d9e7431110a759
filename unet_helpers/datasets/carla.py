"""The CARLA street scenes of the Lyft/Udacity challenge: find or download, pair, split, decode.

Files: `dataX/dataX/CameraRGB/*.png` and `.../CameraSeg/*.png`, class ids 0 to 12 in the red
channel. Another edition has `CameraRGB` and `CameraMask` in one folder, as RGBA.
"""

import os
from pathlib import Path

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.images import read_image, read_red_channel
from unet_helpers.datasets.pairs import choose, pair_up, split_at_random
from unet_helpers.files import explained, full_folder
from unet_helpers.labels import CARLA as LABELS
from unet_helpers.labels import DataError, check_values, note

KAGGLE_NAME = "kumaresanmanickavelu/lyft-udacity-challenge"
RECORDINGS = {"train": ("dataA", "dataB", "dataC"), "val": ("dataD",), "test": ("dataE",)}


def load(split, root=None, image_size=(96, 128), split_by="recording", seed=0, cache="auto"):
    """Load one split of CARLA, "train", "val", "test" or "all", in one fixed order.

    split_by "recording" puts dataA to dataC into train, dataD into val, dataE into test. "random",
    by `seed`, is for comparison only: it puts neighbouring frames, near copies, into different
    splits. root, image_size and cache are as for `find` and `datasets.load_pairs`.

    Returns a tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes 0 to 12),
    unbatched. Raises DataError that names what is missing or cannot be used.
    """
    pairs, name = find_pairs(split, root, split_by, seed), f"CARLA {split} images"
    return pipeline.load_pairs(pairs, read_pair, LABELS.n_classes, image_size, name, cache)


def find_pairs(split, root=None, split_by="recording", seed=0):
    """List the (image path, mask path) pairs of a split, by recording and frame; see `load`."""
    if split not in ("train", "val", "test", "all"):
        raise DataError(f"There is no split {split!r}; CARLA has train, val, test and all.")
    folder = find(root)
    recordings = {name: pair_up(*place) for name, place in find_recordings(folder).items()}
    pairs = [pair for recording in recordings.values() for pair in recording]
    if split == "all":
        return pairs
    if split_by == "random":
        pairs = {str(pair[0].relative_to(folder)): pair for pair in pairs}
        return [pairs[name] for name in split_at_random(pairs, seed=seed)[split]]
    if split_by != "recording":
        raise DataError(f"split_by is {split_by!r}; it may be 'recording' or 'random'.")
    wanted = [name for name in RECORDINGS[split] if name in recordings]
    if not wanted:
        raise DataError(
            f"The {split} split is the recording {', '.join(RECORDINGS[split])}, but {folder} "
            f"has {', '.join(recordings)}. Load split='all', or split_by='random', where "
            "near copies end up in different splits."
        )
    if set(recordings) != set().union(*RECORDINGS.values()):
        found = (f"{name} ({len(frames)} frames)" for name, frames in recordings.items())
        note(f"Recordings: {', '.join(found)}. The {split} split is {', '.join(wanted)}.")
    return [pair for name in wanted for pair in recordings[name]]


def find_recordings(folder):
    """Find the recordings, also behind links: dict from name to (image folder, mask folder).

    Each is named after the folder that holds CameraRGB. Raises DataError for none, two of one name,
    one that lacks images or masks, or a folder that cannot be read.
    """

    def refuse(error):
        raise DataError(f"{error.filename} cannot be read ({error.strerror}). Change or move it.")

    found, seen = {}, set()
    for place, names, _ in os.walk(folder, onerror=refuse, followlinks=True):
        here, real = Path(place), Path(place).resolve()
        if real in seen:  # a link leads back
            names.clear()
        seen.add(real)
        cameras = {"CameraRGB", "CameraSeg", "CameraMask"}.intersection(names)
        names[:] = sorted(name for name in names if name not in cameras and name[0] != ".")
        if not cameras:
            continue
        masks = max(cameras - {"CameraRGB"}, default="CameraSeg")  # CameraSeg, if it has both
        if lacking := {"CameraRGB", masks} - cameras:
            problem = f"The recording {here} has no {lacking.pop()}"
            raise DataError(f"{problem}. Is a download incomplete? Get it again, or move it away.")
        if here.name in found:
            one = found[here.name][0].parent
            raise DataError(f"Two recordings are called {here.name}: {one} and {here}. Rename one.")
        found[here.name] = here / "CameraRGB", here / masks
    if not found:
        raise DataError(
            f"{folder} holds no CARLA recording: expected folders CameraRGB with CameraSeg (or "
            "CameraMask) beside it, such as dataA/dataA/CameraRGB and dataA/dataA/CameraSeg."
        )
    return found


def read_pair(image_path, mask_path):
    """Read one frame and its mask: (uint8 (H, W, 3), uint8 (H, W) of class ids).

    Raises DataError for a file that cannot be read, or a mask without ids in its red channel.
    """
    mask = read_red_channel(mask_path)
    check_values(mask, LABELS.n_classes, mask_path, void=None)
    return read_image(image_path), mask


def read_labels(root=None):
    """Return the Labels, which are the same for every folder."""
    return LABELS


def find(root=None):
    """Return the folder for None, "sample", "full" (downloaded if missing) or a path."""
    return choose(root, "carla", download)


def download():
    """Find the full set in its folder, or download it with kagglehub (several GB, no key)."""
    folder = full_folder("carla")
    if folder.is_dir():
        return folder
    advice = (
        "Is there a network connection and enough space? Run this again to resume. If kagglehub "
        "is missing: pip install kagglehub. Or get it by hand from "
        f"kaggle.com/datasets/{KAGGLE_NAME} and unpack it to {folder}."
    )
    with explained("CARLA could not be downloaded from Kaggle", advice):
        import kagglehub

        found = Path(kagglehub.dataset_download(KAGGLE_NAME))
    find_recordings(found)
    return found
