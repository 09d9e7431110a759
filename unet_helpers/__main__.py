"""Train a U-Net, score it on unseen images and write predictions, from the command line.

python -m unet_helpers                      CARLA sample, results in runs/carla
python -m unet_helpers --dataset pets
python -m unet_helpers --data full --filters 32 --epochs 20
python -m unet_helpers --dataset folder --data my_data      your own images, see datasets/folder.py

Several machines or processes train one model with Keras on JAX. Start the same line in each, with
its own number; process 0 prints, and the others write to OUT/process-NUMBER:

KERAS_BACKEND=jax python -m unet_helpers --address HOST:PORT --processes 2 --process 0
"""

import argparse
import contextlib
import sys
from pathlib import Path

import keras

from unet_helpers import plots
from unet_helpers.datasets import camvid, carla, pets, pipeline
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.datasets.augmentation import augment
from unet_helpers.datasets.checks import check_pairs
from unet_helpers.datasets.images import read_image, resize_mask
from unet_helpers.datasets.pairs import plain_name
from unet_helpers.evaluation import baselines, metrics
from unet_helpers.files import atomic_write
from unet_helpers.inference import predict
from unet_helpers.inference.images import earlier_masks, save_masks
from unet_helpers.labels import DataError
from unet_helpers.models import unet
from unet_helpers.training import callbacks, distributed, precision, recipe

LOADERS = {"carla": carla, "pets": pets, "camvid": camvid, "folder": folder_dataset}


def main(arguments=None):
    """Run the command line; returns the exit status, 1 with a sentence when the data is bad."""
    parser = argparse.ArgumentParser(prog="python -m unet_helpers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dataset", choices=LOADERS, default="carla")
    parser.add_argument("--data", default="sample", help="sample, full, or the path of a folder")
    parser.add_argument("--filters", type=int, default=16, help="filters of the first block")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=recipe.BATCH_SIZE)
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, help="folder of the results, default runs/DATASET")
    parser.add_argument("--address", metavar="HOST:PORT", help="of process 0, for all to reach")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0, help="number of this one, from 0")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error("--epochs must be 1 or more")
    try:
        distributed.join(options.address, options.processes, options.process)
        with contextlib.redirect_stdout(None if options.process else sys.stdout):
            run(options)
    except (DataError, ValueError) as error:
        print(f"\nStopped: {error}", file=sys.stderr)
        return 1
    return 0


def run(options):
    """Load, train (or resume), score and write; options as `main` parses them."""
    loader = LOADERS[options.dataset]
    size = tuple(options.size or ((128, 128) if loader is pets else (96, 128)))
    kept = options.out or Path("runs") / options.dataset
    folder = distributed.own_folder(kept)
    precision.print_machine(precision.use_best_precision())
    root = loader.find(options.data)
    labels = loader.read_labels(root)
    earlier_masks(folder / "masks")  # a folder of other images is refused now, not in the end
    if loader is folder_dataset:  # nobody has looked through these images yet
        splits = {split: folder_dataset.find_pairs(split, root) for split in folder_dataset.SPLITS}
        print(check_pairs(splits, **folder_dataset.files(root)))
    train, validation, test = (loader.load(split, root, size) for split in ("train", "val", "test"))

    keras.utils.set_random_seed(0)
    epochs = options.epochs
    batches = pipeline.batches(train, options.batch_size, epochs, augment)
    with distributed.strategy().scope():  # all GPUs of the machine; without one it does nothing
        # Dropout slows a short training run down; batch normalisation speeds it up.
        model = unet.unet_model(
            (*size, 3), options.filters, labels.n_classes, dropout_prob=0, batch_norm=True
        )
        recipe.compile_model(model, steps=len(batches))
    images, masks = pipeline.to_arrays(validation)
    middle = len(images) // 2
    gif = callbacks.PredictionGif(
        images[middle], labels, folder / "epochs.gif", truth=masks[middle]
    )
    validation, steps = pipeline.batches(validation), len(batches) // epochs
    recipe.fit(model, batches, validation, epochs, kept, steps, callbacks=[gif])
    with atomic_write(folder / "model.keras") as part:
        model.save(part)

    print("On the test images, which training has not seen:")
    n_classes, (test_images, test_masks) = labels.n_classes, pipeline.to_arrays(test)
    guesses = baselines.predictions(*pipeline.to_arrays(train), test_images, n_classes)
    for name, guess in guesses.items():
        score = metrics.scores(metrics.confusion_matrix(test_masks, guess, n_classes))
        print(f"  {name}: accuracy {score.pixel_accuracy:.3f}, mean IoU {score.mean_iou:.3f}")
    predictions = predict.predict_masks(model, test_images)
    score = metrics.scores(metrics.confusion_matrix(test_masks, predictions, n_classes))
    print(f"  U-Net:\n{metrics.score_lines(score, labels.classes)}")
    files = [image for image, _ in loader.find_pairs("test", root)]
    # an image in TFDS's files is named after them and itself: "FILES: NAME"
    names = [plain_name(file.name.rpartition(": ")[2]) for file in files]
    sizes = (read_image(file).shape[:2] for file in files)
    masks = map(resize_mask, predictions, sizes)
    save_masks(folder / "masks", zip(names, masks, strict=True), labels)
    step = max(1, len(test_images) // 8)
    eight = (group[::step][:8] for group in (test_images, test_masks, predictions))
    plots.show_predictions(*eight, labels).savefig(folder / "predictions.png")
    print(f"The model, its predictions and a GIF of the epochs are in {folder}.")


if __name__ == "__main__":
    sys.exit(main())
