"""Train on real data and score on images that training has not seen; print one table row a run.

    python benchmarks/real_data.py camvid FOLDER --recipe course --epochs 6
    python benchmarks/real_data.py camvid FOLDER --size 192 256 --weights 0.5
    python benchmarks/real_data.py pets FOLDER --recipe plain --epochs 6
    python benchmarks/real_data.py pets FOLDER --binary --size 160 160

The plain recipe is what most write-ups do: no batch normalisation, Adam with a constant 1e-3, no
augmentation. CamVid is scored on val, one stretch of a drive of which train has other parts, the
pets on their official test images. The course's recipe was tried out on CamVid's val too; the
pets' test images chose nothing.

--weights gives rare classes more weight in the loss: the median-frequency weights of the training
masks to this power (1 is the published weights, 0.5 their square root). --binary makes the pets'
masks pet (1), background (0) and void (the outline), trains one output with cross-entropy and soft
Dice, chooses the threshold on the validation part of the training images, which is not trained
on, and reports it on the test images.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

from unet_helpers import datasets, evaluation, inference, models, training
from unet_helpers.datasets import camvid, pets
from unet_helpers.labels import VOID

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
    parser.add_argument("--binary", action="store_true")
    parser.add_argument("--weights", type=float, default=0, metavar="POWER")
    options = parser.parse_args()

    loader, score_split, size = SETS[options.dataset]
    size = tuple(options.size or size)
    # Of the pets, the validation part chooses the threshold or, if there is none, is trained on.
    train = loader.load("train", options.folder, size)
    if options.dataset == "pets" and not options.binary:
        train = train.concatenate(loader.load("val", options.folder, size))
    test = loader.load(score_split, options.folder, size)
    labels, n_outputs = loader.LABELS, loader.LABELS.n_classes
    if options.binary:
        validation = loader.load("val", options.folder, size).map(pet_or_not)
        train, test, n_outputs = train.map(pet_or_not), test.map(pet_or_not), 1

    keras.utils.set_random_seed(0)
    training.use_best_precision()
    model = build(options, size, n_outputs)
    course = options.recipe == "course"
    augmentation = datasets.augment if course else None
    batches = datasets.batches(train, options.batch_size, options.epochs, augmentation)
    if options.weights:
        masks = (mask for _, mask in train.as_numpy_iterator())
        weights = training.median_frequency_weights(masks, labels.n_classes) ** options.weights
        print("weights", dict(zip(labels.classes, weights.round(2).tolist(), strict=True)))
        batches = training.with_class_weights(batches, weights)
    loss = training.CrossEntropyAndDice() if options.binary else None
    training.compile_model(model, steps=len(batches), loss=loss)
    if not course:
        model.compile(keras.optimizers.Adam(1e-3), model.loss, jit_compile=model.jit_compile)
    start = time.monotonic()
    epochs, steps = options.epochs, len(batches) // options.epochs
    training.fit(model, batches, epochs=epochs, steps_per_epoch=steps, progress=False)
    seconds = time.monotonic() - start
    print(
        f"{options.dataset}{' binary' if options.binary else ''}, {options.recipe}: "
        f"{options.filters} filters, {size[0]}x{size[1]}, batch {options.batch_size}, "
        f"{options.epochs} epochs, weights to the power of {options.weights:g}, {seconds:.0f} s"
    )
    if options.binary:
        logits, masks = answers(model, validation)
        chosen = max(
            np.linspace(0.05, 0.95, 37), key=lambda limit: binary(logits, masks, limit).iou[1]
        )
        logits, masks = answers(model, test)
        for name, limit in (("0.5", 0.5), (f"{chosen:.2f}, chosen on validation", chosen)):
            scores = binary(logits, masks, limit)
            print(
                f"  threshold {name}: IoU {scores.iou[1]:.3f}, Dice {scores.dice[1]:.3f}, ", end=""
            )
            print(f"pixel accuracy {scores.pixel_accuracy:.3f}")
        return
    scores = evaluation.scores(evaluation.evaluate(model, datasets.batches(test), labels.n_classes))
    print(evaluation.score_lines(scores, labels.classes))


def build(options, size, n_outputs):
    """Build the recipe's U-Net; the binary one upsamples by 2x2 and has no extra convolution."""
    course = options.recipe == "course"
    variant = dict(up_kernel_size=2, extra_convolution=False) if options.binary else {}
    return models.unet_model(
        (*size, 3),
        options.filters,
        n_outputs,
        batch_norm=course,
        dropout_prob=0.0 if course else 0.3,
        **variant,
    )


def pet_or_not(image, mask):
    """Turn pet, background, outline into 1, 0, void."""
    return image, tf.gather(tf.constant([1, 0, VOID], tf.uint8), tf.cast(mask, tf.int32))


def answers(model, dataset):
    """Predict a data set of pairs; returns (logits, true masks)."""
    images, masks = datasets.to_arrays(dataset)
    return inference.predict_logits(model, images), masks


def binary(logits, masks, threshold):
    """Score the masks at a threshold, from one confusion matrix over the whole data set."""
    predicted = inference.to_mask(logits, threshold)
    return evaluation.scores(evaluation.confusion_matrix(masks, predicted, 2))


if __name__ == "__main__":
    main()
