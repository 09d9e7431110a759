"""From a batch of images to logits, probabilities and masks."""

import logging

import keras
import numpy as np
from keras import ops

from unet_helpers.labels import DataError


def two_logits(logits):
    """Turn one logit per pixel into the logits of two classes, 0 and the given one.

    Shapes: (..., 1) -> (..., 2). The softmax of (0, x) is (1 - sigmoid(x), sigmoid(x)), so what is
    made for several classes works for a binary mask as well.
    """
    return ops.concatenate([ops.zeros_like(logits), logits], axis=-1)


def is_of_use(record):
    """Tell whether TensorFlow's message is one for the reader; for logging.Logger.addFilter."""
    message = record.getMessage()
    return "retracing" not in message or "one_step_on_data_distributed" not in message


# Keras's prediction is compiled anew for another model and for another size of image, as it
# should be. TensorFlow takes several of them for a mistake in a loop and prints half a page.
logging.getLogger("tensorflow").addFilter(is_of_use)


def predict_logits(model, images, batch_size=8):
    """Run a model over images, a batch at a time.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C). Raises DataError when the images are not
    a batch or have been divided by 255 already.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise DataError(
            f"Images have the shape {images.shape}; expected (N, H, W, 3). For a single image "
            "add the first axis: image[None]."
        )
    # only fractions give it away: a black image is 0 everywhere, too
    if images.dtype != np.uint8 and images.max() <= 1 and (images % 1).any():
        raise DataError(
            "These images lie between 0 and 1. The model divides by 255 itself; pass them as "
            "they come from the file, 0 to 255."
        )
    parts = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(batch))
        # of several devices (devices.py) each has predicted the whole batch
        parts.append(logits[: len(batch)])
    return np.concatenate(parts)


def to_mask(logits, threshold=0.5):
    """Take the class with the largest logit; of a single logit, whether its sigmoid is above
    the threshold.

    Shapes: float (..., C) -> uint8 (...); with C = 1 the mask is 0 or 1.
    """
    if logits.shape[-1] == 1:
        # sigmoid(x) > t is x > log(t / (1 - t)), which is infinite at the ends
        with np.errstate(divide="ignore"):
            limit = np.log(threshold) - np.log1p(-threshold)
        return (logits[..., 0] > limit).astype(np.uint8)
    return logits.argmax(axis=-1).astype(np.uint8)


def predict_masks(model, images, batch_size=8):
    """Predict masks for a batch of images of the model's size.

    Shapes: uint8 (N, H, W, 3) -> uint8 (N, H, W). Raises DataError as `predict_logits`.
    """
    return to_mask(predict_logits(model, images, batch_size))


def to_probabilities(logits):
    """Turn logits into probabilities: softmax, or for a single logit its sigmoid.

    Shapes: float (..., C) -> float32 (..., C), summing to 1; a single logit gives two columns,
    the probabilities of the labels 0 and 1.
    """
    logits = np.asarray(logits, np.float32)
    if logits.shape[-1] == 1:
        logits = two_logits(logits)
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits, axis=-1))
