"""Train a network on arrays with the course's recipe, on either backend of Keras, and score it."""

import math

import keras
import results

from unet_helpers import datasets, evaluation, inference, training


def fit(
    model,
    pairs,
    epochs,
    power=0,
    augmentation=True,
    learning_rate=5e-3,
    constant=False,
    batch_size=4,
    steps_per_epoch=None,
    seed=0,
    after_epoch=None,
):
    """Train a model on (images, masks).

    power: of the median-frequency weights; 0 is without. augmentation: True for that of the course,
    False for none, or a function (image, mask, seed) -> (image, mask), whose seed is a key of JAX
    there. constant: a rate that stays as it is. after_epoch: called when the model holds the
    weights of an epoch.
    """
    images, masks = pairs
    n_classes = model.output_shape[-1]
    weights = training.median_frequency_weights(masks, n_classes) ** power if power else None
    an_epoch = math.ceil(len(images) / batch_size)
    steps = steps_per_epoch or an_epoch
    if keras.backend.backend() == "jax":
        import jax_loop

        change = jax_loop.augment if augmentation is True else augmentation or None
        jax_loop.fit(
            model, images, masks, epochs, batch_size, learning_rate, constant, weights, change,
            steps_per_epoch=steps, seed=seed, after_epoch=after_epoch,
        )  # fmt: skip
        return
    data = datasets.from_arrays(images, masks)
    change = datasets.augment if augmentation is True else augmentation or None
    readings = math.ceil(epochs * steps / an_epoch)
    batches = datasets.batches(data, batch_size, readings, change, seed).take(epochs * steps)
    if power:
        batches = training.with_class_weights(batches, weights)
    training.compile_model(model, steps=epochs * steps, learning_rate=learning_rate)
    if constant:
        model.compile(keras.optimizers.Adam(learning_rate), model.loss, jit_compile=False)
    each = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: after_epoch and after_epoch())
    training.fit(
        model, batches, epochs=epochs, steps_per_epoch=steps, callbacks=[each], progress=False
    )


def score(model, pairs, labels):
    """Score a model on (images, masks), from one confusion matrix."""
    images, masks = pairs
    predicted = inference.predict_masks(model, images, batch_size=16)
    matrix = evaluation.confusion_matrix(masks, predicted, labels.n_classes)
    return results.of_scores(evaluation.scores(matrix), labels.classes)
