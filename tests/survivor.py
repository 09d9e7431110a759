"""The program that test_survival.py starts, to kill its children at the place that it asks for.

It imports TensorFlow once, then forks a process for every line of its input, a JSON list such as

train FOLDER PLACE EPOCHS   PLACE: end, epoch-N, weights-N, best-N, history-N
limited FOLDER BYTES        train where no file may become larger than BYTES
fetch URL TARGET
unpack ARCHIVE FOLDER
cache SET FOLDER PLACE      load a set of one's own, its pairs cached in FOLDER;
                            PLACE: pair (half of the sixth), full (no file may become as large as
                            a pair)

At the place the process prints READY and waits to be killed. A training run that reaches its end
prints its history.
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from unet_helpers.datasets import download
from unet_helpers.labels import DataError

EPOCHS = 4


def ready():
    """Say that the place is reached, and wait."""
    print("READY", flush=True)
    time.sleep(600)


def train(folder, place="end", epochs=EPOCHS):
    """Train a tiny model, every source of chance in it: shuffling, augmentation, dropout."""
    import keras
    import numpy as np

    from unet_helpers import datasets, files, training
    from unet_helpers.inference import export
    from unet_helpers.training import checkpoint

    epochs = int(epochs)
    what, _, number = place.partition("-")
    number = int(number or 0)
    keras.utils.set_random_seed(3)
    values = np.random.default_rng(0)
    masks = values.integers(0, 2, (12, 16, 16)).astype(np.uint8)
    images = (masks[..., None] * 120 + values.integers(0, 100, (12, 16, 16, 3))).astype(np.uint8)
    data = datasets.from_arrays(images, masks)
    batches = datasets.batches(data, 3, epochs, datasets.augment)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dropout(0.3)(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    training.compile_model(model, steps=len(batches))
    model.run_eagerly = True  # so few batches do not pay for a graph

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            print("STARTED", flush=True)

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch + 1

        def on_train_batch_end(self, batch, logs=None):
            if what == "epoch" and (self.epoch, batch) == (number, 2):
                ready()

    @contextlib.contextmanager
    def write_half(path):
        with files.atomic_write(path) as part:
            yield part
            kind = {"best.keras": "best", "history.json": "history"}.get(path.name, "weights")
            if (what, number) == (kind, stop.epoch):
                os.truncate(part, os.path.getsize(part) // 2)
                ready()

    stop, checkpoint.atomic_write, export.atomic_write = Stop(), write_half, write_half
    stop.epoch = 0
    history = training.fit(
        model, batches, datasets.batches(data), epochs, folder, 4, [stop], progress=False
    )
    print(json.dumps(history))


def serve():
    """Run every line of the input in a process of its own; print PID and at its end ENDED."""
    from unet_helpers import training  # noqa: F401  imported before the fork, it costs seconds
    from unet_helpers.training import recipe  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            print("PID", os.getpid(), flush=True)
            name, *arguments = json.loads(line)
            return COMMANDS[name](*arguments)
        _, status = os.waitpid(child, 0)
        print("ENDED", os.waitstatus_to_exitcode(status), flush=True)


def limited(folder, most):
    """Train where a file that grows beyond so many bytes is refused, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
    try:
        train(folder)
    except DataError as error:
        print(f"Stopped: {error}")
        sys.exit(1)


def fetch(url, target):
    """Download, and wait after the third piece."""
    from pooch import downloaders

    download.CHUNK = 10_000
    pieces = iter(range(3))

    class Bar(downloaders.tqdm):
        def update(self, n=1):
            if next(pieces, None) is None:
                ready()
            return super().update(n)

    downloaders.tqdm = Bar
    download.fetch(url, target)


def unpack(archive, folder):
    """Unpack, and wait when half of a file is written."""

    def half(source, target, *rest):
        target.write(source.read(5))
        target.flush()
        ready()

    download.shutil.copyfileobj = download.tarfile.copyfileobj = half
    download.unpack(archive, folder, "in")


def cache(source, folder, place):
    """Load images that are cached on disk, up to the place."""
    from unet_helpers.datasets import folder as folder_dataset

    write = Path.write_bytes

    def write_half(path, content):
        if (path.parent / "4").exists():
            write(path, content[:20])
            ready()
        return write(path, content)

    if place == "pair":
        Path.write_bytes = write_half
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
    try:
        folder_dataset.load("all", source, (8, 8), cache=folder)
    except DataError as error:
        print(f"Stopped: {error}")
        sys.exit(1)


COMMANDS = {"train": train, "limited": limited, "fetch": fetch, "unpack": unpack, "cache": cache}

if __name__ == "__main__":
    serve()
