"""Train a U-Net, score it on unseen images and write predictions, from the command line.

python -m unet_helpers                      CARLA sample, results in runs/carla
python -m unet_helpers --dataset pets
python -m unet_helpers --data full --filters 32 --epochs 20
python -m unet_helpers --dataset folder --data my_data      your own images, see docs/data.md

Several machines or processes train one model with Keras on JAX. Start the same line in each, with
its own number; process 0 prints, and the others write to OUT/process-NUMBER:

KERAS_BACKEND=jax python -m unet_helpers --address HOST:PORT --processes 2 --process 0
"""

import argparse
import contextlib
import sys
from pathlib import Path

# None of these imports Keras before a name of theirs is used, which `main` can explain.
from unet_helpers import datasets, evaluation, files, inference, models, quiet, training
from unet_helpers.labels import DataError


def main(arguments=None):
    """Run the command line; returns the exit status, 1 or 130 with a sentence when it stops."""
    parser = argparse.ArgumentParser(prog="python -m unet_helpers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dataset", choices=("carla", "pets", "camvid", "folder"), default="carla")
    parser.add_argument("--data", default="sample", help="sample, full, or the path of a folder")
    parser.add_argument("--filters", type=positive, default=16, help="filters of the first block")
    parser.add_argument("--epochs", type=positive, default=24)
    parser.add_argument("--batch-size", type=positive)
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, help="folder of the results, default runs/DATASET")
    parser.add_argument("--address", metavar="HOST:PORT", help="of process 0, for all to reach")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0, help="number of this one, from 0")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("--data is empty; expected sample, full, or the path of a folder")
    with contextlib.suppress(AttributeError):  # a notebook prints everything
        sys.stdout.reconfigure(errors="backslashreplace")  # a class may have any name
    try:
        quiet.import_tensorflow()
        training.distributed.join(options.address, options.processes, options.process)
        with contextlib.redirect_stdout(None if options.process else sys.stdout):
            run(options)
    except KeyboardInterrupt:
        print("\nStopped by Ctrl-C. The same line resumes after the last epoch.", file=sys.stderr)
        return 130
    except (ImportError, OSError, ValueError) as error:
        print(f"\nStopped: {error}", file=sys.stderr)
        if isinstance(error, ImportError):
            advice = "Install it, or set KERAS_BACKEND=tensorflow if Keras is to compute with that."
            print(advice, file=sys.stderr)
        return 1
    return 0


def positive(text):
    """Read a whole number of 1 or more from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def run(options):
    """Load, train (or resume), score and write; options as `main` parses them."""
    import keras

    from unet_helpers import plots

    keras.config.set_image_data_format("channels_last")  # keras.json may have the other one
    loader = getattr(datasets, options.dataset)
    size = tuple(options.size or ((128, 128) if options.dataset == "pets" else (96, 128)))
    models.unet.check_divisible(size, 16)  # before minutes of loading
    root = loader.find(options.data)
    kept = options.out or Path("runs") / options.dataset
    folder = training.distributed.own_folder(kept)
    check_output(folder, root)
    training.print_machine(training.use_best_precision())
    labels = loader.read_labels(root)
    if loader is datasets.folder:  # nobody has looked through these images yet
        splits = {split: loader.find_pairs(split, root) for split in loader.SPLITS}
        print(datasets.checks.check_pairs(splits, **loader.files(root)))
    train, validation, test = (loader.load(split, root, size) for split in ("train", "val", "test"))

    keras.utils.set_random_seed(0)
    epochs, batch_size = options.epochs, options.batch_size or training.BATCH_SIZE
    batches = datasets.batches(train, batch_size, epochs, datasets.augment)
    every_mask = (mask for _, mask in train.as_numpy_iterator())
    weights = training.median_frequency_weights(every_mask, labels.n_classes) ** 0.5
    batches = training.with_class_weights(batches, weights)
    with training.distributed.strategy().scope():  # all GPUs; without one it does nothing
        # Dropout slows a short training run down; batch normalisation speeds it up.
        model = models.unet_model(
            (*size, 3), options.filters, labels.n_classes, dropout_prob=0, batch_norm=True
        )
        training.compile_model(model, steps=len(batches))
    [(image, truth)] = validation.skip(len(validation) // 2).take(1).as_numpy_iterator()
    gif = training.PredictionGif(image, labels, folder / "epochs.gif", truth=truth)
    validation, steps = datasets.batches(validation), len(batches) // epochs
    training.fit(model, batches, validation, epochs, kept, steps, callbacks=[gif])
    inference.export.to_keras(model, folder / "model.keras")

    images = [image for image, _ in loader.find_pairs("test", root)]
    shown = score(model, train, test, images, labels, folder / "masks")
    with files.atomic_write(folder / "predictions.png") as part:
        plots.show_predictions(*zip(*shown, strict=True), labels).savefig(part)
    made = ("model.keras", "masks", "predictions.png", "epochs.gif")
    print(f"{folder} holds {', '.join(name for name in made if (folder / name).exists())}.")


def score(model, train, test, files, labels, folder):
    """Print the scores of the baselines and of a model on the test images, and write its masks.

    The masks have the names and sizes of the images' files. A batch at a time, as a data set may
    be larger than the memory. Returns up to eight tuples: image, mask and prediction.
    """
    print("On the test images, which training has not seen:")
    learned = evaluation.baselines.learn(train.as_numpy_iterator(), labels.n_classes)
    confusions, shown = dict.fromkeys([*learned, "U-Net"], 0), []

    def predicted():
        remaining = enumerate(files)
        for images, masks in datasets.batches(test).as_numpy_iterator():
            colours = evaluation.baselines.colour_bins(images)
            guesses = {name: table[colours] for name, table in learned.items()}
            guesses["U-Net"] = inference.predict_masks(model, images)
            for name, guess in guesses.items():
                confusions[name] += evaluation.confusion_matrix(masks, guess, labels.n_classes)
            for row in zip(images, masks, guesses["U-Net"], strict=True):
                number, file = next(remaining)
                if number % max(1, len(files) // 8) == 0:
                    shown.append(row)
                # an image in TFDS's files is named after them and itself: "FILES: NAME"
                name = datasets.pairs.plain_name(file.name.rpartition(": ")[2])
                yield name, datasets.resize_mask(row[2], datasets.read_image(file).shape[:2])

    inference.save_masks(folder, predicted(), labels)
    found = {name: evaluation.scores(confusion) for name, confusion in confusions.items()}
    for name in learned:
        accuracy, iou = found[name].pixel_accuracy, found[name].mean_iou
        print(f"  {name}: accuracy {accuracy:.3f}, mean IoU {iou:.3f}")
    print(f"  U-Net:\n{evaluation.score_lines(found['U-Net'], labels.classes)}")
    return shown[:8]


def check_output(folder, root):
    """Raise DataError if results in a folder would be written over data, here or anywhere."""
    out, data, advice = folder.resolve(), root.resolve(), "Name another folder with --out."
    if out.is_relative_to(data) or data.is_relative_to(out):
        raise DataError(f"Results in {folder} would mix with the data in {root}. {advice}")
    inference.earlier_masks(folder / "masks")  # other images there are refused now, not in the end
    with files.lock(folder):  # is it free, and can it be written to?
        pass


if __name__ == "__main__":
    sys.exit(main())
