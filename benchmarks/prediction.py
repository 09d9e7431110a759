"""Compare ways to predict by images per second, in turns, and by their masks.

    python benchmarks/prediction.py [--filters 16 32] [--rounds 7] [--images 96]

A U-Net with batch normalisation at 96 x 128 predicts the 48 frames of the unseen recording, again
and again. It is trained for a few epochs first, because the masks of an untrained network are not
worth comparing. Every round runs all ways once, so a busy moment affects all alike.
"""

import argparse
import functools
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import machine
import numpy as np

from unet_helpers import datasets, inference, models, timing, training
from unet_helpers.datasets import carla
from unet_helpers.models import folding

SIZE = (96, 128)


def trained_unet(n_filters, epochs):
    """Build and train a U-Net of the course, in float32."""
    keras.utils.set_random_seed(0)
    model = models.unet_model((*SIZE, 3), n_filters, 13, batch_norm=True, dropout_prob=0.3)
    batches = datasets.batches(carla.load("train", image_size=SIZE), training.BATCH_SIZE, epochs)
    training.compile_model(model, len(batches))
    steps = len(batches) // epochs
    training.fit(model, batches, epochs=epochs, steps_per_epoch=steps, progress=False)
    return model


def ways_to_predict(model, half):
    """Return ways to predict masks, dict name -> function images -> masks.

    half: whether to compute in bfloat16 as well.
    """
    folded = folding.fold_batch_norm(model)
    ways = {
        "model.predict, batches of 32 (Keras's default)": lambda images: inference.to_mask(
            model.predict(images, verbose=0)
        ),
        "model.predict, batches of 1": lambda images: inference.to_mask(
            model.predict(images, batch_size=1, verbose=0)
        ),
        "model(images), eager, batches of 8": lambda images: np.concatenate(
            [
                inference.to_mask(keras.ops.convert_to_numpy(model(images[i : i + 8])))
                for i in range(0, len(images), 8)
            ]
        ),
        "predict_image, one at a time": lambda images: np.stack(
            [inference.predict_image(model, image) for image in images]
        ),
        "predict_images": lambda images: images_together(model, images),
        "predict_masks": lambda images: inference.predict_masks(model, images),
        "predict_masks, folded": lambda images: inference.predict_masks(folded, images),
    }
    if half:
        plain = folding.in_precision(model, "mixed_bfloat16")
        both = folding.in_precision(folded, "mixed_bfloat16")
        ways |= {
            "model.predict, bfloat16": lambda images: inference.to_mask(
                plain.predict(images, verbose=0)
            ),
            "predict_masks, bfloat16": lambda images: inference.predict_masks(plain, images),
            "predict_masks, folded, bfloat16": lambda images: inference.predict_masks(both, images),
            "predict_images, folded, bfloat16": lambda images: images_together(both, images),
        }
    return ways


def images_together(model, images):
    """Predict as `predict_folder` and `predict_video` do."""
    return np.stack([mask for _, mask in inference.predict_images(model, images)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=96, help="per round and way")
    parser.add_argument("--epochs", type=int, default=2, help="of training beforehand")
    options = parser.parse_args()
    here = training.describe_machine()
    print(machine.describe())
    frames, truth = datasets.to_arrays(carla.load("test", image_size=SIZE))
    images = np.concatenate([frames] * -(-options.images // len(frames)))[: options.images]
    for n_filters in options.filters:
        model = trained_unet(n_filters, options.epochs)
        ways = ways_to_predict(model, here["precision"] == "mixed_bfloat16")
        masks, first = {}, {}
        for name, predict in ways.items():
            start = time.perf_counter()
            predict(images[:3])  # a smaller batch, which is compiled separately
            masks[name] = predict(images)
            first[name] = time.perf_counter() - start
        runs = {name: functools.partial(predict, images) for name, predict in ways.items()}
        seconds = timing.in_turns(runs, options.rounds)
        rates = {name: len(images) / values for name, values in seconds.items()}
        base = next(iter(ways))
        print(f"\n{n_filters} filters, {SIZE[0]}x{SIZE[1]}, {len(images)} images a round:")
        columns = "images/s (median)", "slowest - fastest", "of the first", "same class"
        print("| |", " | ".join((*columns, "accuracy", "first s")), "|")
        print("|---|---|---|---|---|---|---|")
        for name, values in rates.items():
            middle = statistics.median(values)
            # in each round against the first way of the same round
            ratio = statistics.median(a / b for a, b in zip(values, rates[base], strict=True))
            print(
                f"| {name} | {middle:.0f} | {min(values):.0f} - {max(values):.0f} | {ratio:.2f} | "
                f"{(masks[name] == masks[base]).mean():.4%} | "
                f"{(masks[name][: len(truth)] == truth).mean():.4f} | {first[name]:.1f} |"
            )


if __name__ == "__main__":
    main()
