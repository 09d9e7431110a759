"""The baselines, on images of a few pixels."""

import numpy as np

from unet_helpers.evaluation import baselines

RED, GREEN, DARK = (250, 0, 0), (0, 250, 0), (3, 3, 3)


def test_majority_class_counts_labelled_pixels_only():
    masks = np.array([[[0, 0, 1], [255, 255, 255], [1, 1, 255]]])
    assert baselines.majority_class(masks, 2) == 1


def test_colour_bins_are_sixteen_steps_a_channel():
    colours = np.array([[0, 0, 0], [15, 15, 15], [16, 0, 0], [0, 16, 0], [0, 0, 16], [255] * 3])
    assert baselines.colour_bins(colours.astype(np.uint8)).tolist() == [0, 0, 256, 16, 1, 4095]


def test_each_colour_gets_the_class_it_mostly_has_and_new_ones_the_majority():
    images = np.array([[[RED, RED, RED], [GREEN, GREEN, GREEN]]], np.uint8)
    masks = np.array([[[2, 2, 1], [1, 1, 255]]], np.uint8)
    lookup = baselines.class_of_colours(images, masks, 3)
    new = np.array([[[RED, GREEN, DARK]]], np.uint8)
    assert lookup[baselines.colour_bins(new)].tolist() == [[[2, 1, 1]]]


def test_predictions_have_the_shape_of_the_images_to_predict():
    images = np.array([[[RED, GREEN]]], np.uint8)
    masks = np.array([[[1, 0]]], np.uint8)
    new = np.array([[[GREEN, RED]], [[RED, RED]]], np.uint8)
    found = baselines.predictions(images, masks, new, 2)
    assert found["colour only"].tolist() == [[[0, 1]], [[1, 1]]]
    assert found["majority class"].tolist() == [[[0, 0]], [[0, 0]]]
