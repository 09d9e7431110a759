"""Compare ways to normalise a U-Net by the speed of a training step, alternating.

    python benchmarks/normalisation.py [--filters 32] [--batch-size 16] [--rounds 5]

Batch normalisation after every convolution costs a CPU more than half of its speed in half
precision. Each variant here is the course's U-Net with the normalisation somewhere else.
"""

import argparse
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from unet_helpers import models, pipeline, training

SIZE, CLASSES = (96, 128, 3), 13


def no_normalisation(x, level, last):
    """Leave the features as they are."""
    return x


def after_every_convolution(x, level, last):
    """Normalise after each convolution, as the course's blocks do."""
    return layers.BatchNormalization(momentum=0.9)(x)


def once_a_block(x, level, last):
    """Normalise after a block's last convolution only."""
    return layers.BatchNormalization(momentum=0.9)(x) if last else x


def deep_levels_only(x, level, last):
    """Normalise from the third level on, where feature maps are small."""
    return layers.BatchNormalization(momentum=0.9)(x) if level >= 2 else x


def once_a_block_and_deep(x, level, last):
    """Normalise after a block's last convolution, from the second level on."""
    return layers.BatchNormalization(momentum=0.9)(x) if last and level >= 1 else x


def groups(x, level, last):
    """Normalise groups of eight channels of each picture by itself."""
    return layers.GroupNormalization(groups=x.shape[-1] // 8)(x)


def unet(n_filters, normalise):
    """Build the course's U-Net with a normalisation between convolution and ReLU."""

    def double(x, filters, level):
        for last in (False, True):
            x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
            x = layers.ReLU()(normalise(x, level, last))
        return x

    inputs = keras.Input(SIZE)
    x, skips = layers.Rescaling(1 / 255)(inputs), []
    for level in range(4):
        x = double(x, n_filters * 2**level, level)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = double(x, n_filters * 16, 4)
    for level in (3, 2, 1, 0):
        x = layers.Conv2DTranspose(n_filters * 2**level, 3, strides=2, padding="same")(x)
        x = double(layers.Concatenate()([x, skips[level]]), n_filters * 2**level, level)
    return keras.Model(inputs, models.logits_layer(x, CLASSES))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps in a round")
    options = parser.parse_args()
    machine = training.use_best_precision()
    print(machine["why"], "Policy:", machine["precision"])
    random = np.random.default_rng(0)
    shape = (options.batch_size, *SIZE[:2])
    batch = (
        random.integers(0, 256, (*shape, 3), np.uint8),
        random.integers(0, CLASSES, shape, np.uint8),
    )
    data = tf.data.Dataset.from_tensors(batch).repeat().prefetch(1)
    data = pipeline.without_autotuning(data)
    variants = {}
    for normalise in (
        no_normalisation,
        after_every_convolution,
        once_a_block,
        deep_levels_only,
        once_a_block_and_deep,
        groups,
    ):
        keras.utils.set_random_seed(0)
        model = training.compile_model(unet(options.filters, normalise), 10_000)
        model.fit(data, steps_per_epoch=2, verbose=0)  # traces and warms up
        variants[normalise.__name__.replace("_", " ")] = model
    rates = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, model in variants.items():
            start = time.perf_counter()
            model.fit(data, steps_per_epoch=options.steps, verbose=0)
            seconds = time.perf_counter() - start
            rates[name].append(options.steps * options.batch_size / seconds)
    base = statistics.median(rates["no normalisation"])
    print(
        f"{options.filters} filters, {SIZE[0]}x{SIZE[1]}, batch {options.batch_size}; pictures/s:"
    )
    for name, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{name:26} {middle:6.1f}  ({min(values):.1f} to {max(values):.1f})  "
            f"{middle / base:.2f} of plain"
        )


if __name__ == "__main__":
    main()
