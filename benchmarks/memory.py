"""Measure the memory of loading and reading 1,000, 5,000 and 20,000 images at 96x128.

    python benchmarks/memory.py [--counts 1000 5000 20000]

Each case is a new process that loads the images, goes through two epochs of shuffled and
augmented batches of 16, and tells its highest resident memory (VmHWM). `imports` is a process that
only imports TensorFlow and the package; `again` finds the cache of the line before. The files are a
few hundred different ones, under many names: what counts is the number of images.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import machine  # noqa: E402

SIDE = (96, 128)
DIFFERENT = 240


def peak():
    """Give the highest resident memory of this process so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def make_files(folder, count):
    """Write pairs in CARLA's layout; every file has many names."""
    from PIL import Image

    from unet_helpers.datasets import carla

    sample = carla.find_pairs("all")[:DIFFERENT]
    images, masks = folder / "dataA" / "CameraRGB", folder / "dataA" / "CameraSeg"
    images.mkdir(parents=True)
    masks.mkdir()
    for i in range(count):
        image, mask = sample[i % len(sample)]
        for place, path, how in (
            (images, image, Image.Resampling.BILINEAR),
            (masks, mask, Image.Resampling.NEAREST),
        ):
            file = place / f"{i:05d}.png"
            if i < len(sample):
                Image.open(path).convert("RGB").resize(SIDE[::-1], how).save(file)
            else:
                os.link(place / f"{i % len(sample):05d}.png", file)


def child(where, folder):
    """Load, read two epochs, and print memory and seconds."""
    import tensorflow as tf

    from unet_helpers import datasets
    from unet_helpers.datasets import carla

    if where == "imports":
        tf.constant(0)
        print(f"{peak():.0f} 0 0")
        return
    start = time.perf_counter()
    pairs = carla.load("train", folder, SIDE, cache=where)
    loading = time.perf_counter() - start
    start = time.perf_counter()
    for _ in datasets.batches(pairs, 16, 2, datasets.augment):
        pass
    print(f"{peak():.0f} {loading:.1f} {(time.perf_counter() - start) / 2:.1f}")


def measure(where, folder):
    """Run a case in a process of its own; returns (MB, seconds to load, seconds an epoch)."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", where, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return map(float, done.stdout.splitlines()[-1].split())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 5000, 20_000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    print(machine.describe())
    print(
        f"{'images':>10}{'cache':>12}{'peak MB':>10}{'load s':>10}{'epoch s':>10}{'pairs MB':>10}"
    )
    print(f"{0:>10}{'imports':>12}{next(measure('imports', '-')):>10.0f}", flush=True)
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            make_files(Path(folder) / "set", count)
            for name in ("memory", "disk", "again"):
                where = "memory" if name == "memory" else str(Path(folder) / "cache")
                memory, loading, epoch = measure(where, Path(folder) / "set")
                size = count * 4 * SIDE[0] * SIDE[1] / 1e6
                print(
                    f"{count:>10}{name:>12}{memory:>10.0f}{loading:>10.1f}{epoch:>10.1f}{size:>10.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
