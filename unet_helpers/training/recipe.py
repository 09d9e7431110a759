"""Compile and fit a model with the course's recipe."""

import contextlib
import zlib

import keras
import numpy as np

from unet_helpers.files import explained, lock
from unet_helpers.labels import VOID, DataError, check_number
from unet_helpers.models.folding import flat_layers
from unet_helpers.training import distributed, fused, losses
from unet_helpers.training.callbacks import Progress, Scores
from unet_helpers.training.checkpoint import Checkpointer

BATCH_SIZE = 4  # small batches make many steps, which a short training run needs


def schedule(learning_rate, steps):
    """Make a schedule: up to learning_rate in the first 15 % of the steps, down along a cosine.

    Source: Loshchilov and Hutter 2017.
    """
    warmup = max(1, int(0.15 * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 10,
        decay_steps=max(1, steps - warmup),
        alpha=0.01,
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )


def compile_model(model, steps, learning_rate=5e-3, loss=None):
    """Compile a model with the course's recipe; returns it.

    Adam, with a rate that rises over the first 15 % of the steps and falls along a cosine: the last
    epoch is usually the best, and a short training run uses all of its budget.

    Args:
        model: returns logits (B, H, W, C).
        steps: batches of the whole training run.
        learning_rate: the highest rate.
        loss: a Keras loss; None is the cross-entropy without void, binary for a single logit.

    Source: Kingma and Ba 2015 (Adam), Loshchilov and Hutter 2017 (cosine).
    """
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
        if model.output_shape[-1] == 1:
            loss = losses.MaskedBinaryCrossentropy()
    several = distributed.replicas(model) > 1
    if several:
        loss = distributed.WholeBatch(loss)
        for layer in flat_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # the statistics of the whole batch on every device
    # Keras's default is XLA. On a CPU TensorFlow starts later with it and is not faster afterwards
    # (benchmarks/compilation.py); several devices have not been tried. JAX is slow without it.
    gpus, _, _ = distributed.find_gpus()
    xla = keras.backend.backend() != "tensorflow" or (gpus > 0 and not several)
    model.compile(
        optimizer=fused.fuse_adam(keras.optimizers.Adam(schedule(learning_rate, steps))),
        loss=loss,
        jit_compile="auto" if xla else False,
    )
    if not gpus and not several:
        fused.fuse_batch_norm(model)
    # Variables created inside the first step would make TensorFlow trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def fit(
    model,
    train,
    validation=None,
    epochs=10,
    folder=None,
    steps_per_epoch=None,
    callbacks=(),
    progress=True,
):
    """Train a model and score it after every epoch; with a folder, resume where it stopped.

    Args:
        model: compiled; returns logits (B, H, W, C).
        train: tf.data.Dataset of (images uint8, masks uint8[, weights]) batches.
        validation: batches of images that are not in train, or None.
        epochs: number of epochs in all, those of an earlier run in the folder included.
        folder: holds `history.json`, the weights and optimizer state of the last epoch and
            `best.keras`, the model with the best validation IoU. None keeps nothing. A run goes on
            only with the same model, recipe and data: masks are compared by a checksum, images by
            their mean colours. Where train changes from reading to reading, only its size is.
        steps_per_epoch: batches an epoch; the next epoch goes on with those that follow, as
            `datasets.batches(..., epochs=n)` gives them. None reads all of train every epoch.
        callbacks: more Keras callbacks.
        progress: print a line after every epoch.

    Returns a dict of lists, one entry an epoch: "loss", "seconds", and with validation "val_loss",
    "val_accuracy", "val_mean_iou". Raises DataError for no batches, too few or endless ones, images
    that do not fit the model or with pixels that are not numbers, labels without a logit, a loss
    that is not finite, or a folder that holds another run or that another process writes to.
    """
    check_number("epochs", epochs, 1, whole=True)
    if not model.compiled:
        raise DataError("The model is not compiled. Call training.compile_model(model, steps).")
    size, data = check_batches(model, train.take(steps_per_epoch or -1), "training")
    if validation is not None:
        data |= check_batches(model, validation, "validation")[1]
    held = int(train.cardinality())  # negative if unknown or endless
    if steps_per_epoch and 0 <= held < epochs * steps_per_epoch:
        raise DataError(
            f"The training data holds {held} batches, but {epochs} epochs of {steps_per_epoch} "
            f"need {epochs * steps_per_epoch}. Make it with datasets.batches(..., epochs={epochs})."
        )
    history = keras.callbacks.History()
    own = None if folder is None else distributed.own_folder(folder)
    with contextlib.nullcontext() if own is None else lock(own):
        if own is not None:
            history = Checkpointer(own, data, epochs)
            history.restore(model)
        done = len(history.history.get("loss", ()))
        distributed.check_same(done, folder)
        if done >= epochs:
            print(f"{folder} holds {done} epochs, {epochs} are wanted: nothing is left to train.")
            return history.history
        if done:
            print(f"Resuming after epoch {done} of {epochs}, from {folder}.")
            if history.planned != epochs:
                planned = f"It was to end after epoch {history.planned}"
                print(f"{planned}: the learning rate changes to this model's schedule.")
        # Scores are first, so that the other callbacks find them in the logs.
        every = [Scores(validation, model.output_shape[-1]), *callbacks, history]
        if progress:
            every.append(Progress())
        train = train.skip(done * steps_per_epoch) if steps_per_epoch else train.repeat()
        model.fit(
            distributed.share(model, train),
            steps_per_epoch=steps_per_epoch or size,
            epochs=epochs,
            initial_epoch=done,
            callbacks=every,
            verbose=0,
            shuffle=False,  # that is the data set's task
        )
    return history.history


