"""Does the recipe of U-Net's paper separate touching cells? Border weights, elastic deformation.

    python experiments/cells.py [SEED ...]

Four recipes, with and without each of the two, are trained on 30 drawn images and scored on 30
others. Every seed draws its own of both, and trains all recipes from the same initial weights;
mirroring and quarter turns are in all four. The functions that draw, deform and score are those of
notebook 09, in its cells tagged "measured": what is measured is what the notebook shows. Each run
is added to data/results/cells.json as it ends, and runs that are there are not repeated.
"""

import functools
import json
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import results
from scipy import ndimage

from unet_helpers import models, training

SETTINGS = {
    "size": [96, 96],
    "train_images": 30,
    "test_images": 30,
    "filters": 8,
    "steps": 300,
    "batch_size": 4,
    "learning_rate": 5e-3,
    "w0": 10.0,
    "sigma": 2.0,
    "deformation": "3x3 points, 2 pixels",
    "augmentation": "mirror and quarter turns",
}
SEEDS = range(5)
THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)  # none is chosen on test: all are kept
RECIPES = {  # name -> what it adds to the plain recipe
    "plain": {},
    "weights": {"weights": True},
    "deformation": {"deformation": True},
    "both": {"weights": True, "deformation": True},
}


@functools.cache
def notebook():
    """Return the functions of notebook 09's cells that are tagged "measured"."""
    path = results.ROOT / "notebooks" / "09_cells.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(cell["source"]) for cell in cells if "measured" in cell["metadata"].get("tags", [])
    ]
    names = {"np": np, "ndimage": ndimage}
    exec("\n\n\n".join(sources), names)
    return SimpleNamespace(**names)


def draw(number, rng):
    """Draw so many pairs (image uint8 (H, W), labels int32 (H, W))."""
    pairs = []
    for _ in range(number):
        labels = notebook().draw_labels(rng, SETTINGS["size"][0])
        pairs.append((notebook().draw_image(labels, rng), labels))
    return pairs


def prepare(seed, weights=False, deformation=False):
    """Draw a run's data: (images, masks, weights), each (steps, B, H, W), and the test pairs."""
    rng = np.random.default_rng(seed)
    train, test = (draw(SETTINGS[f"{name}_images"], rng) for name in ("train", "test"))
    weigh = functools.partial(training.border_weights, w0=SETTINGS["w0"], sigma=SETTINGS["sigma"])
    batches = notebook().make_batches(
        train, SETTINGS["steps"], rng, deformation, weigh if weights else None
    )
    return batches, test


def build(seed):
    """Build the network, from the same initial weights for every recipe of a seed."""
    keras.utils.set_random_seed(seed)
    size = (*SETTINGS["size"], 1)
    return models.unet_model(size, SETTINGS["filters"], 1, dropout_prob=0, batch_norm=True)


def fit(model, images, masks, weights, learning_rate):
    """Train a model on batches (steps, B, H, W), in their order, with the course's recipe."""
    training.compile_model(model, len(images), learning_rate)
    for batch in zip(images[..., None], masks, weights, strict=True):
        model.train_on_batch(*batch)


def predict(model, images):
    """Return the logits (N, H, W) of images (N, H, W)."""
    return np.concatenate([np.asarray(model(image[None, ..., None])) for image in images])[..., 0]


def regrow(mask):
    """Separate objects without a network: erode the mask, number what is left, let it grow back."""
    seeds = notebook().find_objects(ndimage.binary_erosion(mask, iterations=2), smallest=4)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    return notebook().separate(np.where(mask, seeds[tuple(nearest)], 0)) > 0


def score(logits, test):
    """Score logits on the test pairs: at 0.5, at 0.5 after `regrow`, and at other thresholds."""
    truths = [labels for _, labels in test]
    by_threshold = {
        f"{threshold}": notebook().score_objects(
            truths, logits > np.log(threshold / (1 - threshold))
        )
        for threshold in THRESHOLDS
    }
    again = notebook().score_objects(truths, [regrow(mask) for mask in logits > 0])
    scores = dict(by_threshold["0.5"])
    for key in ("ap50", "merges", "splits"):
        scores[f"{key}_regrown"] = again[key]
    for key in ("iou", "ap50"):
        scores[f"{key}_by_threshold"] = {name: s[key] for name, s in by_threshold.items()}
    return scores


def main():
    keep = results.Results("cells", SETTINGS)
    for seed in map(int, sys.argv[1:] or SEEDS):
        for recipe, added in RECIPES.items():
            if keep.has(variant=recipe, seed=seed):
                continue
            batches, test = prepare(seed, **added)
            model, start = build(seed), time.monotonic()
            fit(model, *batches, SETTINGS["learning_rate"])
            seconds = round(time.monotonic() - start)
            logits = predict(model, np.stack([image for image, _ in test]))
            keep.add(variant=recipe, seed=seed, seconds=seconds, **score(logits, test))


if __name__ == "__main__":
    main()
