"""Train a short form of the main job in several precisions, from several seeds; score on new data.

    python benchmarks/precision.py [--seeds 3] [--policies float32 mixed_bfloat16 mixed_float16]
                                   [--filters 16] [--size 96 128]

The job is a short form of `python -m unet_helpers`: 16 filters, batch normalisation after every
convolution, batches of two, six epochs of the sample's streets; the scores come from one
confusion matrix over the unseen recording dataE. A seed fixes the first weights, the order and the
augmentation. NaN would show as a loss or a score of nan. Precisions that the machine has no units
for are imitated: right, but slow. oneDNN's float16 is the slowest; TF_ENABLE_ONEDNN_OPTS=0 helps.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import machine
import numpy as np

from unet_helpers import datasets, evaluation, models, training
from unet_helpers.datasets import carla

CLASSES = 13


def train(policy, seed, options, splits):
    """Train once; returns (mean IoU, accuracy, losses, smallest loss scale or nan)."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    batches = datasets.batches(splits["train"], 2, options.epochs, datasets.augment, seed)
    model = models.unet_model(
        (*options.size, 3), options.filters, CLASSES, dropout_prob=0, batch_norm=True
    )
    training.compile_model(model, steps=len(batches))
    epochs, steps = options.epochs, len(batches) // options.epochs
    history = training.fit(model, batches, epochs=epochs, steps_per_epoch=steps, progress=False)
    confusion = evaluation.evaluate(model, datasets.batches(splits["test"]), CLASSES)
    scores = evaluation.scores(confusion)
    scale = float(getattr(model.optimizer, "dynamic_scale", np.nan))
    return scores.mean_iou, scores.pixel_accuracy, history["loss"], scale


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    policies = ["float32", "mixed_bfloat16", "mixed_float16"]
    parser.add_argument("--policies", nargs="+", default=policies, choices=policies)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    options = parser.parse_args()
    print(machine.describe())
    splits = {
        split: carla.load(split, image_size=tuple(options.size)) for split in ("train", "test")
    }
    results = {policy: [] for policy in options.policies}
    for seed in range(options.seeds):
        for policy, values in results.items():
            iou, accuracy, losses, scale = train(policy, seed, options, splits)
            values.append((iou, accuracy, losses[-1]))
            print(
                f"seed {seed}  {policy:15} mean IoU {iou:.3f}, accuracy {accuracy:.3f}, last loss "
                f"{losses[-1]:.3f}, finite {np.isfinite(losses).all()}, loss scale {scale:g}",
                flush=True,
            )
    for policy, values in results.items():
        middle, spread = np.mean(values, axis=0), np.ptp(values, axis=0)
        print(
            f"{policy:15} mean IoU {middle[0]:.3f} (seeds within {spread[0]:.3f}), accuracy "
            f"{middle[1]:.3f} ({spread[1]:.3f}), last loss {middle[2]:.3f} ({spread[2]:.3f})"
        )


if __name__ == "__main__":
    main()
