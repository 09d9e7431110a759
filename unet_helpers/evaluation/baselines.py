"""Predictions that learn no shapes: the majority class, and colour alone."""

import numpy as np

from unet_helpers.labels import VOID


def majority_class(masks, n_classes):
    """Return the class with the most labelled pixels; integer (N, H, W), classes or void -> int."""
    masks = np.asarray(masks)
    return int(np.bincount(masks[masks != VOID], minlength=n_classes).argmax())


def colour_bins(images):
    """Number colours in 16 steps per channel: uint8 (..., 3) -> int (...), 0 to 4095."""
    red, green, blue = np.moveaxis(np.asarray(images).astype(int) // 16, -1, 0)
    return 256 * red + 16 * green + blue


def class_of_colours(images, masks, n_classes):
    """Return the most frequent class of each colour; unseen colours get the majority class.

    Shapes: uint8 (N, H, W, 3), integer (N, H, W), classes or void -> uint8 (4096,), indexed by
    `colour_bins`.
    """
    masks = np.asarray(masks)
    valid = masks != VOID
    counts = np.zeros((4096, n_classes), int)
    np.add.at(counts, (colour_bins(images)[valid], masks[valid]), 1)
    common = majority_class(masks, n_classes)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), common).astype(np.uint8)


def predictions(train_images, train_masks, images, n_classes):
    """Predict masks by both baselines, learned from training images.

    Shapes: uint8 (N, H, W, 3), (N, H, W) and (M, H, W, 3) -> dict from the baseline's name to
    uint8 (M, H, W).
    """
    common = majority_class(train_masks, n_classes)
    lookup = class_of_colours(train_images, train_masks, n_classes)
    return {
        "majority class": np.full(np.shape(images)[:-1], common, np.uint8),
        "colour only": lookup[colour_bins(images)],
    }
