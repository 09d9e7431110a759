"""Compile and fit a model with the course's recipe."""

import keras
import numpy as np

from unet_helpers.labels import VOID, DataError
from unet_helpers.models.folding import flat_layers
from unet_helpers.training import distributed, fused, losses
from unet_helpers.training.callbacks import Progress, Scores
from unet_helpers.training.checkpoint import Checkpointer

BATCH_SIZE = 2  # small batches make many steps, which a short training run needs


def compile_model(model, steps, learning_rate=5e-3, loss=None):
    """Compile a model with the course's recipe.

    Adam with a learning rate that warms up over the first 15 % of the steps and falls to
    almost zero along a cosine: large steps early, small ones at the end, so the last epoch is
    usually the best and a short training run uses all of its budget.

    Args:
        model: returns logits (B, H, W, C).
        steps: batches of the whole training run.
        learning_rate: the highest rate.
        loss: a Keras loss; None is the cross-entropy of the classes or, with a single logit, of a
            binary mask, each without void.

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
        for layer in flat_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # the statistics of the whole batch on every device
    # Keras's default is XLA. On a CPU TensorFlow starts later with it and is not faster afterwards
    # (benchmarks/compilation.py); several devices have not been tried. JAX is slow without it.
    gpus, _, _ = distributed.find_gpus()
    xla = keras.backend.backend() != "tensorflow" or (gpus > 0 and not several)
    model.compile(
        optimizer=fused.fuse_adam(keras.optimizers.Adam(schedule)),
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
            `best.keras`, the model with the best validation IoU. None keeps nothing.
        steps_per_epoch: batches an epoch; the next epoch goes on with those that follow, as
            `datasets.batches(..., epochs=n)` gives them. None reads all of train every epoch.
        callbacks: more Keras callbacks.
        progress: print a line after every epoch.

    Returns:
        dict of lists, one entry an epoch: "loss", "seconds", and with validation "val_loss",
        "val_accuracy", "val_mean_iou" (each from one confusion matrix over all of validation).

    Raises:
        DataError: no batches or too few, images of another size than the model's, labels without
            a logit, or a folder that holds a training run of another model.
    """
    size = check_batches(model, train.take(steps_per_epoch or -1), "training")
    if validation is not None:
        check_batches(model, validation, "validation")
    held = int(train.cardinality())  # negative if unknown or endless
    if steps_per_epoch and 0 <= held < epochs * steps_per_epoch:
        raise DataError(
            f"The training data holds {held} batches, but {epochs} epochs of {steps_per_epoch} "
            f"need {epochs * steps_per_epoch}. Make it with datasets.batches(..., epochs={epochs})."
        )
    history = keras.callbacks.History()
    if folder is not None:
        history = Checkpointer(distributed.own_folder(folder))
        history.restore(model)
    done = len(history.history.get("loss", ()))
    distributed.check_same(done, folder)
    if done >= epochs:
        print(f"All {epochs} epochs are done, see {folder}: there is nothing left to train.")
    elif done:
        print(f"Resuming after epoch {done} of {epochs}, from {folder}.")
    # Scores are first, so that the other callbacks find them in the logs.
    every = [Scores(validation, model.output_shape[-1]), *callbacks, history]
    if progress:
        every.append(Progress())
    if done < epochs:
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
    """Return the number of batches; raises DataError when they do not fit the model."""
    n_classes, expected = model.output_shape[-1], model.input_shape[1:]
    top, count = -1, 0
    for images, masks, *_ in dataset:
        count += 1
        if images.ndim != 4 or masks.ndim != 3:
            raise DataError(
                f"The {name} data has images of shape {tuple(images.shape)} and masks of shape "
                f"{tuple(masks.shape)}; expected (B, H, W, 3) and (B, H, W). Are the pairs in "
                "batches (datasets.batches), and the masks without a channel axis?"
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
        raise DataError(f"The {name} data is empty: there is not a single batch in it.")
    if top < 0:
        raise DataError(f"The {name} data has no labels: every pixel is void.")
    if top >= max(n_classes, 2):  # one logit is a binary mask with the labels 0 and 1
        raise DataError(
            f"The {name} masks hold the label {top}, but the model has {n_classes} logits, for the "
            f"classes 0 .. {n_classes - 1}. Build it with n_classes={top + 1} or more."
        )
    return count
