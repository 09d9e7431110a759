"""Start from a network that has seen 2,000 drawn pets, or from scratch, on real photographs.

    python experiments/transfer.py FOLDER

FOLDER holds `tensorflow_datasets` with Oxford-IIIT Pet. From scratch, with a frozen encoder and
with all weights trained; 20, 60 and all training images; three seeds, each with its own choice of
images. All see the same number of images, with the course's recipe, and are scored once on the
official test images. Adds to data/results/transfer.json; a run takes one to two minutes.
"""

import itertools
import sys
import time
from pathlib import Path

import fitting
import keras
import numpy as np
import real_sets
import results

from unet_helpers import models

SETTINGS = {"size": [96, 96], "filters": 16, "batch_size": 4, "epochs": 5, "steps an epoch": 40}


def build(start, n_classes):
    """Build a network of 16 filters."""
    size = (*SETTINGS["size"], 3)
    if start == "scratch":
        return models.unet_model(size, SETTINGS["filters"], n_classes, 0, batch_norm=True)
    if start == "all weights":
        return real_sets.from_drawn("pets", SETTINGS["size"], n_classes)
    return models.pretrained_unet(weights="pets", input_size=size, n_classes=n_classes)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    keep = results.Results("transfer", SETTINGS)
    (train, test), labels = real_sets.load("pets", Path(sys.argv[1]), SETTINGS["size"])
    starts = "scratch", "all weights", "frozen"
    jobs = itertools.product((20, len(train[0]), 60), range(3), starts)
    for images, seed, start in jobs:
        run = {"variant": start, "images": images, "seed": seed}
        if keep.has(**run):
            continue
        chosen = np.random.default_rng(seed).permutation(len(train[0]))[:images]
        keras.utils.set_random_seed(seed)
        model, begin = build(start, labels.n_classes), time.monotonic()
        fitting.fit(
            model,
            [part[chosen] for part in train],
            SETTINGS["epochs"],
            steps_per_epoch=SETTINGS["steps an epoch"],
            seed=seed,
        )
        seconds = round(time.monotonic() - begin)
        keep.add(**run, seconds=seconds, **fitting.score(model, test, labels))


if __name__ == "__main__":
    main()
