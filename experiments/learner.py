"""Train the network of notebook 05 with each of the five recordings left out in turn.

    python experiments/learner.py [RECORDING ...]

It learns from three recordings, the fourth is not used, and the fifth is scored once, after the
last epoch. The settings are those of notebook 05, with more epochs; nothing is chosen here. Each
run is added to data/results/learner.json as it ends, and runs that are there are not repeated.

"unet" sees whole images; "crops" sees parts half as large in twice as many epochs, every second one
around a pixel of a class that is rarer than the median; "crops and dropout" also drops 0.3 in the
two deepest blocks. Where Keras runs on JAX, there are three seeds, and runs are added to
learner_jax.json.
"""

import functools
import sys
import time

import keras
import numpy as np
import results
import streets

from unet_helpers import datasets, models, training
from unet_helpers.labels import CARLA

SETTINGS = {**streets.SETTINGS, "filters": 16, "epochs": 24}  # all else as there
CROP = (64, 96)


def around_rare(classes):
    """Make the augmentation that cuts out a part, half of the time around a rare class."""
    if keras.backend.backend() == "jax":
        import jax_loop

        return functools.partial(jax_loop.crop_and_augment, size=CROP, classes=classes)

    def crop_and_augment(image, mask, seed):
        return datasets.augment(*datasets.random_crop(image, mask, CROP, classes, seed), seed)

    return crop_and_augment


def train(pairs, variant, seed):
    """Train a network on (images, masks); returns it."""
    keras.utils.set_random_seed(seed)
    dropout = 0.3 if "dropout" in variant else 0
    model = models.unet_model(
        (None, None, 3), SETTINGS["filters"], CARLA.n_classes, dropout, batch_norm=True
    )
    epochs, change = SETTINGS["epochs"], True
    if "crops" in variant:
        weights = training.median_frequency_weights(pairs[1], CARLA.n_classes)
        epochs, change = 2 * epochs, around_rare(np.flatnonzero(weights > 1))
    streets.fit(model, pairs, epochs=epochs, augmentation=change, seed=seed)
    return model


def main():
    jax = keras.backend.backend() == "jax"
    keep = results.Results("learner_jax" if jax else "learner", SETTINGS)
    for seed in range(3 if jax else 1):
        for variant in ("unet", "crops", "crops and dropout"):
            for left_out in sys.argv[1:] or streets.STREETS:
                number = streets.STREETS.index(left_out)
                unused = streets.STREETS[number - 1]  # of E it is D, as in the notebook
                run = {"variant": variant, "left_out": left_out, "unused": unused}
                run |= {"seed": seed} if jax else {}
                if keep.has(**run):
                    continue
                three = [s for s in streets.STREETS if s not in (left_out, unused)]
                start = time.monotonic()
                model = train(streets.together(three), variant, seed)
                seconds = round(time.monotonic() - start)
                scored = streets.score(model, streets.frames()[left_out])
                keep.add(**run, seconds=seconds, **scored)


if __name__ == "__main__":
    main()
