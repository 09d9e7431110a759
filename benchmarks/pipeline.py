"""Time epochs of data: decode in every epoch, cache in memory, cache on the disk; alternating.

    python benchmarks/pipeline.py [--images 240] [--epochs 3] [--rounds 3] [--part all]

The files are PNG of 600x800, made for the purpose: frames of the CARLA sample, enlarged four times
with a little noise, so that they have the size of real ones; the masks likewise, without noise.

`iterate` reads batches of 16 with augmentation and does nothing with them. `train` trains the
U-Net of 16 filters at 96x128; the share is the time spent in next(iterator) of the whole time of
the steps (`speed.waiting`). The first epoch includes what comes before the first batch:
for the course decoding and writing the cache, which happens in `load`. One untimed step compiles
the network. Rounds alternate, so that a noisy machine is noisy for all; given are the median and
the range of the rounds.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import machine  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from PIL import Image  # noqa: E402

from unet_helpers import datasets, models, timing, training  # noqa: E402
from unet_helpers.datasets import carla  # noqa: E402

SIDE = (96, 128)
BATCH = 16
CLASSES = 13


def make_files(folder, count):
    """Write PNG pairs of 600x800 in CARLA's layout; returns the mean size of the images, in kB."""
    random = np.random.default_rng(0)
    sample = carla.find_pairs("all")
    images, masks = folder / "dataA" / "CameraRGB", folder / "dataA" / "CameraSeg"
    images.mkdir(parents=True)
    masks.mkdir()
    for i in range(count):
        image, mask = (Image.open(path) for path in sample[i % len(sample)])
        large = np.asarray(image.convert("RGB").resize((800, 600), Image.Resampling.BICUBIC))
        noisy = (large + random.normal(0, 4, large.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(images / f"{i:05d}.png")
        mask.convert("RGB").resize((800, 600), Image.Resampling.NEAREST).save(
            masks / f"{i:05d}.png"
        )
    return sum(file.stat().st_size for file in images.iterdir()) / count / 1000


# ---------------------------------------------------------------- the ways


def decode_every_epoch(folder, _):
    """Build the usual recipe: decode with TensorFlow in a parallel map, in every epoch."""
    images, masks = zip(*carla.find_pairs("train", folder), strict=True)
    names = tf.data.Dataset.from_tensor_slices((list(map(str, images)), list(map(str, masks))))

    def decode(image, mask):
        image = tf.io.decode_png(tf.io.read_file(image), 3)
        mask = tf.io.decode_png(tf.io.read_file(mask), 3)[..., :1]
        image = tf.image.resize(image, SIDE, antialias=True)
        mask = tf.image.resize(mask, SIDE, "nearest")[..., 0]
        return tf.cast(tf.round(image), tf.uint8), mask

    seeds = tf.data.Dataset.random(0, rerandomize_each_iteration=True).batch(2)
    pairs = names.shuffle(len(images), seed=0).map(decode, tf.data.AUTOTUNE)
    pairs = tf.data.Dataset.zip(pairs, seeds).map(
        lambda pair, seed: datasets.augment(*pair, seed), tf.data.AUTOTUNE
    )
    return pairs.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def course(where):
    """Give a function that builds the course's batches with a cache in memory or on the disk."""

    def build(folder, caches):
        place = caches if where == "disk" else where
        pairs = carla.load("train", folder, SIDE, cache=place)
        return datasets.batches(pairs, BATCH, 1, datasets.augment)

    return build


WAYS = {
    "decode every epoch": decode_every_epoch,
    "course, cache in memory": course("memory"),
    "course, cache on disk": course("disk"),
}


# ---------------------------------------------------------------- measuring


def run(build, folder, epochs, model=None):
    """Time some epochs of a way that begins without a cache.

    Returns a list of (seconds, seconds that waited for data), an entry an epoch.
    """
    step = model.train_on_batch if model is not None else lambda images, masks: None
    with tempfile.TemporaryDirectory() as caches:
        times, start = [], time.perf_counter()
        batches = build(folder, Path(caches))
        loading = time.perf_counter() - start
        for _ in range(epochs):
            waited, computed = timing.waiting(step, batches)
            times.append((waited + computed, waited))
        times[0] = (times[0][0] + loading, times[0][1] + loading)
    return times


def measure(kind, folder, options):
    """Measure all ways, alternating, and print a table."""
    model = None
    if kind == "train":
        training.use_best_precision()
        model = models.unet_model((*SIDE, 3), 16, CLASSES)
        training.compile_model(model, 10_000)
        for size in {BATCH, options.images % BATCH or BATCH}:  # the last batch may be smaller
            images = np.zeros((size, *SIDE, 3), np.uint8)
            model.train_on_batch(images, np.zeros((size, *SIDE), np.uint8))
    results = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, build in WAYS.items():
            results[name].append(run(build, folder, options.epochs, model))
    print(f"\n{kind}, {options.images} pairs, seconds an epoch: median (lowest to highest)")
    base = None
    for name, rounds in results.items():
        first = [times[0][0] for times in rounds]
        later = [seconds for times in rounds for seconds, _ in times[1:]]
        base = base or statistics.median(later)
        line = f"{name:26} first {spread(first):24} later {spread(later):24}"
        line += f" {base / statistics.median(later):7.1f} x"
        if model is not None:
            shares = [100 * wait / seconds for times in rounds for seconds, wait in times[1:]]
            line += f"   waiting for data {spread(shares)} %"
        print(line, flush=True)


def spread(values):
    """Write the median and the range of some numbers."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--epochs", type=int, default=3, help="the first included")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("iterate", "train", "all"), default="all")
    options = parser.parse_args()
    print(machine.describe())
    folder = Path(tempfile.mkdtemp())
    try:
        print(f"PNG files of 600x800, {make_files(folder, options.images):.0f} kB on average")
        for kind in ("iterate", "train") if options.part == "all" else (options.part,):
            measure(kind, folder, options)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
