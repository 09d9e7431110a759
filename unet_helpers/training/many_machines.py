"""Train one U-Net on several machines, or as several processes: Keras on JAX.

Start it once on every machine, with the same files and the same line but for --process. Process 0
is the one that the others call; it prints, and its model lies in --out:

KERAS_BACKEND=jax python -m unet_helpers.many_machines --address HOST:PORT --processes 2 --process 0
KERAS_BACKEND=jax python -m unet_helpers.many_machines --address HOST:PORT --processes 2 --process 1

Without --address it trains in this process alone, with all of its devices. Every machine reads all
of the data and trains on its part of each batch; all take the same steps, those that one machine
would take. Stopped, the same lines go on after the last epoch: each process keeps what it needs in
--out (process 1 in --out/process-1), which the machines need not share.
"""

import argparse
import sys
from pathlib import Path

import keras

from unet_helpers.datasets import camvid, carla, pets, pipeline
from unet_helpers.datasets.augmentation import augment
from unet_helpers.files import atomic_write
from unet_helpers.labels import DataError
from unet_helpers.models import unet
from unet_helpers.training import distributed, recipe

LOADERS = {"carla": carla, "pets": pets, "camvid": camvid}


def main(arguments=None):
    """Run the command line; returns the exit status, 1 with a sentence when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m unet_helpers.many_machines")
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--address", help="HOST:PORT of process 0, which the others can reach")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0, help="number of this one, from 0")
    parser.add_argument("--dataset", choices=LOADERS, default="carla")
    parser.add_argument("--data", default="sample", help="sample, full, or the path of a folder")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=8, help="of all machines together")
    parser.add_argument("--out", type=Path, default=Path("runs/many_machines"))
    options = parser.parse_args(arguments)
    try:
        distributed.join(options.address, options.processes, options.process)
        run(options)
    except (DataError, ValueError) as error:
        print(f"\nStopped: {error}", file=sys.stderr)
        return 1
    return 0


def run(options):
    """Load, train, and write model.keras and history.json; options as `main` parses them."""
    loader, first = LOADERS[options.dataset], options.process == 0
    root = loader.find(options.data)
    train, validation = (loader.load(split, root, options.size) for split in ("train", "val"))
    # The same seeds everywhere: all machines draw the same weights and the same order.
    keras.utils.set_random_seed(0)
    batches = pipeline.batches(train, options.batch_size, True, augment)
    with distributed.strategy().scope():
        model = unet.unet_model(
            (*options.size, 3),
            options.filters,
            loader.read_labels(root).n_classes,
            dropout_prob=0,
            batch_norm=True,
        )
        recipe.compile_model(model, steps=options.epochs * len(batches))
    history = recipe.fit(
        model, batches, pipeline.batches(validation), options.epochs, options.out, progress=first
    )
    with atomic_write(distributed.own_folder(options.out) / "model.keras") as part:
        model.save(part)
    if first:
        print("loss", " ".join(f"{loss:.6f}" for loss in history["loss"]))
        print(f"mean IoU on validation {history['val_mean_iou'][-1]:.3f}; model in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
