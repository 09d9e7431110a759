"""Exercises on scores, computed in NumPy: void, absent classes, thresholds, calibration."""

import contextlib

import numpy as np

from unet_helpers.evaluation import metrics
from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import (
    Exercise,
    Incorrect,
    Unexplained,
    as_array,
    as_number,
    describe,
)
from unet_helpers.labels import VOID


def iou_and_dice(confusion):
    """Return the IoU and the Dice of every class, nan where a class is absent."""
    result = metrics.scores(confusion)
    return result.iou, result.dice


def scores_with(iou=lambda h, t, p: h / (t + p - h), dice=lambda h, t, p: 2 * h / (t + p)):
    """Make a function like `iou_and_dice` from formulas (hits, true, predicted)."""

    def scores(confusion):
        counts = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        return iou(*counts), dice(*counts)

    return scores


def judge_iou_and_dice(attempt):
    matrices = [
        [[8, 2, 1], [3, 5, 0], [1, 1, 4]],
        [[50, 4, 0, 1], [7, 20, 0, 3], [0, 0, 0, 0], [2, 5, 0, 9]],
        # class 2 is never true, but predicted; class 3 is true, but never predicted
        [[9, 1, 2, 0], [0, 6, 3, 0], [0, 0, 0, 0], [4, 1, 0, 0]],
        [[1000, 20], [30, 400]],
        [[0, 0, 0, 0], [2, 7, 0, 1], [0, 0, 0, 0], [3, 1, 0, 8]],
    ]

    def changed(change):
        return lambda confusion: tuple(change(scores) for scores in iou_and_dice(confusion))

    mistakes = {
        "The factor 2 is missing in Dice: without it a perfect mask would get one half.": (
            scores_with(dice=lambda h, t, p: h / (t + p))
        ),
        "In the union the hits are counted twice, as true and as predicted pixels: subtract them "
        "once.": scores_with(iou=lambda h, t, p: h / (t + p)),
        "The hits are subtracted twice from the union; they belong to it, once.": scores_with(
            iou=lambda h, t, p: h / (t + p - 2 * h)
        ),
        "That is recall, not IoU: hits over true pixels. Wrongly predicted pixels belong in the "
        "union, too.": scores_with(iou=lambda h, t, p: h / t),
        "That is precision, not IoU: hits over predicted pixels. Missed pixels belong in the "
        "union, too.": scores_with(iou=lambda h, t, p: h / p),
        "IoU is divided by all pixels; expected those of the union.": scores_with(
            iou=lambda h, t, p: h / t.sum()
        ),
        "In Dice the hits are subtracted below the line. Its two sums count them twice, above and "
        "below.": (
            scores_with(dice=lambda h, t, p: 2 * h / (t + p - h)),
            scores_with(dice=lambda h, t, p: 2 * h / (t + p - 2 * h)),
        ),
        "The same pixels are taken for true and for predicted. Rows are true, columns are "
        "predicted.": (
            scores_with(lambda h, t, p: h / (2 * t - h), lambda h, t, p: h / t),
            scores_with(lambda h, t, p: h / (2 * p - h), lambda h, t, p: h / p),
        ),
        "Pixels that rightly do not have the class count as hits: that is accuracy, not "
        "IoU.": scores_with(iou=lambda h, t, p: (t.sum() - t - p + 2 * h) / t.sum()),
        "An absent class gets 0, as if it had been missed. It has no score: nan. (A tiny number "
        "below the line gives 0, too.)": changed(np.nan_to_num),
        "An absent class gets 1, a present to every model. It has no score: nan.": changed(
            lambda scores: np.nan_to_num(scores, nan=1)
        ),
        "One is added above and below the line. That smooths a loss; a score is exact, and nan "
        "where a class is "
        "absent.": scores_with(
            lambda h, t, p: (h + 1) / (t + p - h + 1), lambda h, t, p: (2 * h + 1) / (t + p + 1)
        ),
        "A class that is predicted but never true gets nan. All of it is wrong: its score is 0. "
        "Absent means in neither of the two.": scores_with(
            lambda h, t, p: h / (t + p - h) / (t > 0), lambda h, t, p: 2 * h / (t + p) / (t > 0)
        ),
        "These are the means over the classes; expected one number for every class.": changed(
            np.nanmean
        ),
        "Absent classes are left out. They stay in the arrays, as nan.": changed(
            lambda scores: scores[~np.isnan(scores)]
        ),
    }
    cases = [(np.array(matrix),) for matrix in matrices]
    compare(attempt, cases, iou_and_dice, mistakes, parts=("IoU", "Dice"))


