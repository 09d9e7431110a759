"""The exercise on the acceptance test of an export: which classes lose by it?"""

import numpy as np

from unet_helpers.evaluation import confusion_matrix, scores
from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array, describe
from unet_helpers.labels import VOID


def acceptance_test(truths, masks, logits, tolerance):
    """Return the classes whose IoU an export lowers by more than tolerance; none: ship it."""
    n_classes = logits.shape[-1]
    exported = logits.argmax(axis=-1)
    before = scores(confusion_matrix(truths, masks, n_classes)).iou
    after = scores(confusion_matrix(truths, exported, n_classes)).iou
    return np.flatnonzero(before - after > tolerance)  # False for nan, a class that is absent


def an_export(seed):
    """Make truths, a model's masks, and the logits of an export by which some classes lose."""
    rng = np.random.default_rng(seed)
    truths = rng.choice([0, 1, 2, 3, 4, VOID], (3, 20, 24), p=(0.4, 0.2, 0.1, 0.1, 0.1, 0.1))
    # class 1 is rare in two of three images, class 5 is never true, and class 6 is absent
    truths[1:][(truths[1:] == 1) & (rng.random((2, 20, 24)) < 0.9)] = 0
    wrong = (rng.random(truths.shape) < 0.3) | (truths == VOID)
    masks = np.where(wrong, rng.integers(0, 6, truths.shape), truths)
    exported = masks.copy()
    for c, to, share in ((1, 3, 0.1), (2, 2, 0.6 * rng.random()), (4, 0, 0.3 * rng.random())):
        exported[(truths == c) & (rng.random(truths.shape) < share)] = to
    exported[2][truths[2] == 1] = 3
    exported[truths == VOID] = 3
    logits = rng.normal(0, 1, (*truths.shape, 7)) + 9 * np.eye(7)[exported]
    return truths.astype(np.uint8), masks.astype(np.uint8), logits.astype(np.float32)


def as_classes(value):
    """Take a list of class ids, in any order; raises Incorrect for anything else."""
    found = as_array(value)
    if found.ndim != 1 or found.dtype.kind == "b":
        raise Incorrect(
            f"It returns {describe(value)}; expected the ids of the classes that lose, such as "
            "[1, 4], and [] when none does. np.flatnonzero gives the places of True."
        )
    return np.sort(found)


def judge_acceptance_test(attempt):
    def losing(loss):
        return lambda *case: np.flatnonzero(loss(*case[:3]) > case[3])

    def losses(truths, masks, logits, key="iou"):
        pairs = [confusion_matrix(truths, mask, 7) for mask in (masks, logits.argmax(axis=-1))]
        return np.subtract(*(getattr(scores(pair), key) for pair in pairs))

    rule = "before - after > tolerance"
    mistakes = {
        "The mean over the classes decides, and hides those that lose: compare class by class.": (
            losing(lambda *case: np.full(7, np.nanmean(losses(*case))))
        ),
        "The export is compared with the model's masks alone. A pixel that changes may become "
        "right: compare both with the truth.": losing(lambda _, m, logits: losses(m, m, logits)),
        "IoU is taken image by image and averaged. Expected one confusion matrix of all images.": (
            losing(lambda *case: np.nanmean([*map(losses, *case)], axis=0))
        ),
        "Classes that gain are listed, too. Only a loss speaks against the export.": (
            f"{rule} -> abs(before - after) > tolerance"
        ),
        "Any loss is listed: the tolerance is not used.": f"{rule} -> before > after",
        "An absent class is listed: its IoU is nan, and a comparison with nan is False.": (
            f"{rule} -> ~(before - after <= tolerance)"
        ),
        "The loss is divided by the IoU. The tolerance is a difference of two IoUs.": (
            f"{rule} -> (before - after) / before > tolerance"
        ),
    } | {
        f"That is the {key}, not the IoU.": losing(lambda *case, key=key: losses(*case, key))
        for key in ("recall", "precision", "dice")
    }
    cases = [(*an_export(seed), limit) for seed in (0, 3, 5) for limit in (0.02, 0.1)]
    compare(attempt, cases, acceptance_test, mistakes, convert=as_classes)
