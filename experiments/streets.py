"""Compare designs and recipes over the sample's five recordings, each left out in turn.

    python experiments/streets.py [VARIANT ...]

Every variant is trained on four recordings and scored on the fifth, once per recording: streets
differ more than seeds do. No choice is made on the fifth. Each run is added to
data/results/streets.json as it ends, and runs that are there are not repeated. A run takes about
two minutes on two cores; `python experiments/tables.py` writes the tables of docs/results.md.
"""

import functools
import sys
import time

import fitting
import keras
import numpy as np
import results

from unet_helpers import models
from unet_helpers.datasets import carla
from unet_helpers.datasets.images import resize_image, resize_mask
from unet_helpers.labels import CARLA

STREETS = ("dataA", "dataB", "dataC", "dataD", "dataE")
SETTINGS = {
    "size": [96, 128],
    "epochs": 12,
    "batch_size": 4,
    "learning_rate": 5e-3,
    "weights": "median frequency, to the power 0.5",
    "augmentation": "mirror and colours",
    "seed": 0,
}
fit = functools.partial(fitting.fit, epochs=SETTINGS["epochs"], power=0.5)
score = functools.partial(fitting.score, labels=CARLA)

UNET = functools.partial(models.unet_model, n_filters=8, dropout_prob=0, batch_norm=True)
FCN = functools.partial(models.fcn_model, n_filters=11, dropout_prob=0, batch_norm=True)
# name -> (model, what differs from the recipe in SETTINGS)
VARIANTS = {
    "unet": (UNET, {}),
    "fcn_32s": (functools.partial(FCN, stride=32), {}),
    "fcn_16s": (functools.partial(FCN, stride=16), {}),
    "fcn_8s": (functools.partial(FCN, stride=8), {}),
    "without_skips": (functools.partial(UNET, skips=()), {}),
    "without_skip_1": (functools.partial(UNET, skips=(2, 3, 4)), {}),
    "without_skip_2": (functools.partial(UNET, skips=(1, 3, 4)), {}),
    "without_skip_3": (functools.partial(UNET, skips=(1, 2, 4)), {}),
    "without_skip_4": (functools.partial(UNET, skips=(1, 2, 3)), {}),
    "no_weights": (UNET, {"power": 0}),
    "full_weights": (UNET, {"power": 1}),
    "no_augmentation": (UNET, {"augmentation": False}),
    "dropout": (functools.partial(UNET, dropout_prob=0.3), {}),
    "no_batch_norm": (functools.partial(UNET, batch_norm=False), {"learning_rate": 1e-3}),
    "batch_norm_once_a_block": (functools.partial(UNET, batch_norm="block"), {}),
    "plain": (
        functools.partial(UNET, batch_norm=False),
        {"power": 0, "augmentation": False, "learning_rate": 1e-3, "constant": True},
    ),
}


@functools.cache
def frames():
    """Load all frames: dict from recording to (images, masks)."""
    size, loaded = tuple(SETTINGS["size"]), {street: [] for street in STREETS}
    for image_path, mask_path in carla.find_pairs("all"):
        image, mask = carla.read_pair(image_path, mask_path)
        street = next(name for name in STREETS if name in image_path.parts)
        loaded[street].append((resize_image(image, size), resize_mask(mask, size)))
    return {
        street: tuple(map(np.stack, zip(*pairs, strict=True))) for street, pairs in loaded.items()
    }


def together(streets):
    """Join the frames of several recordings."""
    return tuple(map(np.concatenate, zip(*(frames()[street] for street in streets), strict=True)))


def main():
    # networks of two backends are not compared with each other
    name = "streets_jax" if keras.backend.backend() == "jax" else "streets"
    keep = results.Results(name, SETTINGS)
    for left_out in STREETS:
        for variant in sys.argv[1:] or VARIANTS:
            build, differs = VARIANTS[variant]
            if keep.has(variant=variant, left_out=left_out):
                continue
            keras.utils.set_random_seed(SETTINGS["seed"])
            model = build((*SETTINGS["size"], 3), n_classes=CARLA.n_classes)
            start = time.monotonic()
            fit(model, together([street for street in STREETS if street != left_out]), **differs)
            seconds = round(time.monotonic() - start)
            run = {"variant": variant, "left_out": left_out, "parameters": model.count_params()}
            keep.add(**run, seconds=seconds, **score(model, frames()[left_out]))


if __name__ == "__main__":
    main()