iou_and_dice_exercise = Exercise(
    "iou_and_dice", judge_iou_and_dice, iou_and_dice, shown=(iou_and_dice, metrics.scores)
)


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
    answers = [as_number(attempt(*case)) for case in cases]
    notes = [note_on_threshold(answer, *case) for answer, case in zip(answers, cases, strict=True)]
    if "" in notes:  # sometimes a lower threshold than in other cases: not a convention
        notes = [None if note else note for note in notes]
    if None not in notes:
        return next((note for note in notes if note), None)

    def sure(probabilities, truth):
        return np.sort(probabilities[truth == 1])[::-1]

    def for_precision(probabilities, truth, share):
        fits = [
            t
            for t in probabilities[truth != VOID]
            if (truth[(probabilities >= t) & (truth != VOID)] == 1).mean() >= share
        ]
        return min(fits)

    def among(chosen):
        return lambda p, truth, recall: threshold_for_recall(p, chosen(truth), recall)

    def rounded_down(probabilities, truth, recall):
        surest = sure(probabilities, truth)
        return surest[max(int(recall * len(surest) + 1e-9), 1) - 1]

    mistakes = {
        "A threshold of 0 finds everything, and calls all else object, too. Expected the highest "
        "that still finds enough.": lambda p, truth, recall: 0.0,
        "That is the highest probability in the object, which finds one "
        "pixel.": lambda p, truth, recall: sure(p, truth)[0],
        "That is a threshold for precision: the share of object among what is found. Recall is "
        "the share of the object that is found.": for_precision,
        "Void pixels are counted as object: 255 is above 0, too. The object is truth == 1.": among(
            lambda truth: truth > 0
        ),
        "That is the quantile from the wrong end: a share `recall` of the object lies below it, "
        "and should lie above.": lambda p, truth, recall: np.quantile(p[truth == 1], recall),
        "np.quantile puts the threshold between two pixels. Take the probability of a "
        "pixel.": lambda p, truth, recall: np.quantile(p[truth == 1], 1 - recall),
        "That is a quantile of all pixels. Recall is about the object's alone: "
        "probabilities[truth == 1].": (
            lambda p, truth, recall: np.quantile(p, 1 - recall),
            lambda p, truth, recall: np.quantile(p[truth != VOID], 1 - recall),
            among(lambda truth: truth < VOID),
            among(lambda truth: truth >= 0),
        ),
        "The number of pixels to find is rounded down, so it finds too few: 90 % of 7 pixels are "
        "6.3, which takes 7 pixels.": rounded_down,
        "A threshold is a probability, and recall (or 1 - recall) is a share of the object's "
        "pixels. Look at the probabilities of these.": (
            lambda p, truth, recall: recall,
            lambda p, truth, recall: 1 - recall,
        ),
    }
    with contextlib.suppress(
        Unexplained
    ):  # only names a mistake; below it is said how many are found
        compare(attempt, cases, threshold_for_recall, mistakes)
    first = notes.index(None)
    given, (probabilities, truth, recall) = float(answers[first]), cases[first]
    if max(answers) > 1:
        raise Incorrect(
            f"It gives {given:.4g}, which cannot be a probability. Is it a number of pixels, or a "
            "position in the sorted array?"
        )
    surest = sure(probabilities, truth)
    found = (surest >= given).sum()
    needed = (surest >= threshold_for_recall(probabilities, truth, recall)).sum()
    raise Unexplained(
        f"For recall {recall} it gives {given:.3f}, which finds {found} of the object's "
        f"{surest.size} pixels; {needed} are needed, and "
        + ("that is too few." if found < needed else "a higher threshold finds those, too.")
    )


def note_on_threshold(given, probabilities, truth, recall):
    """Return "" for the course's threshold, a note for an equal one, None for a wrong one."""
    right = threshold_for_recall(probabilities, truth, recall)
    if abs(given - right) < 1e-5:
        return ""
    lower = probabilities[(truth == 1) & (probabilities < right)]
    if not lower.size:
        lower = np.append(probabilities[probabilities < right], 0)
    lowest = lower.max()
    if lowest - 1e-5 <= given < right:
        return (
            "(The course counts a pixel as found when its probability is the threshold or more. "
            "Yours lies a little lower: with > in place of >= it finds the same pixels.)"
        )
    return None


