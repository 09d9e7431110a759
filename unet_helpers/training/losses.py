"""Losses and pixel weights that Keras lacks: soft Dice, binary masks with void, class weights."""

import keras
import numpy as np
from keras import ops

from unet_helpers.inference.predict import two_logits
from unet_helpers.labels import VOID


def soft_dice_loss(y_true, logits, smooth=1.0):
    """Compute one minus the soft Dice coefficient, averaged over the classes present.

    Args:
        y_true: integer tensor (B, H, W), classes or void.
        logits: float tensor (B, H, W, C), before the softmax; of C = 1 only class 1 counts.
        smooth: pixels added to numerator and denominator, against jumps of tiny classes.

    Returns a float32 scalar from 0 (perfect) to 1. Classes that are absent from the batch are left
    out of the mean: counting them would reward predicting nothing.

    Source: Milletari et al. 2016, section 3 (there with squares in the denominator).
    """
    y_true = ops.cast(y_true, "int32")
    binary = logits.shape[-1] == 1
    logits = two_logits(logits) if binary else logits
    n_classes = logits.shape[-1]
    valid = ops.cast(ops.expand_dims(y_true != VOID, -1), "float32")
    # void becomes class 0 only for the one-hot lookup; the mask removes it again
    truth = ops.one_hot(ops.where(y_true == VOID, 0, y_true), n_classes, dtype="float32") * valid
    probabilities = ops.softmax(ops.cast(logits, "float32"), axis=-1) * valid
    parts = (truth * probabilities, truth, probabilities)
    overlap, true, predicted = (ops.sum(part, axis=(0, 1, 2)) for part in parts)
    dice = (2 * overlap + smooth) / (true + predicted + smooth)
    present = ops.cast(true > 0, "float32")
    if binary:
        dice, present = dice[1:], present[1:]
    return 1 - ops.sum(dice * present) / ops.maximum(ops.sum(present), 1.0)


@keras.saving.register_keras_serializable("unet_helpers")
class CrossEntropyAndDice(keras.losses.Loss):
    """Add soft Dice to cross-entropy: one looks at pixels, the other at whole classes.

    Call with integer labels (B, H, W) and logits (B, H, W, C), C = 1 for a binary mask; void
    pixels are left out of both parts. Pixel weights apply to cross-entropy only.

    Source: Isensee et al. 2021, methods ("loss function").
    """

    def __init__(self, name="cross_entropy_and_dice", **options):
        super().__init__(name=name, **options)
        sparse = keras.losses.SparseCategoricalCrossentropy
        self.cross_entropy = sparse(from_logits=True, ignore_class=VOID)

    def call(self, y_true, y_pred):
        # A list of one number: Keras takes the mean of losses, and divides it among the devices.
        return ops.reshape(soft_dice_loss(y_true, y_pred), (1,))

    def __call__(self, y_true, y_pred, sample_weight=None):
        dice = super().__call__(y_true, y_pred)
        y_pred = two_logits(y_pred) if y_pred.shape[-1] == 1 else y_pred
        return self.cross_entropy(y_true, y_pred, sample_weight) + dice


@keras.saving.register_keras_serializable("unet_helpers")
class MaskedBinaryCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Compute the cross-entropy of binary masks as the mean over the pixels that are not void.

    Call with labels (B, H, W), 0, 1 or void, and logits (B, H, W, 1). Keras's BinaryCrossentropy
    cannot ignore a label and would take void (255) as a target.
    """

    def __init__(self, name="binary_cross_entropy", **options):
        super().__init__(from_logits=True, ignore_class=VOID, name=name, **options)

    def call(self, y_true, y_pred):
        return super().call(y_true, two_logits(y_pred))

    def get_config(self):
        return keras.losses.Loss.get_config(self)  # the other options are fixed


def median_frequency_weights(masks, n_classes):
    """Compute a weight per class: the median class frequency over the frequency of this class.

    Shapes: integer (H, W) each, classes or void -> float32 (n_classes,): 1 for the median class,
    more for rarer ones, 0 for one that never occurs. A frequency is a class's pixels over all
    labelled pixels of the images in which it occurs. Raises ValueError if no pixel has a label.

    Source: Eigen and Fergus 2015, section 6.2.
    """
    pixels, of_images = np.zeros(n_classes), np.zeros(n_classes)
    for mask in masks:
        labels = np.asarray(mask)
        labels = labels[labels != VOID]
        counts = np.bincount(labels.ravel(), minlength=n_classes)
        pixels += counts
        of_images += labels.size * (counts > 0)
    seen = of_images > 0
    if not seen.any():
        raise ValueError("No labelled pixel in these masks: all of them void, or no masks at all.")
    frequency = pixels[seen] / of_images[seen]
    weights = np.zeros(n_classes, np.float32)
    weights[seen] = np.median(frequency) / frequency
    return weights


def pixel_weights(y_true, class_weights):
    """Look up the weight of every pixel's class: Keras's `class_weight` does not handle pixels.

    Shapes: integer (..., H, W), classes or void, and float (C,) -> float32 (..., H, W), 0 where
    void: the `sample_weight` for the loss.
    """
    weights = ops.convert_to_tensor(np.asarray(class_weights, np.float32))
    y_true = ops.cast(y_true, "int32")
    valid = y_true != VOID
    return ops.take(weights, ops.where(valid, y_true, 0)) * ops.cast(valid, "float32")


def with_class_weights(dataset, class_weights):
    """Add to every batch the `pixel_weights` of its masks, by which the loss is multiplied.

    Shapes: (images, masks uint8 (B, H, W)) -> (images, masks, weights float32 (B, H, W)).
    """
    import tensorflow as tf  # whatever computes the network, tf.data prepares the batches

    table = np.zeros(256, np.float32)  # void stays 0
    table[: len(class_weights)] = class_weights
    return dataset.map(lambda x, masks: (x, masks, tf.gather(table, tf.cast(masks, tf.int32))))
