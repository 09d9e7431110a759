"""Compare the course's recipe with the plain one, and CamVid with a start from drawn streets.

    python experiments/real_sets.py FOLDER

FOLDER holds `camvid` and `tensorflow_datasets`, the real sets. CamVid is trained on train and
scored on val, the pets are trained on train and val and scored on their official test images;
three seeds each. An epoch shows all recipes the same images. The plain recipe is what most
write-ups do: no batch normalisation, dropout of 0.3, no augmentation, Adam with a constant rate of
1e-3. "streets first" and "pets first" are the course's recipe from the weights of
`experiments/pretrain.py`, none of them frozen. "small images first" is the course's recipe with two
thirds of its epochs at 64 x 64. "curve" is the mean IoU after each epoch; nothing is chosen by it.
Each run is added to data/results/real_sets.json as it ends; a run takes minutes on two cores.
"""

import math
import sys
import time
from pathlib import Path

import fitting
import keras
import results

from unet_helpers import datasets, models, training
from unet_helpers.datasets import camvid, pets
from unet_helpers.datasets.images import resize_image, resize_mask

SETTINGS = {
    "filters": 16,
    "batch_size": 4,
    "CamVid": {"size": [96, 128], "train": "train", "scored on": "val"},
    "pets": {"size": [96, 96], "train": "train and val", "scored on": "test"},
}
RECIPES = {  # and their epochs
    "CamVid": {
        "course": 20,
        "plain": 20,
        "course, 5 epochs": 5,
        "streets first, 5 epochs": 5,
        "streets first": 20,
    },
    "pets": {
        "course": 10,
        "plain": 10,
        "course, 4 epochs": 4,
        "small images first, 6 epochs": 6,
        "pets first, 1 epoch": 1,
        "pets first, 2 epochs": 2,
    },
}


def load(name, folder, size):
    """Load a data set; returns train and test, each (images, masks), and its labels."""
    if name == "CamVid":
        parts = [camvid.load(split, folder / "camvid", size) for split in ("train", "val")]
        return [datasets.to_arrays(part) for part in parts], camvid.LABELS
    root = folder / "tensorflow_datasets"
    train, validation, test = (pets.load(split, root, size) for split in ("train", "val", "test"))
    return [datasets.to_arrays(part) for part in (train.concatenate(validation), test)], pets.LABELS


def from_drawn(weights, size, n_classes):
    """Build the U-Net that starts from drawn images, all of its weights to be trained."""
    model = models.pretrained_unet("course", weights, (*size, 3), n_classes=n_classes)
    for layer in model.layers:
        layer.trainable = True
    return model


def fit_small_first(model, train, epochs, seed, after_epoch):
    """Train two thirds of the epochs at 64 x 64 and the rest at full size, in one schedule."""
    images, masks = train
    small = [resize_image(i, (64, 64)) for i in images], [resize_mask(m, (64, 64)) for m in masks]
    batch_size, whole = SETTINGS["batch_size"], epochs // 3
    steps = math.ceil(len(images) / batch_size)
    training.compile_model(model, epochs * steps)
    each = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: after_epoch())
    for pairs, n in ((small, epochs - whole), (train, whole)):
        data = datasets.from_arrays(*pairs)
        batches = datasets.batches(data, batch_size, n, datasets.augment, seed)
        model.fit(
            batches, epochs=n, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[each]
        )


def train_and_score(recipe, seed, train, test, labels, size, epochs):
    """Train with a recipe; returns what is kept of the run."""
    plain, small_first = recipe == "plain", recipe.startswith("small images first")
    keras.utils.set_random_seed(seed)
    if recipe.startswith(("streets", "pets")):
        model = from_drawn(recipe.split()[0], size, labels.n_classes)
    else:
        shape = (None, None, 3) if small_first else (*size, 3)
        dropout = 0.3 if plain else 0
        model = models.unet_model(
            shape, SETTINGS["filters"], labels.n_classes, dropout, batch_norm=not plain
        )
    start, curve = time.monotonic(), []

    def after_epoch():
        curve.append(round(fitting.score(model, test, labels)["mean_iou"], 4))

    if small_first:
        fit_small_first(model, train, epochs, seed, after_epoch)
    else:
        fitting.fit(
            model,
            train,
            epochs,
            augmentation=not plain,
            constant=plain,
            learning_rate=1e-3 if plain else 5e-3,
            seed=seed,
            after_epoch=after_epoch,
        )
    seconds = round(time.monotonic() - start)
    return {"seconds": seconds, "curve": curve, **fitting.score(model, test, labels)}


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    keep = results.Results("real_sets", SETTINGS)
    for name, recipes in RECIPES.items():
        size = tuple(SETTINGS[name]["size"])
        (train, test), labels = load(name, Path(sys.argv[1]), size)
        for seed in range(3):
            for recipe, epochs in recipes.items():
                run = {"variant": f"{name}, {recipe}", "seed": seed}
                if not keep.has(**run):
                    scored = train_and_score(recipe, seed, train, test, labels, size, epochs)
                    keep.add(**run, **scored)


if __name__ == "__main__":
    main()
