"""Networks that `data/train_nets.py` trained on the CARLA sample: build, store and load them.

They let a notebook compare networks that take minutes to train. All of them were trained with the
same images, number of epochs and recipe, and have about the same number of parameters.
"""

import functools
import zipfile
from pathlib import Path

import numpy as np

from unet_helpers.files import atomic_write, explained, sample_folder
from unet_helpers.labels import CARLA
from unet_helpers.models import fcn, unet

SIZE = (160, 192)  # near the sample's own 150 x 200, and divisible by 32
EPOCHS = 24
WEIGHT_POWER = 0.75  # of the median-frequency weights
UNET = functools.partial(unet.unet_model, n_filters=8, dropout_prob=0)
FCN = functools.partial(fcn.fcn_model, n_filters=11)
NETWORKS = {
    "fcn_32s": functools.partial(FCN, stride=32),
    "fcn_16s": functools.partial(FCN, stride=16),
    "fcn_8s": functools.partial(FCN, stride=8),
    "unet": UNET,
    "unet_without_skip_1": functools.partial(UNET, skips=(2, 3, 4)),
    "unet_without_skip_2": functools.partial(UNET, skips=(1, 3, 4)),
    "unet_without_skip_3": functools.partial(UNET, skips=(1, 2, 4)),
    "unet_without_skip_4": functools.partial(UNET, skips=(1, 2, 3)),
    "unet_without_skips": functools.partial(UNET, skips=()),
}


def build(name):
    """Build one of NETWORKS, untrained: images (B, 160, 192, 3) -> logits (B, 160, 192, 13).

    Raises ValueError for an unknown name.
    """
    if name not in NETWORKS:
        raise ValueError(f"There is no network {name!r}; there are {', '.join(NETWORKS)}.")
    return NETWORKS[name]((*SIZE, 3), n_classes=CARLA.n_classes, batch_norm=True, name=name)


def load(name, folder=None):
    """Load one of NETWORKS as `build` makes it; folder=None takes the sample's, data/trained.

    Raises ValueError as `build`, and DataError for a missing, broken or wrong file.
    """
    model = build(name)
    path = Path(folder or sample_folder("trained")) / f"{name}.npz"
    advice = f"Train it again: python data/train_nets.py {name}."
    with explained(f"The trained network {path} cannot be loaded", advice):
        if not path.is_file():  # reading a pipe or a device might never end
            raise FileNotFoundError(path)
        with zipfile.ZipFile(path) as archive:  # so that a small file cannot fill the memory
            if sum(entry.file_size for entry in archive.infolist()) > 8 * model.count_params():
                raise ValueError("larger than the network")
        with np.load(path, allow_pickle=False) as kept:
            weights = [kept[f"{i}"] * kept[f"{i} scale"] for i in range(len(model.weights))]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError("not finite")
        model.set_weights(weights)
    return model


def store(model, name, folder):
    """Write a network's weights to folder/NAME.npz, kernels in 8 bits; returns the path.

    A kernel is stored as int8 with one float32 scale per filter, a quarter of float32's size;
    published scores are those after this rounding. Other weights stay float32.
    """
    arrays = {}
    for i, weight in enumerate(model.get_weights()):
        scale = np.float32(1)
        if weight.ndim == 4:
            scale = np.maximum(np.abs(weight).max(axis=(0, 1, 2)), 1e-12) / 127
            weight = np.round(weight / scale).astype(np.int8)
        arrays[f"{i}"], arrays[f"{i} scale"] = weight, np.float32(scale)
    path = Path(folder) / f"{name}.npz"
    with atomic_write(path) as part:
        np.savez_compressed(part, **arrays)
    return path
