"""Exercises on scores in NumPy: absent classes, thresholds, calibration, what an export loses."""

import numpy as np

from unet_helpers.evaluation import confusion_matrix, scores
from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array, as_number, describe
from unet_helpers.exercises.slips import edited
from unet_helpers.labels import VOID


def iou_and_dice(confusion):
    """Return the IoU and the Dice of every class, nan where a class is absent."""
    hits = np.diag(confusion)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):  # of an absent class: 0 / 0 is nan
        return hits / (true + predicted - hits), 2 * hits / (true + predicted)


def iou_mistakes(reference):
    """Return the mistakes of an IoU, for a reference that gives it alone or with the Dice."""

    def present(confusion):
        given = np.asarray(reference(confusion))
        return given[..., confusion.sum(axis=0) + confusion.sum(axis=1) > 0]

    union = "true + predicted - hits"
    return {
        "The union is the larger of the two sums.": f"{union} -> np.maximum(true, predicted)",
        "That is recall, not IoU: hits over true pixels.": f"{union} -> true",
        "That is precision, not IoU: hits over predicted pixels.": f"{union} -> predicted",
        "An absent class gets 0, as if it had been missed. It has no score: nan. (A tiny number "
        "below the line gives 0, too.)": lambda confusion: np.nan_to_num(reference(confusion)),
        "A class that is predicted but never true gets nan. All of it is wrong: its score is 0.": (
            lambda confusion: reference(confusion) / (confusion.sum(axis=1) > 0)
        ),
        "Absent classes are left out. They stay in the array, as nan.": present,
    }


CONFUSIONS = [
    (np.array(matrix),)
    for matrix in (
        [[8, 2, 1], [3, 5, 0], [1, 1, 4]],
        [[50, 4, 0, 1], [7, 20, 0, 3], [0, 0, 0, 0], [2, 5, 0, 9]],
        # class 2 is never true, but predicted; class 3 is true, but never predicted
        [[9, 1, 2, 0], [0, 6, 3, 0], [0, 0, 0, 0], [4, 1, 0, 0]],
        [[1000, 20], [30, 400]],
        [[0, 0, 0, 0], [2, 7, 0, 1], [0, 0, 0, 0], [3, 1, 0, 8]],
    )
]


def judge_iou_and_dice(attempt):
    dice = "2 * hits / (true + predicted)"
    mistakes = iou_mistakes(iou_and_dice) | {
        "In Dice the hits are subtracted below the line. Its two sums count them twice, above and "
        "below.": [f"{dice} -> 2 * hits / (true + predicted - {n} * hits)" for n in (1, 2)],
        "The classes are added up before the division; expected one score for every class.": edited(
            iou_and_dice,
            "np.diag(confusion) -> np.full(len(confusion), np.trace(confusion))",
            "confusion.sum(axis=1), confusion.sum(axis=0) -> confusion.sum(), confusion.sum()",
        ),
        "It is the mean over the classes; expected one score for every class.": (
            lambda confusion: tuple(map(np.nanmean, iou_and_dice(confusion)))
        ),
    }
    compare(attempt, CONFUSIONS, iou_and_dice, mistakes, parts=("IoU", "Dice"))


def iou_from_confusion(confusion):
    """Return the IoU of every class from a confusion matrix, nan where a class is absent."""
    hits = np.diag(confusion)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):  # of an absent class: 0 / 0 is nan
        return hits / (true + predicted - hits)


def judge_iou_from_confusion(attempt):
    mistakes = iou_mistakes(iou_from_confusion) | {
        "That is Dice, 2 * hits / (true + predicted); IoU is hits over the union.": (
            "hits / (true + predicted - hits) -> 2 * hits / (true + predicted)"
        ),
    }
    compare(attempt, CONFUSIONS, iou_from_confusion, mistakes, convert=as_array)


def threshold_for_recall(probabilities, truth, recall):
    """Return the highest threshold that still finds this share of the object's pixels."""
    found = np.sort(probabilities[truth == 1])[::-1]  # of the object's pixels, surest first
    # With the first as threshold one pixel is found, with the second two, ...
    recalls = np.arange(1, len(found) + 1) / len(found)
    return found[np.argmax(recalls >= recall)]


