"""Exercises on speed: a normalisation folded away, and what limits a layer on a machine."""

import numpy as np

from unet_helpers.exercises.comparison import argument_names, compare, written
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_number, describe
from unet_helpers.models import folding, profiling


def fold_with(
    kernel=lambda k, f: k * f,
    bias=lambda b, m, f: b - m * f,
    factor=lambda g, v, e: g / np.sqrt(v + e),
):
    """Make a function like `folding.folded_kernel` with another kernel, bias or factor."""

    def fold(k, gamma, beta, mean, variance, epsilon):
        f = factor(gamma, variance, epsilon)
        return kernel(k, f), bias(beta, mean, f)

    return fold


def fold_case(random, height, width, n_in, n_out, epsilon):
    """Draw a kernel and the numbers of a normalisation, every channel different."""
    gamma, beta = (random.normal(1, 1, n_out) for _ in range(2))
    # both above 0: a learner who swaps them gets numbers, and a sentence about them
    mean, variance = (random.uniform(0.2, 3, n_out) for _ in range(2))
    return random.normal(0, 1, (height, width, n_in, n_out)), gamma, beta, mean, variance, epsilon


def judge_fold(attempt):
    random = np.random.default_rng(12)
    # As many channels in as out, or a factor on the wrong axis could not even be multiplied; and
    # an epsilon large enough to be missed.
    cases = [
        fold_case(random, *size, epsilon)
        for size, epsilon in [((1, 1, 2, 2), 0.1), ((3, 3, 4, 4), 0.3), ((2, 3, 5, 5), 0.001)]
    ]
    mistakes = {
        "epsilon is added after the root. It belongs to the variance, under the root.": fold_with(
            factor=lambda g, v, e: g / (np.sqrt(v) + e)
        ),
        "gamma is missing: it multiplies what has been normalised.": fold_with(
            factor=lambda g, v, e: 1 / np.sqrt(v + e)
        ),
        "The factor stands on its head: the normalisation divides by the standard deviation and "
        "multiplies by gamma.": fold_with(factor=lambda g, v, e: np.sqrt(v + e) / g),
        "beta is missing: it is added at the very end.": fold_with(bias=lambda b, m, f: -m * f),
        "beta is scaled in the bias. It is added after the scaling, so it stays as it "
        "is.": fold_with(bias=lambda b, m, f: (b - m) * f),
        "The factor lies on the channels that come in. The normalisation scales what comes out, "
        "the kernel's last axis.": fold_with(kernel=lambda k, f: k * f[:, None]),
    }
    wide = [fold_case(random, 3, 3, 2, 6, 0.01), fold_case(random, 1, 1, 7, 1, 0.01)]

    def call(kernel, *others):
        return f"a kernel of shape {kernel.shape}"

    for some, told in ((cases, mistakes), (wide, {})):
        compare(attempt, some, folding.folded_kernel, told, call, parts=("kernel", "bias"))


fold_exercise = Exercise("fold", judge_fold, folding.folded_kernel)


LIMITS = ("compute", "memory")


def as_limit(value):
    """Take (seconds, "compute" or "memory"); raises Incorrect for anything else."""
    wanted = 'expected two things, the seconds and "compute" or "memory"'
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; {wanted}.")
    seconds, limit = value
    if isinstance(seconds, str) and not isinstance(limit, str):
        raise Incorrect("The two results are swapped: first the seconds, then what limits.")
    if not isinstance(limit, str) or limit not in LIMITS:
        raise Incorrect(f"Its second result is {describe(limit)}; {wanted}.")
    return as_number(seconds), limit


def judge_roofline(attempt):
    # operations, bytes, operations a second, bytes a second
    cases = [
        (800.0, 10.0, 100.0, 20.0),
        (30.0, 60.0, 100.0, 20.0),
        (50.0, 40.0, 100.0, 20.0),
        (6e9, 8e8, 2e9, 1e9),
        (100.0, 300.0, 5.0, 40.0),
        (900.0, 45.0, 60.0, 2.0),
    ]
    mistakes = {
        "The two times are added up. A machine computes while it loads, so at best the longer of "
        "the two is all it takes.": lambda o, b, p, w: o / p + b / w,
        "This is the shorter of the two times. Both must be done, so the longer one "
        "counts.": lambda o, b, p, w: min(o / p, b / w),
        "The memory is left out of the seconds: a layer cannot be done before its bytes have "
        "moved.": lambda o, b, p, w: o / p,
        "The computing is left out of the seconds: a layer cannot be done before its operations "
        "are.": lambda o, b, p, w: b / w,
        "This is the mean of the two times. Both must be done, so the longer one "
        "counts.": lambda o, b, p, w: (o / p + b / w) / 2,
        "The divisions stand on their heads: seconds are operations divided by operations a "
        "second.": lambda o, b, p, w: max(p / o, w / b),
        "This is the intensity, operations per byte. It tells what limits; the seconds are asked "
        "for as well.": lambda o, b, p, w: o / b,
        "This is the speed that can be reached, in operations a second. The seconds are the "
        "operations divided by it.": lambda o, b, p, w: min(p, o / b * w),
        "The bytes are turned into bits. The bandwidth is in bytes a second: convert "
        "nothing.": lambda o, b, p, w: max(o / p, 8 * b / w),
    }

    def seconds(operations, bytes_moved, peak_operations, bandwidth):
        return profiling.roofline(operations, bytes_moved, peak_operations, bandwidth)[0]

    compare(lambda *case: as_limit(attempt(*case))[0], cases, seconds, mistakes)
    labels = [as_limit(attempt(*case))[1] for case in cases]
    right = [profiling.roofline(*case)[1] for case in cases]
    if labels == right:
        return
    times = "The seconds are right, but "
    if len(set(labels)) == 1:
        raise Incorrect(f'{times}it always says "{labels[0]}". Which of the two times is longer?')
    for sentence, is_compute in {
        "what limits is swapped: it is the part that takes longer.": lambda o, b, p, w: (
            o / p < b / w
        ),
        "operations are compared with bytes, as if the machine were equally fast at both. Compare "
        "their times.": lambda o, b, p, w: o > b,
        "what limits is read from the machine alone. On the same machine one layer can be limited "
        "by computing, and another by memory.": lambda o, b, p, w: p < w,
        "the intensity is compared with one of the two speeds. Compare it with their "
        "ratio.": lambda o, b, p, w: o / b > w,
    }.items():
        if labels == ["compute" if is_compute(*case) else "memory" for case in cases]:
            raise Incorrect(times + sentence)
    first = [given == wanted for given, wanted in zip(labels, right, strict=True)].index(False)
    case = written(cases[first], argument_names(seconds, cases))
    raise Incorrect(
        f'For {case} the seconds are right, but it says "{labels[first]}"; '
        f'expected "{right[first]}".'
    )


roofline_exercise = Exercise("roofline", judge_roofline, profiling.roofline)
