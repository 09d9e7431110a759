"""Train the network of notebook 05 with each of the five recordings left out in turn.

    python experiments/learner.py [RECORDING ...]

It learns from three recordings, the fourth is not used, and the fifth is scored once, after the
last epoch. The settings are those of notebook 05, and nothing is chosen here. Each run is added to
data/results/learner.json as it ends, and runs that are there are not repeated.

Where Keras runs on JAX, there are three seeds, and "crops" besides "unet": twice as many epochs of
parts half as large, half of them around a class that is rarer than the median one. Runs are then
added to learner_jax.json.
"""

import functools
import sys
import time

import keras
import results
import streets

from unet_helpers import models, training
from unet_helpers.labels import CARLA

SETTINGS = {**streets.SETTINGS, "filters": 16, "epochs": 24}  # all else as there
CROP = (64, 96)


def train(pairs, crops=False, seed=SETTINGS["seed"]):
    """Train a network on (images, masks); returns it."""
    keras.utils.set_random_seed(seed)
    build = functools.partial(
        models.unet_model, n_filters=SETTINGS["filters"], n_classes=CARLA.n_classes,
        dropout_prob=0, batch_norm=True,
    )  # fmt: skip
    if not crops:
        model = build((*SETTINGS["size"], 3))
        streets.fit(model, pairs, epochs=SETTINGS["epochs"], seed=seed)
        return model
    import jax_loop

    rare = jax_loop.jnp.asarray(training.median_frequency_weights(pairs[1], CARLA.n_classes) > 1.0)
    change = functools.partial(jax_loop.crop_and_augment, size=CROP, rare=rare * 1.0)
    model, whole = build((*CROP, 3)), build((*SETTINGS["size"], 3))
    streets.fit(model, pairs, epochs=2 * SETTINGS["epochs"], augmentation=change, seed=seed)
    whole.set_weights(model.get_weights())
    return whole


def main():
    jax = keras.backend.backend() == "jax"
    keep = results.Results("learner_jax" if jax else "learner", SETTINGS)
    for seed in range(3 if jax else 1):
        for variant in ("unet", "crops") if jax else ("unet",):
            for left_out in sys.argv[1:] or streets.STREETS:
                number = streets.STREETS.index(left_out)
                unused = streets.STREETS[number - 1]  # of E it is D, as in the notebook
                run = {"variant": variant, "left_out": left_out, "unused": unused}
                run |= {"seed": seed} if jax else {}
                if keep.has(**run):
                    continue
                three = [s for s in streets.STREETS if s not in (left_out, unused)]
                start = time.monotonic()
                model = train(streets.together(three), variant == "crops", seed)
                seconds = round(time.monotonic() - start)
                scored = streets.score(model, streets.frames()[left_out])
                keep.add(**run, seconds=seconds, **scored)


if __name__ == "__main__":
    main()