def judge_threshold_for_recall(attempt):
    cases = []
    for seed, shape in ((0, (4, 6)), (1, (2, 5, 5)), (2, (9, 3))):
        rng = np.random.default_rng(seed)
        # evenly spread and shuffled, so that no two pixels share a probability
        probabilities = rng.permutation(np.linspace(0.03, 0.97, np.prod(shape))).reshape(shape)
        truth = (rng.random(shape) < 0.2 + 0.5 * probabilities).astype(np.uint8)
        truth[rng.random(shape) < 0.2] = VOID
        truth.flat[probabilities.argmax()] = 1  # so that precision can be 1, too
        cases += [(probabilities, truth, recall) for recall in (0.5, 0.75, 0.9, 1.0)]
    answers = [float(as_number(attempt(*case))) for case in cases]
    right = [threshold_for_recall(*case) for case in cases]
    # in all cases, or it is not a convention
    if all(
        given < best and not ((p > given) & (p < best) & (truth == 1)).any()
        for given, best, (p, truth, _) in zip(answers, right, cases, strict=True)
    ):
        told = "The course counts a pixel as found when its probability is the threshold or more."
        return f"({told} Yours is a little lower: with > in place of >= it finds the same pixels.)"
    if max(answers) > 1:
        told = f"It gives {max(answers):.4g}, which cannot be a probability. Is it a number of"
        raise Incorrect(f"{told} pixels, or a position in the sorted array?")

    def for_precision(probabilities, truth, share):
        labelled = truth != VOID
        probabilities, hits = probabilities[labelled], truth[labelled] == 1
        return min(t for t in probabilities if hits[probabilities >= t].mean() >= share)

    place, needed = "np.argmax(recalls >= recall)", "recall * len(found)"
    mistakes = {
        "A threshold so low finds everything. Expected the highest that finds enough.": [
            lambda p, truth, recall: 0.0,
            lambda p, truth, recall: p.min(),
            lambda p, truth, recall: p[truth != VOID].min(),
        ],
        "The highest probability finds one pixel.": lambda p, truth, recall: p[truth == 1].max(),
        "That is a threshold for precision: the share of object among what is found. Recall is "
        "the share of the object that is found.": for_precision,
        "Void pixels are counted as object: 255 is above 0, too.": "truth == 1 -> truth > 0",
        "That is the quantile from the wrong end: a share `recall` of the object lies below it, "
        "and should lie above.": lambda p, truth, recall: np.quantile(p[truth == 1], recall),
        "np.quantile puts the threshold between two pixels. Take the probability of a pixel.": (
            lambda p, truth, recall: np.quantile(p[truth == 1], 1 - recall)
        ),
        "That is a quantile of all pixels. Recall is about those of the object: truth == 1.": [
            lambda p, truth, recall: np.quantile(p, 1 - recall),
            lambda p, truth, recall: np.quantile(p[truth != VOID], 1 - recall),
            "truth == 1 -> truth < 255",
            "truth == 1 -> truth >= 0",
        ],
        "The number of pixels to find is rounded down, so it finds too few: 90 % of 7 pixels are "
        "6.3, which takes 7 pixels.": [
            f"{place} -> max({rounded}({needed}), 1) - 1" for rounded in ("int", "round")
        ],
        "It finds one pixel too many. Places count from 0: that of the n-th is n - 1.": [
            f"{place} -> min({place} + 1, len(found) - 1)",
            f"{place} -> min(int({needed}), len(found) - 1)",
        ],
    }
    compare(attempt, cases, threshold_for_recall, mistakes)


def mean_per_image(ious, absent):
    """Return the mean over each image's classes, then over the images."""
    filled = np.where(np.isnan(ious), absent, ious)
    return np.nanmean(np.nanmean(filled, axis=1))  # with absent nan, left out of the means


def judge_mean_per_image(attempt):
    nan = np.nan
    tables = [
        [[0.9, 0.5, nan], [0.7, nan, nan], [0.8, 0.0, 0.4], [0.6, 0.3, 0.35]],
        [[nan, 0.2, 0.95, 0.4, nan], [0.5, 0.0, nan, 0.3, nan]],
        [[0.75, nan], [0.25, 0.1], [0.5, nan]],
    ]
    cases = [(np.array(table), absent) for table in tables for absent in (nan, 0, 1)]
    means = "np.nanmean(np.nanmean(filled, axis=1))"
    mistakes = {
        "absent is not used: absent classes are always left out. (nan == nan is False.)": [
            lambda ious, absent: mean_per_image(ious, nan),
            lambda ious, absent: np.nanmean(ious),
        ],
        "One absent class makes the mean nan. np.isnan finds nan (nan == nan is False), and "
        "np.nanmean leaves it out.": [f"{means} -> filled.mean()", lambda ious, absent: nan],
        "An IoU of 0 counts as absent, which is nan.": "isnan(ious), -> isnan(ious) | (ious == 0),",
        "It is divided by the number of all classes, absent ones included. With absent nan they "
        "are left out below the line, too.": f"{means} -> np.nansum(filled) / filled.size",
    }
    compare(attempt, cases, mean_per_image, mistakes)


def calibration_error(confidence, right):
    """Return the expected calibration error: the mean gap of ten bins, weighed by their pixels."""
    bins = np.clip(np.ceil(confidence * 10).astype(int) - 1, 0, 9)
    error = 0
    for number in range(10):
        inside = bins == number
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            error += gap * inside.mean()  # the share of the pixels that are in this bin
    return error


