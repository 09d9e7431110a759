"""Compare the course's recipe with the plain one on real data, three seeds each.

    python experiments/real_sets.py FOLDER

FOLDER holds `camvid` and `tensorflow_datasets`. CamVid is trained on train and scored on val, the
pets are trained on train and val and scored on their official test images. Both recipes see the
same images equally often. The plain recipe is what most write-ups do: no batch normalisation,
dropout of 0.3, no augmentation, Adam with a constant rate of 1e-3. Each run is added to
data/results/real_sets.json as it ends; a run takes several minutes on two cores.
"""

import sys
import time
from pathlib import Path

import keras
import results

from unet_helpers import datasets, evaluation, models, training
from unet_helpers.datasets import camvid, pets

SETTINGS = {
    "filters": 16,
    "batch_size": 4,
    "camvid": {"size": [96, 128], "epochs": 20, "train": "train", "scored on": "val"},
    "pets": {"size": [128, 128], "epochs": 30, "train": "train and val", "scored on": "test"},
}


def load(name, folder):
    """Load a data set; returns (train, test, labels)."""
    size = tuple(SETTINGS[name]["size"])
    if name == "camvid":
        root = folder / "camvid"
        return camvid.load("train", root, size), camvid.load("val", root, size), camvid.LABELS
    train, validation, test = (pets.load(split, folder, size) for split in ("train", "val", "test"))
    return train.concatenate(validation), test, pets.LABELS


def train_and_score(recipe, seed, train, test, labels, size, epochs):
    """Train with a recipe; returns what is kept of the run."""
    course = recipe == "course"
    keras.utils.set_random_seed(seed)
    model = models.unet_model(
        (*size, 3),
        SETTINGS["filters"],
        labels.n_classes,
        batch_norm=course,
        dropout_prob=0 if course else 0.3,
    )
    augmentation = datasets.augment if course else None
    batches = datasets.batches(train, SETTINGS["batch_size"], epochs, augmentation, seed)
    training.compile_model(model, steps=len(batches))
    if not course:
        model.compile(keras.optimizers.Adam(1e-3), model.loss, jit_compile=False)
    start, steps = time.monotonic(), len(batches) // epochs
    training.fit(model, batches, epochs=epochs, steps_per_epoch=steps, progress=False)
    seconds = round(time.monotonic() - start)
    scores = evaluation.scores(evaluation.evaluate(model, datasets.batches(test), labels.n_classes))
    return {"seconds": seconds, **results.of_scores(scores, labels.classes)}


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    keep = results.Results("real_sets", SETTINGS)
    for name in ("camvid", "pets"):
        train, test, labels = load(name, Path(sys.argv[1]))
        size, epochs = tuple(SETTINGS[name]["size"]), SETTINGS[name]["epochs"]
        for seed in range(3):
            for recipe in ("course", "plain"):
                run = {"variant": f"{name}, {recipe}", "seed": seed}
                if not keep.has(**run):
                    scored = train_and_score(recipe, seed, train, test, labels, size, epochs)
                    keep.add(**run, **scored)


if __name__ == "__main__":
    main()
