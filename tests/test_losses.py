"""Cross-entropy with void, soft Dice, class and pixel weights, against numbers made by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_helpers.training import (
    CrossEntropyAndDice,
    MaskedBinaryCrossentropy,
    median_frequency_weights,
    pixel_weights,
    soft_dice_loss,
)

TRUTH = np.array([[[0, 1, 255], [2, 2, 255], [1, 0, 0]]], np.uint8)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)


def slow_cross_entropy(truth, logits):
    """Compute -log softmax of the true class, pixel by pixel, nan where void."""
    result = np.full(truth.shape, np.nan)
    for place in np.ndindex(truth.shape):
        if truth[place] != 255:
            row = logits[place].astype(np.float64)
            result[place] = np.log(np.exp(row).sum()) - row[truth[place]]
    return result


@pytest.fixture
def logits(rng):
    return rng.normal(0, 2, (1, 3, 3, 3)).astype(np.float32)


def test_cross_entropy_is_the_mean_over_the_labelled_pixels(logits):
    expected = np.nanmean(slow_cross_entropy(TRUTH, logits))
    assert float(cross_entropy()(TRUTH, logits)) == pytest.approx(expected, rel=1e-5)


def test_losses_of_an_all_void_image_are_zero(logits):
    void = np.full_like(TRUTH, 255)
    assert float(cross_entropy()(void, logits)) == 0
    dice = float(soft_dice_loss(void, logits))
    assert float(CrossEntropyAndDice()(void, logits)) == dice and np.isfinite(dice)


# ---------------------------------------------------------------- Dice


def dice_case():
    """Truth [[0, 1], [1, void]] with probabilities for three classes, of which 2 is absent."""
    truth = np.array([[[0, 1], [1, 255]]], np.uint8)
    probabilities = [[[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]], [[0.4, 0.5, 0.1], [0.9, 0.05, 0.05]]]
    return truth, np.log(np.array([probabilities], np.float32))


def test_soft_dice_by_hand():
    truth, logits = dice_case()
    # class 0: overlap 0.7, sizes 1 and 0.7 + 0.3 + 0.4; class 1: overlap 0.6 + 0.5, sizes 2 and 1.3
    dice = [(2 * 0.7 + 1) / (1 + 1.4 + 1), (2 * 1.1 + 1) / (2 + 1.3 + 1)]
    assert float(soft_dice_loss(truth, logits)) == pytest.approx(1 - np.mean(dice), rel=1e-5)


def test_soft_dice_without_smoothing_by_hand():
    truth, logits = dice_case()
    dice = [2 * 0.7 / 2.4, 2 * 1.1 / 3.3]
    assert float(soft_dice_loss(truth, logits, smooth=0.0)) == pytest.approx(
        1 - np.mean(dice), rel=1e-5
    )


def test_soft_dice_of_a_perfect_and_of_a_wrong_prediction():
    truth = np.array([[[0, 1], [1, 0]]], np.uint8)
    certain = 50 * np.eye(3, dtype=np.float32)
    assert float(soft_dice_loss(truth, certain[truth])) == pytest.approx(0, abs=1e-6)
    # each class: nothing hit, sizes 2 and 2, smoothing 1
    assert float(soft_dice_loss(truth, certain[1 - truth])) == pytest.approx(1 - 1 / 5, rel=1e-5)


def test_sum_of_cross_entropy_and_dice():
    truth, logits = dice_case()
    together = float(CrossEntropyAndDice()(truth, logits))
    expected = np.nanmean(slow_cross_entropy(truth, logits))
    expected += float(soft_dice_loss(truth, logits))
    assert together == pytest.approx(expected, rel=1e-5)


def test_sum_passes_pixel_weights_to_cross_entropy():
    truth, logits = dice_case()
    weights = np.array([[[2.0, 0.0], [1.0, 0.0]]], np.float32)
    weighted = float(CrossEntropyAndDice()(truth, logits, weights))
    weighted -= float(soft_dice_loss(truth, logits))
    assert weighted == pytest.approx(float(cross_entropy()(truth, logits, weights)), rel=1e-6)
    assert weighted != pytest.approx(float(cross_entropy()(truth, logits)), rel=1e-2)


def test_sum_survives_saving_and_loading():
    loss = CrossEntropyAndDice(name="mine")
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(back, CrossEntropyAndDice)
    assert back.name == "mine"
    truth, logits = dice_case()
    assert float(back(truth, logits)) == pytest.approx(float(loss(truth, logits)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_stay_finite_for_large_half_precision_logits(dtype):
    truth, logits = dice_case()
    logits = tf.cast(300 * logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = CrossEntropyAndDice()(truth, logits)
    gradient = tf.cast(tape.gradient(loss, logits), tf.float32).numpy()
    assert np.isfinite(float(loss))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0, 1, 1]).max() == 0  # the void pixel


# ---------------------------------------------------------------- one logit


def binary_case():
    """Truth [[0, 1], [1, void]] and the probability of class 1."""
    truth = np.array([[[0, 1], [1, 255]]], np.uint8)
    probability = np.array([[[0.2, 0.6], [0.9, 0.3]]], np.float32)
    return truth, np.log(probability / (1 - probability))[..., None]


def test_binary_cross_entropy_by_hand_leaves_void_out():
    truth, logits = binary_case()
    expected = -np.mean(np.log([1 - 0.2, 0.6, 0.9]))
    assert float(MaskedBinaryCrossentropy()(truth, logits)) == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy_equals_keras_where_nothing_is_void():
    truth, logits = binary_case()
    truth = truth.clip(0, 1)
    of_keras = keras.losses.BinaryCrossentropy(from_logits=True)(truth[..., None], logits)
    assert float(MaskedBinaryCrossentropy()(truth, logits)) == pytest.approx(
        float(of_keras), rel=1e-5
    )


def test_binary_dice_counts_the_foreground_only():
    truth, logits = binary_case()
    dice = (2 * (0.6 + 0.9) + 1) / (2 + (0.2 + 0.6 + 0.9) + 1)
    assert float(soft_dice_loss(truth, logits)) == pytest.approx(1 - dice, rel=1e-5)
    together = float(CrossEntropyAndDice()(truth, logits))
    expected = 1 - dice - np.mean(np.log([0.8, 0.6, 0.9]))
    assert together == pytest.approx(expected, rel=1e-5)


def test_binary_loss_survives_saving_and_loading():
    back = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MaskedBinaryCrossentropy(name="mine"))
    )
    assert (back.ignore_class, back.name) == (255, "mine")


# ---------------------------------------------------------------- weights


def test_median_frequency_weights_by_hand():
    masks = [np.array([[0, 0], [0, 1]], np.uint8), np.array([[1, 1], [255, 1]], np.uint8)]
    # class 0: 3 of the 4 pixels of the first image; class 1: 4 of the 7 labelled pixels of both
    frequency = np.array([3 / 4, 4 / 7])
    weights = median_frequency_weights(masks, 3)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [*(np.median(frequency) / frequency), 0], rtol=1e-6)


def test_the_median_class_weighs_one_and_rare_classes_more():
    mask = np.repeat([0, 1, 2], (90, 9, 1)).astype(np.uint8)[None]
    np.testing.assert_allclose(median_frequency_weights([mask], 3), [0.1, 1, 9], rtol=1e-6)


@pytest.mark.parametrize("masks", [[], [np.full((2, 2), 255, np.uint8)]])
def test_median_frequency_weights_need_a_label(masks):
    with pytest.raises(ValueError, match="No labelled pixel"):
        median_frequency_weights(masks, 3)


def test_pixel_weights_look_up_the_class_and_give_void_nothing():
    weights = pixel_weights(TRUTH, [0.5, 2.0, 7.0])
    assert keras.ops.convert_to_numpy(weights).tolist() == [[[0.5, 2, 0], [7, 7, 0], [2, 0.5, 0.5]]]


def test_weighted_cross_entropy_by_hand(logits):
    """Keras divides the weighted sum by the number of valid pixels, not by the weights' sum."""
    class_weights = np.array([0.5, 2.0, 7.0])
    weights = pixel_weights(TRUTH, class_weights)
    each = slow_cross_entropy(TRUTH, logits)
    valid = TRUTH != 255
    expected = (each[valid] * class_weights[TRUTH[valid]]).sum() / valid.sum()
    assert float(cross_entropy()(TRUTH, logits, weights)) == pytest.approx(expected, rel=1e-5)
