"""Compile and fit a model with the course's recipe."""

import keras
import numpy as np

from unet_helpers.labels import VOID, DataError
from unet_helpers.training import distributed, fused, losses
from unet_helpers.training.callbacks import ProgressBar, Record, ValidationScores
from unet_helpers.training.checkpoint import Checkpointer

BATCH_SIZE = 2  # small batches make many steps, and short trainings need steps


def compile_model(model, steps, learning_rate=5e-3, loss=None):
    """Compile a model with the course's recipe.

    Adam with a learning rate that warms up over the first 15 % of the steps and falls to
    almost zero along a cosine: large steps early, small ones at the end, so the last epoch is
    usually the best one and a short training uses all of its budget.

    Args:
        model: gives logits (B, H, W, C).
        steps: batches in the whole training, epochs times batches an epoch.
        learning_rate: the highest rate.
        loss: a Keras loss; None is cross-entropy from logits, void left out, of the classes or,
            with a single logit, of a binary mask.

    Returns:
        the compiled model.

    Source: Kingma and Ba 2015 (Adam), Loshchilov and Hutter 2017 (cosine).
    """
    warmup = max(1, int(0.15 * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 10,
        decay_steps=max(1, steps - warmup),
        alpha=0.01,
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
        if model.output_shape[-1] == 1:
            loss = losses.MaskedBinaryCrossentropy()
    several = distributed.replicas(model) > 1
    if several:
        loss = distributed.WholeBatch(loss)
        distributed.synchronise(model)
    # Keras would compile with XLA by itself; on a CPU TensorFlow starts later with it and is no
    # faster after (benchmarks/compilation.py); on several devices it has not been tried. JAX is
    # slow without it.
    gpus, _, _ = distributed.find_gpus()
    xla = keras.backend.backend() != "tensorflow" or (gpus > 0 and not several)
    model.compile(
        optimizer=fused.update(keras.optimizers.Adam(schedule)),
        loss=loss,
        jit_compile="auto" if xla else False,
    )
    if not gpus and not several:
        fused.normalise(model)
    # Made inside the first step, the optimizer's variables would make TensorFlow trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, train, validation=None, epochs=10, folder=None, callbacks=(), progress=True):
    """Train a model and score it after every epoch; with a folder, resume where it stopped.

    Args:
        model: compiled; gives logits (B, H, W, C).
        train: tf.data.Dataset of (images uint8, masks uint8[, weights]) batches.
        validation: batches of images that are not in train, or None.
        epochs: number of epochs in all, those of an earlier run in the folder included.
        folder: keeps `history.json`, the weights and optimizer state of the last epoch and
            `best.keras`, the model with the best validation IoU. None keeps nothing.
        callbacks: more Keras callbacks.
        progress: show a progress bar.

    Returns:
        dict of lists, one entry an epoch: "loss", "seconds", and with validation "val_loss",
        "val_accuracy", "val_mean_iou" (each from one confusion matrix over all of validation).

    Raises:
        DataError: no batches, images of another size than the model's, labels that have no
            logit, or a folder that holds the training of another model.
    """
    n_classes = model.output_shape[-1]
    for name, dataset in (("training", train), ("validation", validation)):
        if dataset is not None:
            check_batches(model, dataset, name)
    steps, several = int(train.cardinality()), distributed.replicas(model) > 1
    checkpointer = Checkpointer(distributed.own_folder(folder)) if folder is not None else None
    history = checkpointer.restore(model) if checkpointer else {}
    done = len(history.get("loss", ()))
    distributed.check_same(done, folder)
    if checkpointer and done:
        print(f"Resuming after epoch {done} of {epochs}, kept in {folder}.")
    if 0 < done < epochs:
        # Every iterator of the data draws an order of its own, and Keras makes two an epoch (one
        # with JAX and on several devices). Those of the finished epochs are drawn and not used, so
        # that the next epochs see the order and the augmentation that they would have seen
        # without the stop.
        for _ in range(done if several or keras.backend.backend() == "jax" else 2 * done):
            iter(train)
    every = [*callbacks]
    if validation is not None:
        # First in the list, so that the callbacks after it find the scores in the logs.
        every.insert(0, ValidationScores(validation, n_classes))
    record = Record(history)
    every.append(record)
    if checkpointer:
        checkpointer.record = record
        every.append(checkpointer)
    if progress:
        every.append(ProgressBar(epochs, steps))
    if done < epochs:
        # shuffle=False: the data set shuffles by itself (pipeline.batches)
        model.fit(
            distributed.share(model, train),
            steps_per_epoch=steps if several else None,
            epochs=epochs,
            initial_epoch=done,
            callbacks=every,
            verbose=0,
            shuffle=False,
        )
    return record.history


def check_batches(model, dataset, name):
    """Raise DataError when a data set of batches does not fit a model; reads it once."""
    n_classes, expected = model.output_shape[-1], model.input_shape[1:]
    top, count = -1, 0
    for images, masks, *_ in dataset:
        count += 1
        if images.ndim != 4 or masks.ndim != 3:
            raise DataError(
                f"The {name} data has images of shape {tuple(images.shape)} and masks of shape "
                f"{tuple(masks.shape)}; expected (B, H, W, 3) and (B, H, W). Are the pairs in "
                "batches (pipeline.batches), and the masks without a channel axis?"
            )
        have = tuple(images.shape[1:])
        if any(want not in (None, size) for want, size in zip(expected, have, strict=True)):
            raise DataError(
                f"The {name} images are {have[0]}x{have[1]}, the model takes "
                f"{expected[0]}x{expected[1]}. Give the loader's image_size and the model's "
                "input_size the same numbers."
            )
        labels = np.asarray(masks)
        labels = labels[labels != VOID]
        top = max(top, int(labels.max())) if labels.size else top
    if not count:
        raise DataError(f"The {name} data is empty: there is no batch to train or score on.")
    if top < 0:
        raise DataError(f"The {name} data has no label at all: every pixel is void.")
    # one logit is a binary mask with the labels 0 and 1
    if top >= max(n_classes, 2):
        raise DataError(
            f"The {name} masks hold the label {top}, but the model has {n_classes} logits, for the "
            f"classes 0 .. {n_classes - 1}. Build it with n_classes={top + 1} or more."
        )
