"""Train the network of notebook 05 with each of the five recordings left out in turn.

    python experiments/learner.py [RECORDING ...]

It learns from three recordings, the fourth is not used, and the fifth is scored once, after the
last epoch. The settings are those of notebook 05, and nothing is chosen here. Each run is added to
data/results/learner.json as it ends, and runs that are there are not repeated.
"""

import sys
import time

import keras
import results
import streets

from unet_helpers import models
from unet_helpers.labels import CARLA

SETTINGS = {**streets.SETTINGS, "filters": 16, "epochs": 24}  # all else as there


def train(pairs):
    """Train a network on (images, masks); returns it."""
    keras.utils.set_random_seed(SETTINGS["seed"])
    model = models.unet_model(
        (*SETTINGS["size"], 3), SETTINGS["filters"], CARLA.n_classes, 0, batch_norm=True
    )
    streets.fit(model, pairs, epochs=SETTINGS["epochs"])
    return model


def main():
    keep = results.Results("learner", SETTINGS)
    for left_out in sys.argv[1:] or streets.STREETS:
        if keep.has(left_out=left_out):
            continue
        number = streets.STREETS.index(left_out)
        unused = streets.STREETS[number - 1]  # of E it is D, as in the notebook
        three = [street for street in streets.STREETS if street not in (left_out, unused)]
        start = time.monotonic()
        model = train(streets.together(three))
        seconds = round(time.monotonic() - start)
        run = {"variant": "unet", "left_out": left_out, "unused": unused}
        keep.add(**run, seconds=seconds, **streets.score(model, streets.frames()[left_out]))


if __name__ == "__main__":
    main()