def check_batches(model, dataset, name):
    """Raise DataError unless batches fit the model; return how many, and a dict to know them by."""
    if dataset.cardinality() == -1:  # tf.data's number for infinite
        raise DataError(
            f"The {name} data repeats for ever. Leave out repeat(), or, for training data, pass "
            "steps_per_epoch."
        )
    n_classes, expected = model.output_shape[-1], model.input_shape[1:]
    top, checksum, means, first = -1, 0, [], None
    for images, masks, *weights in read(dataset, name):
        if images.ndim != 4 or masks.ndim != 3:
            raise DataError(
                f"The {name} data has images of shape {images.shape} and masks of shape "
                f"{masks.shape}; expected (B, H, W, 3) and (B, H, W). Are the pairs in "
                "batches (datasets.batches), and the masks without a channel axis?"
            )
        have = images.shape[1:]
        if any(want not in (None, size) for want, size in zip(expected, have, strict=True)):
            raise DataError(
                f"The {name} images are {have[0]}x{have[1]}, the model takes "
                f"{expected[0]}x{expected[1]}. Give image_size and input_size the same numbers."
            )
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise DataError(
                f"The {name} images of batch {len(means)} (from 0) hold pixels that are not "
                "finite numbers. Did a division by zero make them?"
            )
        labels = masks[masks != VOID]
        top = max(top, int(labels.max())) if labels.size else top
        checksum = zlib.crc32(masks.tobytes(), checksum)
        means.append([*mean_colour(images), *(float(part.mean()) for part in weights)])
        first = first or (images, masks)
    if not means:
        raise DataError(f"The {name} data is empty: there is not a single batch in it.")
    if top < 0:
        raise DataError(f"The {name} data has no labels: every pixel is void.")
    if top >= max(n_classes, 2):  # one logit is a binary mask with the labels 0 and 1
        raise DataError(
            f"The {name} masks hold the label {top}, but the model has {n_classes} logits, for the "
            f"classes 0 .. {n_classes - 1}. Build it with n_classes={top + 1} or more."
        )
    size, height, width = first[0].shape[:3]
    found = {f"{name} batches": f"{len(means)} of {size} images, {height}x{width}"}
    images, masks, *_ = next(read(dataset, name))
    if np.array_equal(masks, first[1]):  # or the order is drawn anew whenever they are read
        found[f"{name} masks"] = checksum
        if np.allclose(mean_colour(images), mean_colour(first[0])):
            found[f"{name} images or weights"] = [*means[:8], np.mean(means, axis=0).tolist()]
    return len(means), found


def read(dataset, name):
    """Yield the batches of a data set as tuples of arrays."""
    advice = "Are all its images of one size? The loaders' image_size makes them so."
    with explained(f"The {name} data cannot be read", advice):
        for batch in dataset:
            yield tuple(np.asarray(part) for part in batch)


def mean_colour(images):
    """Return the mean of each channel over every fourth row and column, as a list."""
    return images[:, ::4, ::4].mean(axis=(0, 1, 2)).tolist()
