"""Train on real data and score on pictures that training has not seen; print one table row a run.

    python benchmarks/real_data.py camvid FOLDER --recipe course --epochs 6
    python benchmarks/real_data.py camvid FOLDER --size 192 256 --weights 0.5
    python benchmarks/real_data.py pets FOLDER --recipe plain --epochs 6

The plain recipe is what most write-ups do: no batch normalisation, Adam with a constant 1e-3, no
augmentation. CamVid is scored on its validation drive, the pets on their official test pictures.
The course's recipe was tried out on CamVid's validation drive too; the pets' test pictures chose
nothing. --weights gives rare classes more weight in the loss: the median-frequency weights of the
training masks to this power (1 is the published weights, 0.5 their square root).
"""

import argparse
import time

import keras

from unet_helpers import camvid, inference, losses, metrics, models, pets, pipeline, training

SETS = {"camvid": (camvid, "val", (96, 128)), "pets": (pets, "test", (128, 128))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=SETS)
    parser.add_argument("folder")
    parser.add_argument("--recipe", choices=("course", "plain"), default="course")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2)
    parser.add_argument("--weights", type=float, default=0, metavar="POWER")
    options = parser.parse_args()

    loader, score_split, size = SETS[options.dataset]
    size = tuple(options.size or size)
    # The whole official training set: nothing is tuned here, so no validation part is kept back.
    splits = ("train",) if options.dataset == "camvid" else ("train", "val")
    train = loader.load(splits[0], options.folder, size)
    for split in splits[1:]:
        train = train.concatenate(loader.load(split, options.folder, size))
    test = pipeline.batches(loader.load(score_split, options.folder, size), 8)
    labels = loader.LABELS

    keras.utils.set_random_seed(0)
    course = options.recipe == "course"
    training.use_best_precision()
    model = models.unet_model(
        (*size, 3),
        options.filters,
        labels.n_classes,
        batch_norm=course,
        dropout_prob=0.0 if course else 0.3,
    )
    batches = pipeline.batches(
        train, options.batch_size, True, pipeline.augment if course else None
    )
    if options.weights:
        masks = (mask for _, mask in train.as_numpy_iterator())
        weights = losses.median_frequency_weights(masks, labels.n_classes) ** options.weights
        print("weights", dict(zip(labels.classes, weights.round(2).tolist(), strict=True)))
        batches = batches.map(
            lambda images, masks: (images, masks, losses.pixel_weights(masks, weights))
        )
    training.compile_model(model, steps=options.epochs * len(batches))
    if not course:
        model.compile(keras.optimizers.Adam(1e-3), model.loss, jit_compile=model.jit_compile)
    start = time.monotonic()
    training.fit(model, batches, epochs=options.epochs, progress=False)
    seconds = time.monotonic() - start

    scores = metrics.scores(inference.evaluate(model, test, labels.n_classes))
    print(
        f"{options.dataset}, {options.recipe}: {options.filters} filters, {size[0]}x{size[1]}, "
        f"batch {options.batch_size}, {options.epochs} epochs, weights to the power of "
        f"{options.weights:g}, {seconds:.0f} s"
    )
    print(f"  pixel accuracy {scores.pixel_accuracy:.3f}, mean IoU {scores.mean_iou:.3f}")
    for name, iou in zip(labels.classes, scores.iou, strict=True):
        print(f"  {name:12} IoU {iou:.3f}")


if __name__ == "__main__":
    main()
