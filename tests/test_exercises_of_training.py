"""The checks of a paired flip, IoU from a confusion matrix and soft Dice tell answers apart.

The answers are written here as a learner would write them, not taken from the package.
"""

import numpy as np
import pytest
import tensorflow as tf

from unet_helpers import evaluation, exercises, training


def verdict(name, answer):
    with np.errstate(all="ignore"):
        return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- right answers


def draw(seed):
    return tf.random.stateless_uniform((), seed)


def flip_by_cond(image, mask, seed):
    both = lambda: (tf.image.flip_left_right(image), tf.reverse(mask, [1]))  # noqa: E731
    return tf.cond(draw(seed) > 0.5, both, lambda: (image, mask))


def flip_by_step(image, mask, seed):
    step = tf.where(tf.random.stateless_uniform([1], seed, 0, 2, tf.int32)[0] == 1, -1, 1)
    return [image[:, ::step], mask[:, ::step]]


def flip_by_if(image, mask, seed):
    if draw(seed) < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image, mask


def iou_by_loop(confusion):
    result = []
    for c in range(len(confusion)):
        union = confusion[c].sum() + confusion[:, c].sum() - confusion[c, c]
        result.append(confusion[c, c] / union if union else float("nan"))
    return result


def iou_from_dice(confusion):
    dice = 2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1))
    return (dice / (2 - dice)).astype("float32")


def dice_by_weights(probabilities, truth):
    valid = (truth != 255).astype(float)
    object_ = (truth == 1).astype(float)
    both = (probabilities * valid).sum() + object_.sum()
    return np.float32((1 + 2 * np.sum(object_ * probabilities)) / (1 + both))


@pytest.mark.parametrize(
    "name, answer",
    [
        ("paired_flip", flip_by_cond),
        ("paired_flip", flip_by_step),
        ("paired_flip", flip_by_if),
        ("iou_from_confusion", iou_by_loop),
        ("iou_from_confusion", iou_from_dice),
        ("soft_dice", dice_by_weights),
    ],
)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def test_solutions_agree_with_hand_computed_numbers_and_with_the_package():
    confusion = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    iou = exercises.iou_from_confusion.reference(confusion)
    np.testing.assert_allclose(iou, [3 / 6, 4 / 7, np.nan])
    np.testing.assert_array_equal(iou, evaluation.scores(confusion).iou)

    probabilities = np.array([[0.9, 0.2], [0.1, 0.6]], "float32")
    dice = exercises.soft_dice.reference
    np.testing.assert_allclose(dice(probabilities, np.array([[1, 0], [0, 1]])), 4 / 4.8, rtol=1e-6)
    truth = np.array([[1, 0], [255, 1]])
    logits = np.log(probabilities / (1 - probabilities))[None, ..., None]
    loss = float(training.soft_dice_loss(truth[None], logits))
    np.testing.assert_allclose(dice(probabilities, truth), 1 - loss, rtol=1e-5)


# ---------------------------------------------------------------- wrong answers


def flip_with(image_of=lambda x: x[:, ::-1], mask_of=lambda x: x[:, ::-1], chance=draw, at=0.5):
    """Make a flip in which one part goes another way."""

    def answer(image, mask, seed):
        flip = chance(seed) < at
        return tf.where(flip, image_of(image), image), tf.where(flip, mask_of(mask), mask)

    return answer


def flip_apart(image, mask, seed):
    image = tf.where(draw(seed) < 0.5, image[:, ::-1], image)
    return image, tf.where(draw(seed + 1) < 0.5, mask[:, ::-1], mask)


def flip_stateful(image, mask, seed):
    image = tf.image.random_flip_left_right(image)
    return image, mask


def flip_by_numpy(image, mask, seed):
    if np.random.default_rng(np.asarray(seed)).random() < 0.5:
        return image[:, ::-1], mask[:, ::-1]
    return image, mask


def flip_frozen(image, mask, seed):
    """Draw by hand from numbers that only exist outside a graph."""
    number = seed.numpy().sum() if hasattr(seed, "numpy") else 0
    if np.random.default_rng(number).random() < 0.5:
        return image[:, ::-1], mask[:, ::-1]
    return image, mask


def counts(confusion):
    return np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)


def iou_with(formula):
    return lambda confusion: formula(*counts(confusion))


def iou_of_present(confusion):
    iou = iou_from_dice(confusion)
    return iou[~np.isnan(iou)]


def dice_with(formula, object_=lambda truth: truth == 1, valid=lambda truth: truth < 255):
    def answer(p, truth):
        p, t = p[valid(truth)], object_(truth[valid(truth)]).astype(float)
        return formula(np.sum(p * t), np.sum(p), np.sum(t))

    return answer


def smoothed(both, p, t):
    return (2 * both + 1) / (p + t + 1)


def everywhere(truth):
    return truth >= 0


FLIP, IOU, DICE = "paired_flip", "iou_from_confusion", "soft_dice"
WRONG = [
    (FLIP, flip_with(mask_of=lambda mask: mask), "Only the image moves"),
    (FLIP, flip_with(image_of=lambda image: image), "Only the mask moves"),
    (FLIP, flip_with(lambda x: x[::-1], lambda x: x[::-1]), "upside down"),
    (FLIP, flip_with(lambda image: image[..., ::-1]), "channels are in the opposite order"),
    (FLIP, flip_apart, "Does each draw its own random numbers?"),
    (FLIP, flip_stateful, "The same seed mirrors at one time and not at another"),
    (FLIP, flip_with(at=1), "It mirrors 100% of 36 pairs"),
    (FLIP, flip_with(chance=lambda seed: draw(seed * [1, 0])), "One number of the seed decides"),
    (FLIP, flip_with(chance=lambda seed: draw(seed * [0, 1])), "One number of the seed decides"),
    (FLIP, flip_by_numpy, "symbolic"),
    (FLIP, flip_frozen, "in dataset.map it is not"),
    (IOU, iou_with(lambda h, t, p: 2 * h / (t + p)), "That is Dice"),
    (IOU, iou_of_present, "They stay in the array, as nan"),
    (DICE, dice_with(smoothed, lambda t: t, everywhere), "with 255 as their truth"),
    (DICE, dice_with(smoothed, valid=everywhere), "truth with void counted as class 0"),
    (DICE, dice_with(smoothed, lambda t: t > 0, everywhere), "counted as object"),
    (DICE, dice_with(lambda both, p, t: 2 * both / (p + t)), "The smoothing is missing"),
    (DICE, dice_with(lambda both, p, t: (both + 1) / (p + t - both + 1)), "That is soft IoU"),
    (DICE, lambda p, truth: dice_by_weights(np.round(p), truth), "rounded to 0 and 1 first"),
    (DICE, lambda p, y: np.mean([*map(dice_by_weights, p, y)]), "mean of the images' scores"),
]


@pytest.mark.parametrize("name, answer, told", WRONG)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence
