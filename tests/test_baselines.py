"""The baselines, on images of a few pixels."""

import tracemalloc

import numpy as np

from unet_helpers.evaluation import baselines

RED, GREEN, DARK = (250, 0, 0), (0, 250, 0), (3, 3, 3)


def test_majority_class_counts_labelled_pixels_only():
    masks = np.array([[0, 0, 1], [255, 255, 255], [1, 1, 255]])
    learned = baselines.learn([(np.zeros((3, 3, 3), np.uint8), masks)], 2)
    assert learned["majority class"].tolist() == [1] * 4096


def test_colour_bins_are_sixteen_steps_a_channel():
    colours = np.array([[0, 0, 0], [15, 15, 15], [16, 0, 0], [0, 16, 0], [0, 0, 16], [255] * 3])
    assert baselines.colour_bins(colours.astype(np.uint8)).tolist() == [0, 0, 256, 16, 1, 4095]


def test_each_colour_gets_the_class_it_mostly_has_and_new_ones_the_majority():
    first = np.array([[RED, RED, RED]], np.uint8), np.array([[2, 2, 1]], np.uint8)
    second = np.array([[GREEN, GREEN, GREEN]], np.uint8), np.array([[1, 1, 255]], np.uint8)
    lookup = baselines.learn([first, second], 3)["colour only"]
    new = np.array([[RED, GREEN, DARK]], np.uint8)
    assert lookup[baselines.colour_bins(new)].tolist() == [[2, 1, 1]]


def test_predictions_have_the_shape_of_the_images_to_predict():
    images = np.array([[[RED, GREEN]]], np.uint8)
    masks = np.array([[[1, 0]]], np.uint8)
    new = np.array([[[GREEN, RED]], [[RED, RED]]], np.uint8)
    found = baselines.predictions(images, masks, new, 2)
    assert found["colour only"].tolist() == [[[0, 1]], [[1, 1]]]
    assert found["majority class"].tolist() == [[[0, 0]], [[0, 0]]]


def test_baselines_need_the_memory_of_a_few_images():
    images, masks = np.zeros((200, 64, 64, 3), np.uint8), np.zeros((200, 64, 64), np.uint8)
    tracemalloc.start()
    baselines.learn(zip(images, masks, strict=True), 2)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * images[0].nbytes  # all of them are 200
