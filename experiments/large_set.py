"""Train on a set as large as the real one, split by recording and frame by frame at random.

    python data/make_streets.py --out FOLDER --recordings 50 --frames 70
    python experiments/large_set.py FOLDER

3,500 drawn frames of 192 x 256, 32 filters, 5 epochs; each split is scored on its own test frames,
from one confusion matrix. Adds to data/results/large_set.json. Minutes on a large GPU, hours on a
CPU.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import fitting
import keras
import numpy as np
import results

from unet_helpers import models
from unet_helpers.datasets import carla

SETTINGS = {"filters": 32, "epochs": 5, "batch_size": 8, "learning_rate": 5e-3, "power": 0.5}


def load(split, folder, split_by):
    """Read a split; returns (images, masks)."""
    with ThreadPoolExecutor() as pool:
        pairs = carla.find_pairs(split, folder, split_by)
        found = pool.map(lambda pair: carla.read_pair(*pair), pairs)
        return tuple(map(np.stack, zip(*found, strict=True)))


def run(split_by, folder):
    """Train and score with one way of splitting; returns what is kept of the run."""
    train, test = (load(split, folder, split_by) for split in ("train", "test"))
    keras.utils.set_random_seed(0)
    size = train[0].shape[1:]
    model = models.unet_model(size, SETTINGS["filters"], 13, dropout_prob=0, batch_norm=True)
    start = time.monotonic()
    fitting.fit(
        model, train, SETTINGS["epochs"], SETTINGS["power"], batch_size=SETTINGS["batch_size"]
    )
    seconds = round(time.monotonic() - start)
    sizes = {"size": list(size[:2]), "train": len(train[0]), "test": len(test[0])}
    return sizes | {"seconds": seconds} | fitting.score(model, test, carla.LABELS)


def main():
    keep = results.Results("large_set", SETTINGS)
    for split_by in ("recording", "random"):
        if not keep.has(variant=split_by):
            keep.add(variant=split_by, **run(split_by, sys.argv[1]))


if __name__ == "__main__":
    main()
