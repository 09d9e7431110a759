"""Train the U-Nets that `models.pretrained_unet` starts from, on images drawn for the purpose.

    python experiments/pretrain.py pets | streets

Draws 2,000 pets and 200 to score; or 200 streets in 9 frames each and 20 streets to score. None is
in the sample. Stores data/trained/NAME.npz and a run in data/results/pretrain.json. Pets take three
minutes on a large GPU and hours on a CPU; streets take an hour on two cores.
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
from unet_helpers.labels import CARLA, PETS
from unet_helpers.models import pretrained

sys.path.insert(0, str(results.ROOT / "data"))
SETTINGS = {
    "pets": {"size": [128, 128], "train": 2000, "epochs": 40, "batch_size": 16, "power": 0},
    "streets": {"size": [96, 128], "train": 1800, "epochs": 10, "batch_size": 4, "power": 0.5},
    "learning_rate": 5e-3,
    "augmentation": "mirror and colours",
    "seed": 0,
}


def draw_pet(number):
    """Draw a pet of its own; returns a list of one image and mask, resized."""
    import make_pets

    image, trimap = make_pets.compose(number, "train")[:2]
    size = SETTINGS["pets"]["size"]
    return [(resize_image(image, size), resize_mask(trimap - 1, size))]  # trimaps count from 1


def draw_street(number):
    """Draw a street of its own; returns a list of nine frames' images and masks."""
    import make_streets

    name = f"street {number}"
    make_streets.STREETS[name] = make_streets.fresh_street(number)
    size = SETTINGS["streets"]["size"]
    return [make_streets.render(name, frame, size=size) for frame in range(0, 350, 40)]


# The sample and notebook 15 have the numbers below.
DRAWN = {
    "pets": (draw_pet, range(1000, 3200), PETS),
    "streets": (draw_street, range(1000, 1220), CARLA),
}


def draw(name):
    """Draw all images and masks of a set, on all processors."""
    function, numbers, _ = DRAWN[name]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        pairs = [pair for drawn in pool.map(function, numbers, chunksize=5) for pair in drawn]
    return tuple(map(np.stack, zip(*pairs, strict=True)))


def main(name):
    settings, labels = SETTINGS[name], DRAWN[name][2]
    images, masks = draw(name)
    train, unseen = np.split(np.arange(len(images)), [settings["train"]])
    keras.utils.set_random_seed(SETTINGS["seed"])
    model = pretrained.START((*settings["size"], 3), n_classes=labels.n_classes)
    start = time.monotonic()
    fitting.fit(
        model,
        (images[train], masks[train]),
        settings["epochs"],
        settings["power"],
        learning_rate=SETTINGS["learning_rate"],
        batch_size=settings["batch_size"],
        seed=SETTINGS["seed"],
    )
    seconds = round(time.monotonic() - start)
    pretrained.store(model, name, sample_folder("trained"))
    stored = pretrained.load(name)  # rounded, as it will be used
    model.set_weights(stored.get_weights())
    scored = fitting.score(model, (images[unseen], masks[unseen]), labels)
    keep = results.Results("pretrain", SETTINGS)
    keep.add(variant=name, scored_on=len(unseen), seconds=seconds, **scored)


if __name__ == "__main__":
    if sys.argv[1:] not in (["pets"], ["streets"]):
        raise SystemExit(__doc__)
    main(sys.argv[1])
