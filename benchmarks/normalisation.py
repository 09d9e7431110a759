"""Compare places for batch normalisation in a U-Net: speed of a training step, and quality.

    python benchmarks/normalisation.py [--filters 32] [--batch-size 16] [--rounds 5]
    python benchmarks/normalisation.py --quality [--seeds 3] [--epochs 6] [--learning-rate 5e-3]

Keras composes the normalisation of some thirty small operations on float32, and each of them
reads and writes the whole feature map. On a CPU that costs more than the convolutions between
them. Each variant here is the course's U-Net with the normalisation somewhere else, computed by
TensorFlow's one kernel for it (`fused.fuse_batch_norm`) or composed. The speeds are measured in
turns; `user` is the processor time of all cores, which a busy machine changes less than the time
on the clock. The quality is that of the main job: 16 filters, six epochs of the sample's
streets, one confusion matrix over the unseen recording dataE.
"""

import argparse
import os
import resource
import statistics
import time

import keras
import machine
import numpy as np
import tensorflow as tf
from keras import layers

from unet_helpers import datasets, evaluation, training
from unet_helpers.datasets import carla, pipeline
from unet_helpers.models import unet

SIZE, CLASSES = (96, 128, 3), 13


def batch_norm():
    return layers.BatchNormalization(momentum=0.9)


def groups():
    return layers.GroupNormalization(groups=8)


# name: (the layer, where it stands, whether TensorFlow's one kernel computes it)
VARIANTS = {
    "none": (None, (), False),
    "every convolution, composed": (batch_norm, ("convolution",), False),
    "every convolution": (batch_norm, ("convolution",), True),
    "last convolution of a block": (batch_norm, ("last",), True),
    "from the second level on": (batch_norm, ("deep",), True),
    "after pooling, composed": (batch_norm, ("pooling",), False),
    "after pooling": (batch_norm, ("pooling",), True),
    "groups of channels": (groups, ("convolution",), False),
}


def compiled(variant, n_filters, steps, learning_rate=5e-3):
    """Build the course's U-Net with a normalisation in some places, and compile it."""
    layer, places, fused = variant
    model = training.compile_model(build(n_filters, layer, places), steps, learning_rate)
    for part in model.layers:
        if isinstance(part, layers.BatchNormalization) and not fused:
            part.call = type(part).call.__get__(part)  # Keras's own again
    return model


def build(n_filters, layer, places):
    """Build the course's U-Net with a normalisation in some places."""

    def normalise(x, *here):
        return layer()(x) if set(here) & set(places) else x

    def double(x, filters, level):
        for name in ("first", "last"):
            here = ["convolution", name, *(["deep"] if level >= 1 else [])]
            start = {"padding": "same", "kernel_initializer": "he_normal"}
            bias = not set(here) & set(places)  # a normalisation subtracts it again
            x = layers.Conv2D(filters, 3, use_bias=bias, **start)(x)
            x = layers.ReLU()(normalise(x, *here))
        return x

    inputs = keras.Input(SIZE)
    x, skips = layers.Rescaling(1 / 255)(inputs), []
    for level in range(4):
        x = double(x, n_filters * 2**level, level)
        skips.append(x)
        x = normalise(layers.MaxPooling2D(2)(x), "pooling")
    x = normalise(double(x, n_filters * 16, 4), "pooling")
    for level in (3, 2, 1, 0):
        filters = n_filters * 2**level
        start = {"padding": "same", "kernel_initializer": "he_normal"}
        x = layers.Conv2DTranspose(filters, 3, strides=2, **start)(x)
        x = double(layers.Concatenate()([x, skips[level]]), filters, level)
    x = layers.Conv2D(n_filters, 3, padding="same", kernel_initializer="he_normal")(x)
    x = layers.ReLU()(normalise(x, "convolution"))
    return keras.Model(inputs, unet.logits_layer(x, CLASSES))


def speed(options, variants):
    """Print images a second of every variant, measured in turns."""
    random = np.random.default_rng(0)
    shape = (options.batch_size, *SIZE[:2])
    images = random.integers(0, 256, (*shape, 3), np.uint8)
    masks = random.integers(0, CLASSES, shape, np.uint8)
    data = tf.data.Dataset.from_tensors((images, masks)).repeat().prefetch(1)
    data = pipeline.without_autotuning(data)
    nets = {}
    for name, variant in variants.items():
        nets[name] = compiled(variant, options.filters, 10_000)
        nets[name].fit(data, steps_per_epoch=2, verbose=0, shuffle=False)  # traces and warms up
    rates, work = {name: [] for name in nets}, {name: [] for name in nets}
    for _ in range(options.rounds):
        for name, model in nets.items():
            start, used = time.perf_counter(), processor_seconds()
            model.fit(data, steps_per_epoch=options.steps, verbose=0, shuffle=False)
            images = options.steps * options.batch_size
            rates[name].append(images / (time.perf_counter() - start))
            work[name].append(1000 * (processor_seconds() - used) / images)
    print(f"{options.filters} filters, batch {options.batch_size}; images/s, user ms an image:")
    for name, values in rates.items():
        middle, user = statistics.median(values), statistics.median(work[name])
        of_plain = middle / statistics.median(rates["none"])
        print(
            f"{name:32} {middle:6.1f} ({min(values):.1f} to {max(values):.1f}), "
            f"{of_plain:.2f} of plain; {user:6.1f}, {statistics.median(work['none']) / user:.2f}"
        )


def processor_seconds():
    """Return the processor time that this process has used on all cores."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def quality(options, variants):
    """Print the scores of every variant on unseen images, trained from several seeds."""
    train, test = (carla.load(split, image_size=SIZE[:2]) for split in ("train", "test"))
    for seed in range(options.seeds):
        for name, variant in variants.items():
            keras.utils.set_random_seed(seed)
            batches = datasets.batches(train, 2, options.epochs, datasets.augment, seed)
            model = compiled(variant, 16, len(batches), options.learning_rate)
            epochs, steps = options.epochs, len(batches) // options.epochs
            history = training.fit(
                model, batches, epochs=epochs, steps_per_epoch=steps, progress=False
            )
            confusion = evaluation.evaluate(model, datasets.batches(test), CLASSES)
            scores = evaluation.scores(confusion)
            print(
                f"seed {seed}  {name:32} mean IoU {scores.mean_iou:.3f}, accuracy "
                f"{scores.pixel_accuracy:.3f}, loss {history['loss'][-1]:.3f}, "
                f"{sum(history['seconds'][1:]) / (options.epochs - 1):.1f} s an epoch",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps in a round")
    parser.add_argument("--quality", action="store_true", help="train and score instead")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    print(machine.describe())
    chosen = training.use_best_precision()
    print(chosen["why"], "Policy:", chosen["precision"])
    variants = {name: VARIANTS[name] for name in options.only}
    if options.quality:
        quality(options, variants)
    else:
        speed(options, variants)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
