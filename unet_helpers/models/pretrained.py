"""Nets that were trained on the CARLA sample: load the stored ones, or train them anew.

They let a notebook compare networks that took minutes to train. All of them had the same
pictures, number of passes, recipe and about the same number of parameters.
"""

import functools
import zipfile
from pathlib import Path

import keras
import numpy as np

from unet_helpers.datasets import carla, pipeline
from unet_helpers.datasets.augmentation import augment
from unet_helpers.files import sample_folder, write_whole
from unet_helpers.labels import CARLA, DataError
from unet_helpers.models import fcn, unet
from unet_helpers.training import losses, recipe

SIZE = (160, 192)  # near the sample's own 150 x 200, and divisible by 32
EPOCHS = 24
WEIGHT_POWER = 0.75  # of the median-frequency weights
UNET = functools.partial(unet.unet_model, n_filters=8, dropout_prob=0)
FCN = functools.partial(fcn.fcn_model, n_filters=11)
NETS = {
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
    """Build one of the nets in NETS, untrained: (160, 192, 3) -> 13 logits a pixel.

    Raises ValueError for a name that is not in NETS.
    """
    if name not in NETS:
        raise ValueError(f"There is no net {name!r}; there are {', '.join(NETS)}.")
    return NETS[name]((*SIZE, 3), n_classes=CARLA.n_classes, batch_norm=True, name=name)


def train(name, epochs=EPOCHS, progress=True):
    """Train one of the nets on the sample's training recordings, as the stored ones were.

    Returns the trained keras.Model. Takes minutes on a CPU. The loss weighs rare classes more
    (median-frequency weights, softened), or poles would take hundreds of epochs to appear.
    The stored nets had a weight decay of 1e-4 times the learning rate besides.
    """
    keras.utils.set_random_seed(0)
    pairs = carla.load("train", image_size=SIZE)
    weights = losses.median_frequency_weights(pipeline.to_arrays(pairs)[1], CARLA.n_classes)
    weights = weights**WEIGHT_POWER
    batches = pipeline.batches(pairs, recipe.BATCH_SIZE, True, augment)
    batches = losses.with_class_weights(batches, weights)
    model = recipe.compile_model(build(name), steps=epochs * len(batches))
    recipe.fit(model, batches, epochs=epochs, progress=progress)
    return model


def load(name, train_anew=False, folder=None):
    """Load one of the stored nets, or train it anew.

    Args:
        name: a key of NETS.
        train_anew: True trains it here for EPOCHS epochs instead of loading it.
        folder: of the stored nets; None is the sample's, data/trained.

    Returns:
        keras.Model, (B, 160, 192, 3) images, 0 to 255 -> float32 logits (B, 160, 192, 13).

    Raises:
        DataError: the file is missing or belongs to another net.
    """
    if train_anew:
        return train(name)
    model = build(name)
    path = Path(folder or sample_folder("trained")) / f"{name}.npz"
    try:
        if not path.is_file():  # a pipe or a device would never end
            raise FileNotFoundError(path)
        with zipfile.ZipFile(path) as archive:  # so that a small file cannot fill the memory
            if sum(entry.file_size for entry in archive.infolist()) > 8 * model.count_params():
                raise ValueError("larger than the net")
        with np.load(path, allow_pickle=False) as kept:
            weights = [kept[f"{i}"] * kept[f"{i} scale"] for i in range(len(model.weights))]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError("not finite")
        model.set_weights(weights)
    except Exception as error:  # zip, zlib and NumPy have their own kinds of errors
        raise DataError(
            f"The trained net {path} cannot be loaded ({type(error).__name__}). Make it anew with "
            f"python data/train_nets.py {name}, or use load({name!r}, train_anew=True)."
        ) from error
    return model


def store(model, name, folder):
    """Write a net's weights to folder/NAME.npz, kernels in 8 bits; returns the path.

    A kernel is stored as int8 with one float32 scale per filter, a quarter of float32's size;
    the scores of the stored nets are those after this rounding. Other weights stay float32.
    """
    arrays = {}
    for i, weight in enumerate(model.get_weights()):
        scale = np.float32(1)
        if weight.ndim == 4:
            scale = np.maximum(np.abs(weight).max(axis=(0, 1, 2)), 1e-12) / 127
            weight = np.round(weight / scale).astype(np.int8)
        arrays[f"{i}"], arrays[f"{i} scale"] = weight, np.float32(scale)
    path = Path(folder) / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: np.savez_compressed(part, **arrays))
    return path