def judge_calibration_error(attempt):
    cases = []
    for seed, shape in ((0, (60,)), (1, (7, 9)), (2, (5, 4, 6))):
        rng = np.random.default_rng(seed)
        # no value near a bin's end, so that it makes no difference to which bin the end belongs
        said = np.array([0.03, 0.22, 0.37, 0.43, 0.52, 0.58, 0.66, 0.71, 0.83, 0.88, 0.94, 0.99])
        number = rng.integers(0, len(said), shape)
        confidence = said[number]
        # too modest and too sure by turns, so that gaps cancel when bins are merged
        chance = np.where(number % 2, confidence - 0.3, confidence + 0.3)
        cases.append((confidence, rng.random(shape) < chance))
    gap, added = "gap = abs(", "error += gap * inside.mean()"
    means = "confidence[inside].mean() - right[inside].mean()"
    bins = "np.clip(np.ceil(confidence * 10).astype(int) - 1, 0, 9)"
    mistakes = {
        "The bins are not weighed: a bin with three pixels counts as much as one with thousands.": [
            f"{added} -> error += gap / {number}" for number in ("len(np.unique(bins))", "10")
        ],
        "That is the largest gap, not their mean.": f"{added} -> error = max(error, gap)",
        "Too sure here and too modest there cancel. Take the absolute value of the gap first.": [
            f"{gap} -> gap = (",
            f"{gap} -> gap = -(",
            lambda confidence, right: abs(confidence.mean() - right.mean()),
        ],
        "The gaps are squared; expected their absolute value.": f"{gap} -> gap = np.square(",
        "The gap is taken pixel by pixel, without bins. Only many pixels have an accuracy.": [
            lambda confidence, right: np.abs(confidence - right).mean(),
            lambda confidence, right: ((confidence - right) ** 2).mean(),
        ],
        "Confidence is compared with the share of wrong pixels; expected the share of right "
        "ones.": f"{means} -> {means} + 2 * right[inside].mean() - 1",
        "The middle of the bin stands where the mean confidence of its pixels belongs.": (
            "confidence[inside].mean() -> (number + 0.5) / 10"
        ),
        "The bins begin at 0.5. They go from 0 to 1: confidence may be lower.": edited(
            calibration_error,
            f"{bins} -> np.maximum(np.ceil(confidence * 20) - 10, 0)",
            "range(10) -> range(11)",
        ),
    } | {
        f"There are {n} bins; expected ten.": edited(
            calibration_error,
            f"confidence * 10 -> confidence * {n}",
            f"0, 9 -> 0, {n}",
            f"range(10) -> range({n} + 1)",
        )
        for n in (5, 9, 11, 15, 20)
    }
    compare(attempt, cases, calibration_error, mistakes)
    # two of three sure pixels are right, and the bin of the fourth is 0.25 off
    confidence, right = np.array([1.0, 1.0, 1.0, 0.75]), np.array([True, True, False, True])
    given = as_number(attempt(confidence, right))
    if not abs(given - 0.3125) < 1e-5:
        case = f"confidence {confidence.tolist()} and right {right.tolist()}"
        told = f"For {case} it gives {given:.4g}; expected 0.3125."
        raise Incorrect(f"{told} A confidence of exactly 1 belongs to the last bin.")


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
        told = f"It returns {describe(value)}; expected the ids of the classes that lose"
        raise Incorrect(f"{told}, such as [1, 4]. np.flatnonzero gives the places of True.")
    return np.sort(found)


def judge_acceptance_test(attempt):
    def losing(loss):
        return lambda *case: np.flatnonzero(loss(*case[:3]) > case[3])

    def losses(truths, masks, logits, key="iou"):
        pairs = [confusion_matrix(truths, mask, 7) for mask in (masks, logits.argmax(axis=-1))]
        return np.subtract(*(getattr(scores(pair), key) for pair in pairs))

    lost, rule = "before - after", "before - after > tolerance"
    mistakes = {
        "The mean over the classes decides, and hides those that lose: compare class by class.": (
            losing(lambda *case: np.full(7, np.nanmean(losses(*case))))
        ),
        "The export is compared with the model's masks alone. A pixel that changes may become "
        "right: compare both with the truth.": losing(lambda _, m, logits: losses(m, m, logits)),
        "IoU is taken image by image and averaged. Expected one confusion matrix of all images.": (
            losing(lambda *case: np.nanmean([*map(losses, *case)], axis=0))
        ),
        "Classes that gain are listed, too. Only losses count.": f"{lost} -> abs({lost})",
        "Any loss is listed: the tolerance is not used.": f"{rule} -> before > after",
        "An absent class is listed: its IoU is nan, and a comparison with nan is False.": (
            f"{rule} -> ~(before - after <= tolerance)"
        ),
        "The loss is divided by the IoU: compare the difference.": f"{lost} -> ({lost}) / before",
    } | {
        f"That is the {key}, not the IoU.": losing(lambda *case, key=key: losses(*case, key))
        for key in ("recall", "precision", "dice")
    }
    cases = [(*an_export(seed), limit) for seed in (0, 3, 5) for limit in (0.02, 0.1)]
    compare(attempt, cases, acceptance_test, mistakes, convert=as_classes)
