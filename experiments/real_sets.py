"""What transfer learning, batch normalisation and augmentation bring on real and on drawn images.

    python experiments/real_sets.py FOLDER

FOLDER holds `camvid` and `tensorflow_datasets`, the real sets. CamVid is trained on train and
scored on val; the pets are trained on train and val and scored on their official test images; the
drawn pets of the sample likewise. Three seeds each. Two comparisons:

real_sets.json: every recipe sees all images equally often. The plain recipe is what most write-ups
do: no batch normalisation, dropout of 0.3, no augmentation, Adam with a constant rate of 1e-3.
"curve" holds the mean IoU after each epoch.
transfer.json: starts and numbers of training images, with the course's recipe, equally many steps.
"""

import sys
import time
from pathlib import Path

import fitting
import keras
import numpy as np
import results

from unet_helpers import datasets, models
from unet_helpers.datasets import camvid, pets

FILTERS, SEEDS, STEPS = 16, 3, 500
TARGETS = {  # size, epochs, where pretrained networks start
    "CamVid": ([96, 128], 20, ("streets", "pets")),
    "pets": ([128, 128], 30, ("pets", "streets")),
    "drawn pets": ([128, 128], 30, ("streets",)),
}


def load(target, folder):
    """Load a data set; returns (train, test), each (images, masks), and its labels."""
    size = TARGETS[target][0]
    if target == "CamVid":
        parts = [camvid.load(split, folder / "camvid", size) for split in ("train", "val")]
        return [datasets.to_arrays(part) for part in parts], camvid.LABELS
    root = folder / "tensorflow_datasets" if target == "pets" else "sample"
    train, validation, test = (pets.load(split, root, size) for split in ("train", "val", "test"))
    return [datasets.to_arrays(part) for part in (train.concatenate(validation), test)], pets.LABELS


def build(start, size, n_classes):
    """Build a network: "scratch", "plain", or "KIND from WEIGHTS"."""
    if start in ("scratch", "plain"):
        plain = start == "plain"
        dropout = 0.3 if plain else 0
        return models.unet_model((*size, 3), FILTERS, n_classes, dropout, batch_norm=not plain)
    kind, weights = start.split(" from ")
    frozen = kind == "frozen"
    model = models.pretrained_unet(
        "course", weights, (*size, 3), n_classes=n_classes, frozen=frozen
    )
    if kind == "all weights":  # the encoder's batch normalisations, too
        model.trainable = True
    return model


def compare(keep, run, data, labels, size, epochs, steps_per_epoch=None, rate=5e-3):
    """Train and score one network, unless that is kept."""
    if keep.has(**run):
        return
    (train, test), start = data, run["variant"]
    keras.utils.set_random_seed(run["seed"])
    model, curve, plain = build(start, size, labels.n_classes), [], start == "plain"
    begin = time.monotonic()
    fitting.fit(
        model, train, epochs, augmentation=not plain, constant=plain,
        learning_rate=1e-3 if plain else rate, steps_per_epoch=steps_per_epoch, seed=run["seed"],
        after_epoch=lambda: curve.append(round(fitting.score(model, test, labels)["mean_iou"], 4)),
    )  # fmt: skip
    seconds = round(time.monotonic() - begin, 1)
    keep.add(**run, seconds=seconds, curve=curve, **fitting.score(model, test, labels))


def jobs(targets=TARGETS):
    """Yield every run: (experiment, run, epochs, steps an epoch, highest learning rate)."""
    for target in targets:
        _, epochs, sources = TARGETS[target]
        kinds = "frozen", "fine-tuned", "all weights"
        for seed in range(SEEDS):
            for start in ("plain", "scratch", f"all weights from {sources[0]}"):
                run = {"variant": start, "target": target, "seed": seed}
                yield "real_sets", run, epochs, None, 5e-3
            starts = ["scratch", *(f"{kind} from {sources[0]}" for kind in kinds)]
            starts += [f"all weights from {other}" for other in sources[1:]]
            for start in starts:
                for images in (20, 60, None):
                    run = {"variant": start, "target": target, "images": images, "seed": seed}
                    yield "transfer", run | {"learning_rate": 5e-3}, 5, STEPS // 5, 5e-3
                    if start == f"all weights from {sources[0]}":
                        yield "transfer", run | {"learning_rate": 1e-3}, 5, STEPS // 5, 1e-3


def subset(train, images, seed):
    """Choose some images of a training set at random; None is all."""
    chosen = np.random.default_rng(seed).permutation(len(train[0]))[:images]
    return train[0][chosen], train[1][chosen]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    settings = {"filters": FILTERS, "batch_size": 4, "targets": TARGETS, "steps of transfer": STEPS}
    keeps = {name: results.Results(name, settings) for name in ("real_sets", "transfer")}
    for target in TARGETS:
        (train, test), labels = load(target, Path(sys.argv[1]))
        for experiment, run, *how in jobs([target]):
            part = subset(train, run.get("images"), run["seed"])
            compare(keeps[experiment], run, (part, test), labels, TARGETS[target][0], *how)


if __name__ == "__main__":
    main()
