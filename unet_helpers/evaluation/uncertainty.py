"""How certain a model is: calibration, entropy, flips and dropout."""

import itertools
from dataclasses import dataclass

import keras
import numpy as np

from unet_helpers.evaluation.metrics import check_shapes
from unet_helpers.inference.predict import predict_logits, to_probabilities
from unet_helpers.labels import VOID, check_number
from unet_helpers.models.folding import flat_layers


@dataclass(frozen=True)
class Reliability:
    """Predicted and true frequency of being right, by bins of confidence; nan in an empty bin."""

    confidence: np.ndarray  # mean probability of the predicted class
    accuracy: np.ndarray  # share of correct pixels
    pixels: np.ndarray  # number of labelled pixels

    @property
    def expected_calibration_error(self):
        """Mean gap between confidence and accuracy, bins weighted by pixels; 0 is calibrated."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.pixels) / self.pixels.sum())


def reliability(y_true, probabilities, n_bins=10):
    """Compare confidence with accuracy, in bins of the predicted class's probability.

    Shapes: integer (...) with void, float (..., C) summing to 1 -> Reliability of arrays (n_bins,).
    The bins are equally wide from 0 to 1 and include their upper end. Raises ValueError if the
    shapes do not fit, the probabilities are logits, or all is void.

    Source: Guo et al. 2017, section 2, equations 1 to 3.
    """
    y_true, probabilities = np.asarray(y_true), np.asarray(probabilities)
    if probabilities.shape[:-1] != y_true.shape:
        raise ValueError(
            f"The truth has shape {y_true.shape}, the probabilities {probabilities.shape}; "
            "expected the same shape plus an axis of classes at the end."
        )
    valid = y_true != VOID
    if not valid.any():
        raise ValueError("No pixel has a label: all is void.")
    rows = probabilities[valid]
    if not (rows.min() >= 0 and np.abs(rows.sum(axis=-1) - 1).max() <= 1e-3):  # as for nan
        raise ValueError("These are not probabilities. Are they logits? Use to_probabilities.")
    confidence = rows.max(axis=-1).astype(np.float64)
    right = rows.argmax(axis=-1) == y_true[valid]
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    pixels = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(bins, confidence, n_bins) / pixels,
            np.bincount(bins, right, n_bins) / pixels,
            pixels,
        )


def entropy(probabilities):
    """Compute the entropy of a distribution over the classes, in nats: how uncertain it is.

    Shapes: float (..., C) -> float (...), from 0 (certain) to ln C (all classes alike).
    Source: Shannon 1948, section 6.
    """
    probabilities = np.asarray(probabilities)
    # p ln p is 0 for p = 0
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)


@dataclass(frozen=True)
class Ensemble:
    """The average of several predictions of the same images, and how much they disagree."""

    probabilities: np.ndarray  # (N, H, W, C), their mean
    mutual_information: np.ndarray  # (N, H, W), entropy of the mean minus mean entropy, in nats


def flip_tta(model, images):
    """Predict images as they are and mirrored left to right: test-time augmentation by flips.

    Shapes: uint8 (N, H, W, 3) -> Ensemble of both predictions, the second one mirrored back.
    Raises DataError as `inference.predict_logits`.
    """
    images = np.asarray(images)
    views = (np.s_[:], np.s_[:, :, ::-1])
    return average_predictions(predict_logits(model, images[v])[v] for v in views)


def mc_dropout(model, images, times=10, seed=0):
    """Predict images several times with dropout left on: Monte Carlo dropout.

    Shapes: uint8 (N, H, W, 3) -> Ensemble of all predictions by a copy of the model, which returns
    logits. seed is that of the dropped activations. Raises ValueError if the model has no dropout
    or times is less than 1, and DataError as `inference.predict_logits`.

    Source: Gal and Ghahramani 2016, section 4; mutual information as in Gal et al. 2017, section 3.
    """
    check_number("times", times, 1, whole=True)
    random = with_dropout_on(model, seed)
    return average_predictions(predict_logits(random, images) for _ in range(times))


class DropoutLeftOn(keras.layers.Dropout):
    """Drop activations in prediction as in training."""

    def call(self, inputs, training=True):
        return super().call(inputs, training=True)


def with_dropout_on(model, seed=0):
    """Copy a model so that all its dropout layers drop in prediction too, and nothing else changes.

    With training=True, batch normalisation would take the current batch's averages. Raises
    ValueError if there is no dropout layer or the layers cannot be followed.
    """
    if not any(isinstance(layer, keras.layers.Dropout) for layer in flat_layers(model)):
        raise ValueError(f"The model {model.name!r} has no dropout layer that could be left on.")
    seeds = itertools.count(seed)  # each layer its own, or two of them would drop the same places

    def copy(layer):
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=copy)
        if isinstance(layer, keras.layers.Dropout):
            return DropoutLeftOn.from_config({**layer.get_config(), "seed": next(seeds)})
        return type(layer).from_config(layer.get_config())

    random = keras.models.clone_model(model, clone_function=copy)
    random.set_weights(model.get_weights())
    return random


def average_predictions(predictions):
    """Average an iterable of logits (N, H, W, C) to an Ensemble, one at a time in memory."""
    total, entropies, count = 0.0, 0.0, 0
    for logits in predictions:
        probabilities = to_probabilities(logits)
        total = total + probabilities
        entropies = entropies + entropy(probabilities)
        count += 1
    mean = total / count
    # never below zero in exact arithmetic (Jensen), so neither here
    return Ensemble(mean, np.maximum(entropy(mean) - entropies / count, 0))


def risk_coverage(y_true, y_pred, uncertainty, shares):
    """Compute the error rate that remains when the most uncertain pixels are set aside.

    Shapes: integer, integer and float arrays of one shape, and shares from 0 to below 1 of the
    pixels to set aside -> float (len(shares),), the share of wrong pixels among those that are
    kept. It falls if the wrong pixels are the uncertain ones. Raises ValueError if the shapes
    differ, an uncertainty is nan, or a share is not from 0 to below 1.

    Source: the risk-coverage curve of Geifman and El-Yaniv 2017, section 2.
    """
    y_true, y_pred, uncertainty = check_shapes(y_true, y_pred, uncertainty)
    shares = np.asarray(shares, float)
    if (shares < 0).any() or (shares >= 1).any():
        raise ValueError(f"The shares {shares.tolist()} must be at least 0 and below 1.")
    valid = y_true != VOID
    if np.isnan(uncertainty[valid]).any():
        raise ValueError("The uncertainty holds nan: such pixels have no place in its order.")
    # stable, so that equal values stay in the order of the pixels
    order = np.argsort(uncertainty[valid], kind="stable")
    wrong = np.cumsum((y_true != y_pred)[valid][order])
    kept = np.maximum(np.round((1 - shares) * len(order)).astype(int), 1)
    return wrong[kept - 1] / kept
