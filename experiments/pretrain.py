"""Train the networks that `models.pretrained_unet` starts from, on images drawn for the purpose.

    python data/make_streets.py --out FOLDER --recordings 50 --frames 70
    python experiments/pretrain.py FOLDER [streets] [pets]

Of the streets the last five recordings of FOLDER are left out and scored; pets are drawn here,
2,000 to learn from and 200 to score. None of these images is in the sample. Stores
data/trained/streets.npz and pets.npz, and data/results/pretrain.json. Minutes on a large GPU, hours
on a CPU.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import fitting
import keras
import numpy as np
import results

from unet_helpers.datasets import carla
from unet_helpers.datasets.images import resize_image, resize_mask
from unet_helpers.files import sample_folder
from unet_helpers.labels import CARLA, PETS
from unet_helpers.models import pretrained

SETTINGS = {
    "streets": {"size": [96, 128], "epochs": 20, "power": 0.5},
    "pets": {"size": [128, 128], "epochs": 40, "power": 0},
    "batch_size": 16,
    "learning_rate": 5e-3,
    "augmentation": "mirror and colours",
    "seed": 0,
}


def read_street(pair):
    """Read and resize a frame and its mask."""
    image, mask = carla.read_pair(*pair)
    size = SETTINGS["streets"]["size"]
    return resize_image(image, size), resize_mask(mask, size)


def draw_pet(number):
    """Draw a pet of its own; returns the image and the mask, resized."""
    sys.path.insert(0, str(results.ROOT / "data"))
    import make_pets

    image, trimap = make_pets.compose(number, "train")[:2]
    size = SETTINGS["pets"]["size"]
    return resize_image(image, size), resize_mask(trimap - 1, size)  # trimaps count from 1


def load(name, folder):
    """Return what to train on and what to score, each (images, masks)."""
    if name == "pets":  # the sample has the first 200
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            found, test = list(pool.map(draw_pet, range(1000, 3200), chunksize=20)), 200
    else:
        files = sorted(Path(folder).glob("*/*/CameraRGB/*.png"), key=lambda file: file.name)
        with ThreadPoolExecutor() as pool:
            pairs = ((file, file.parent.parent / "CameraSeg" / file.name) for file in files)
            found = list(pool.map(read_street, pairs))
        streets = sorted({file.name[:4] for file in files})
        test = sum(file.name[:4] in streets[-5:] for file in files)
    images, masks = map(np.stack, zip(*found, strict=True))
    return (images[:-test], masks[:-test]), (images[-test:], masks[-test:])


def main():
    folder, *names = sys.argv[1:]
    keep = results.Results("pretrain", SETTINGS)
    for name in names or pretrained.STARTS:
        train, test = load(name, folder)
        keras.utils.set_random_seed(SETTINGS["seed"])
        own = SETTINGS[name]
        model = pretrained.STARTS[name]((*own["size"], 3))
        start = time.monotonic()
        fitting.fit(
            model, train, own["epochs"], own["power"], batch_size=SETTINGS["batch_size"],
            learning_rate=SETTINGS["learning_rate"], seed=SETTINGS["seed"],
        )  # fmt: skip
        seconds = round(time.monotonic() - start)
        pretrained.store(model, name, sample_folder("trained"))
        labels = PETS if name == "pets" else CARLA
        model.set_weights(pretrained.load(name).get_weights())  # rounded, as it will be used
        scored = fitting.score(model, test, labels)
        keep.add(variant=name, images=len(train[0]), scored_on=len(test[0]), seconds=seconds,
                 **scored)  # fmt: skip


if __name__ == "__main__":
    main()
