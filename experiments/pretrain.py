"""Train the U-Net of `models.pretrained_unet(weights="pets")`, on pets drawn for the purpose.

    python experiments/pretrain.py

Draws 2,000 pets to learn from and 200 to score, none of which is in the sample, and stores
data/trained/pets.npz and data/results/pretrain.json. Three minutes on a large GPU, hours on a CPU.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import fitting
import keras
import numpy as np
import results

from unet_helpers.datasets.images import resize_image, resize_mask
from unet_helpers.files import sample_folder
from unet_helpers.labels import PETS
from unet_helpers.models import pretrained

SETTINGS = {
    "size": [128, 128],
    "epochs": 40,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "augmentation": "mirror and colours",
    "seed": 0,
}


def draw(number):
    """Draw a pet of its own; returns the image and the mask, resized."""
    sys.path.insert(0, str(results.ROOT / "data"))
    import make_pets

    image, trimap = make_pets.compose(number, "train")[:2]
    size = SETTINGS["size"]
    return resize_image(image, size), resize_mask(trimap - 1, size)  # trimaps count from 1


def main():
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = list(pool.map(draw, range(1000, 3200), chunksize=20))  # the sample has the first
    images, masks = map(np.stack, zip(*drawn, strict=True))
    keras.utils.set_random_seed(SETTINGS["seed"])
    model = pretrained.PETS_UNET((*SETTINGS["size"], 3))
    start = time.monotonic()
    fitting.fit(
        model,
        (images[:2000], masks[:2000]),
        SETTINGS["epochs"],
        learning_rate=SETTINGS["learning_rate"],
        batch_size=SETTINGS["batch_size"],
        seed=SETTINGS["seed"],
    )
    seconds = round(time.monotonic() - start)
    pretrained.store(model, "pets", sample_folder("trained"))
    model.set_weights(pretrained.load("pets").get_weights())  # rounded, as it will be used
    scored = fitting.score(model, (images[2000:], masks[2000:]), PETS)
    keep = results.Results("pretrain", SETTINGS)
    keep.add(variant="pets", images=2000, scored_on=200, seconds=seconds, **scored)


if __name__ == "__main__":
    main()
