"""Compare training steps with and without XLA on this machine, alternating: which is faster?

    python benchmarks/compilation.py [--filters 16] [--rounds 3]

Keras compiles with XLA by itself where it can; `training.compile_model` leaves it out on a CPU.
"""

import argparse
import statistics
import time

import keras
import numpy as np

from unet_helpers import models


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=4)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.batch_size, 96, 128, 3), np.uint8)
    masks = random.integers(0, 13, (options.batch_size, 96, 128), np.uint8)

    variants, first, rates = {}, {}, {}
    for name, jit in (("plain", False), ("XLA", True)):
        keras.utils.set_random_seed(0)
        model = models.unet_model(n_filters=options.filters, batch_norm=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
        model.compile("adam", loss, jit_compile=jit)
        start = time.perf_counter()
        model.train_on_batch(images, masks)
        first[name] = time.perf_counter() - start
        variants[name], rates[name] = model, []
    for _ in range(options.rounds):
        for name, model in variants.items():
            start = time.perf_counter()
            for _ in range(8):
                model.train_on_batch(images, masks)
            rates[name].append(8 * options.batch_size / (time.perf_counter() - start))
    for name in variants:
        print(
            f"{name:6} first step {first[name]:5.1f} s, then "
            f"{statistics.median(rates[name]):5.1f} images/s (median of {options.rounds})"
        )


if __name__ == "__main__":
    main()
