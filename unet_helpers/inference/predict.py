"""From a batch of images to logits, probabilities and masks."""

import logging
import re

import numpy as np
from keras import ops

from unet_helpers.labels import DataError, check_number


def two_logits(logits):
    """Turn the single logit of a binary mask into the logits of its two classes.

    Shapes: (..., 1) -> (..., 2). The softmax of (0, x) is (1 - sigmoid(x), sigmoid(x)).
    """
    return ops.concatenate([ops.zeros_like(logits), logits], axis=-1)


# Keras compiles its prediction for each model and image size, as it should. TensorFlow takes
# that for a mistake in a loop and prints half a page.
RETRACING = re.compile("one_step_on_data_distributed.*retracing")
logging.getLogger("tensorflow").addFilter(lambda record: not RETRACING.search(record.getMessage()))


def predict_logits(model, images, batch_size=8):
    """Run a model over images, a batch at a time.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C). Raises DataError when the images are not
    a batch or have already been divided by 255, or images or logits are not finite.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise DataError(
            f"Images have the shape {images.shape}; expected (N, H, W, 3). For a single image "
            "add the first axis: image[None]."
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError("These images hold NaN or infinite values; expected 0 to 255.")
    # look for fractions, because a black image lies between 0 and 1 as well
    if images.dtype != np.uint8 and images.max() <= 1 and (images % 1).any():
        raise DataError(
            "These images lie between 0 and 1; pass 0 to 255. The model divides by 255 itself."
        )
    parts = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        logits = ops.convert_to_numpy(model.predict_on_batch(batch))
        if not np.isfinite(logits).all():
            raise DataError(
                f"The logits of {model.name} are NaN or infinite, so they choose no class. Its "
                "training has diverged: train it again with a lower learning rate."
            )
        # each of several devices (training/distributed.py) has predicted the whole batch
        parts.append(logits[: len(batch)])
    return np.concatenate(parts)


def to_mask(logits, threshold=0.5):
    """Choose the class with the largest logit, or 1 where a single logit's sigmoid > threshold.

    Shapes: float (..., C) -> uint8 (...). Raises DataError for a threshold that is not from 0 to 1.
    """
    check_number("threshold", threshold, 0, 1)
    if logits.shape[-1] == 1:
        # sigmoid(x) > t is x > log(t / (1 - t)), which is infinite at the ends
        with np.errstate(divide="ignore"):
            limit = np.log(threshold) - np.log1p(-threshold)
        return (logits[..., 0] > limit).astype(np.uint8)
    return logits.argmax(axis=-1).astype(np.uint8)


def predict_masks(model, images, batch_size=8):
    """Predict the masks of images of the model's size, a batch at a time.

    Shapes: uint8 (N, H, W, 3) -> uint8 (N, H, W). Raises DataError as `predict_logits`.
    """
    return to_mask(predict_logits(model, images, batch_size))


def to_probabilities(logits):
    """Turn logits into probabilities: softmax, or the sigmoid of a single logit.

    Shapes: float (..., C) -> float32 (..., C) that sum to 1; (..., 1) -> (..., 2), both classes'.
    """
    logits = np.asarray(logits, np.float32)
    if logits.shape[-1] == 1:
        logits = two_logits(logits)
    return ops.convert_to_numpy(ops.softmax(logits, axis=-1))