threshold_for_recall_exercise = Exercise(
    "threshold_for_recall", judge_threshold_for_recall, threshold_for_recall
)


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

    def filled(ious, absent):
        return np.where(np.isnan(ious), absent, ious)

    mistakes = {
        "absent is not used: absent classes are always left out. (nan == nan is False; np.isnan "
        "finds nan.)": lambda ious, absent: mean_per_image(ious, nan),
        "All entries go into one mean, so an image with more classes counts more. Take the mean "
        "of each image first.": lambda ious, absent: np.nanmean(filled(ious, absent)),
        "One absent class makes the mean nan. np.isnan finds nan (nan == nan is False), and "
        "np.nanmean leaves it out.": (
            lambda ious, absent: filled(ious, absent).mean(),
            lambda ious, absent: nan,
        ),
        "An IoU of 0 is taken for an absent class; absent is nan.": lambda ious, absent: (
            mean_per_image(np.where(ious == 0, nan, ious), absent)
        ),
        "It is divided by the number of all classes, absent ones included. With absent nan they "
        "are left out below the line, too.": lambda ious, absent: np.mean(
            np.nansum(filled(ious, absent), axis=1) / ious.shape[1]
        ),
    }

    def convert(value):
        array = as_array(value) if not isinstance(value, float | int) else np.asarray(value)
        if array.ndim == 1 and array.size > 1:
            raise Incorrect(
                f"It returns {describe(value)}, one mean per image or class; the mean over "
                "those is still missing."
            )
        return as_number(value)

    compare(attempt, cases, mean_per_image, mistakes, convert=convert)


mean_per_image_exercise = Exercise("mean_per_image", judge_mean_per_image, mean_per_image)


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
        right = rng.random(shape) < chance
        cases.append((confidence, right))

    def bins_of(confidence, right, n=10):
        """Return mean confidence, accuracy and share of the pixels of every bin with pixels."""
        bins = np.ceil(confidence * n)
        inside = [bins == b for b in np.unique(bins)]
        return (
            np.array([confidence[i].mean() for i in inside]),
            np.array([right[i].mean() for i in inside]),
            np.array([i.mean() for i in inside]),
        )

    def of_bins(formula, n=10):
        return lambda confidence, right: formula(*bins_of(confidence, right, n))

    def equal_counts(confidence, right):
        order = np.argsort(confidence.ravel(), kind="stable")
        parts = np.array_split(order, 10)
        gaps = [abs(confidence.ravel()[p].mean() - right.ravel()[p].mean()) for p in parts]
        return np.average(gaps, weights=[len(p) for p in parts])

    mistakes = {
        "The bins are not weighed: a bin with three pixels counts as much as one with thousands. "
        "Weigh each gap by the bin's share of the pixels.": (
            of_bins(lambda said, true, share: abs(said - true).mean()),
            of_bins(lambda said, true, share: abs(said - true).sum() / 10),
        ),
        "That is the largest gap (the maximum calibration error); expected the mean gap, weighed "
        "by pixels.": of_bins(lambda said, true, share: abs(said - true).max()),
        "The gaps have no absolute value, so too sure in one bin and too modest in another "
        "cancel.": (
            of_bins(lambda said, true, share: ((said - true) * share).sum()),
            of_bins(lambda said, true, share: ((true - said) * share).sum()),
        ),
        "That is one gap over all pixels, without bins: too sure here and too modest there "
        "cancel.": lambda c, right: abs(c.mean() - right.mean()),
        "The gaps are squared; expected their absolute value.": (
            of_bins(lambda said, true, share: ((said - true) ** 2 * share).sum()),
            of_bins(lambda said, true, share: np.sqrt(((said - true) ** 2 * share).sum())),
        ),
        "The gap is taken pixel by pixel, without bins (squared, that is the Brier score). A "
        "single pixel is right or wrong; only many together have an accuracy.": (
            lambda confidence, right: np.abs(confidence - right).mean(),
            lambda confidence, right: ((confidence - right) ** 2).mean(),
        ),
        "The bins hold equally many pixels. Here they are equally wide: 0 to 0.1, 0.1 to 0.2, and "
        "so on.": equal_counts,
        "The middle of the bin stands where the mean confidence of its pixels "
        "belongs.": lambda confidence, right: calibration_error(
            (np.ceil(confidence * 10) - 0.5) / 10, right
        ),
        "Confidence is compared with the share of wrong pixels; expected the share of right "
        "ones.": of_bins(lambda said, true, share: (abs(said + true - 1) * share).sum()),
        "It is always 0, but these probabilities are not calibrated.": lambda c, right: 0.0,
    }
    for n in (5, 9, 11, 15, 20):
        mistakes[f"There are {n} bins; expected ten."] = of_bins(
            lambda said, true, share: (abs(said - true) * share).sum(), n
        )
    compare(attempt, cases, calibration_error, mistakes)
    # two of three sure pixels are right, and the bin of the fourth is 0.25 off
    confidence, right = np.array([1.0, 1.0, 1.0, 0.75]), np.array([True, True, False, True])
    given = as_number(attempt(confidence, right))
    if not abs(given - 0.3125) < 1e-5:
        raise Incorrect(
            f"For the confidence {confidence.tolist()} and right {right.tolist()} it gives "
            f"{given:.4g}; expected 0.3125. A confidence of exactly 1 belongs to the last bin."
        )


calibration_error_exercise = Exercise(
    "calibration_error", judge_calibration_error, calibration_error
)
