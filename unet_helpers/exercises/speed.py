"""Exercises on speed: a normalisation folded away, and what limits a layer on a machine."""

import numpy as np

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_number, describe
from unet_helpers.models.folding import folded_kernel as fold


def fold_case(random, height, width, n_in, n_out, epsilon):
    """Draw a kernel and the numbers of a normalisation, every channel different."""
    gamma, beta = (random.normal(1, 1, n_out) for _ in range(2))
    # both above 0: a learner who swaps them gets numbers, and a sentence about them
    mean, variance = (random.uniform(0.2, 3, n_out) for _ in range(2))
    return random.normal(0, 1, (height, width, n_in, n_out)), gamma, beta, mean, variance, epsilon


def judge_fold(attempt):
    random = np.random.default_rng(12)
    # First as many channels in as out, or a factor on the wrong axis could not even be multiplied;
    # and an epsilon large enough to be missed.
    sizes = [(1, 1, 2, 2, 0.1), (3, 3, 4, 4, 0.3), (2, 3, 5, 5, 0.001)]
    cases = [fold_case(random, *size) for size in (*sizes, (3, 3, 2, 6, 0.01), (1, 1, 7, 1, 0.01))]
    mistakes = {
        "epsilon is added after the root. It belongs to the variance, under the root.": [
            "np.sqrt(variance + epsilon) -> (np.sqrt(variance) + epsilon)",
            "np.sqrt(variance + epsilon) -> np.sqrt(variance) + epsilon",
        ],
        "The factor lies on the channels that come in. The normalisation scales what comes out, "
        "the kernel's last axis.": "kernel * factor -> kernel * factor[:, None]",
        "The mean is subtracted from the kernel. It is one of what the kernel gives, so it goes "
        "into the bias alone.": "kernel * factor -> (kernel - mean) * factor",
    }
    compare(attempt, cases, fold, mistakes, parts=("kernel", "bias"))


def roofline(operations, bytes_moved, peak_operations, bandwidth):
    """Return the shortest time that some work can take on a machine, and what limits it.

    Source: Williams et al. 2009, "Roofline: an insightful visual performance model".
    """
    computing, moving = operations / peak_operations, bytes_moved / bandwidth
    # a machine does both at the same time, so the longer one counts
    return max(computing, moving), "compute" if computing >= moving else "memory"


def as_limit(value):
    """Take (seconds, "compute" or "memory"); raises Incorrect for anything else."""
    wanted = 'expected two things, the seconds and "compute" or "memory"'
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; {wanted}.")
    seconds, limit = value
    if isinstance(seconds, str) and not isinstance(limit, str):
        raise Incorrect("The two results are swapped: first the seconds, then what limits.")
    if not isinstance(limit, str) or limit not in ("compute", "memory"):
        raise Incorrect(f"Its second result is {describe(limit)}; {wanted}.")
    return as_number(seconds), np.array(limit)


def judge_roofline(attempt):
    # operations, bytes, operations a second, bytes a second
    cases = [(800.0, 10.0, 100.0, 20.0), (30.0, 60.0, 100.0, 20.0), (50.0, 40.0, 100.0, 20.0)]
    cases += [(6e9, 8e8, 2e9, 1e9), (100.0, 300.0, 5.0, 40.0), (900.0, 45.0, 60.0, 2.0)]
    cases += [(70.0, 90.0, 20.0, 30.0), (40.0, 70.0, 9.0, 4.0), (500.0, 30.0, 3.0, 7.0)]
    cases += [(64.0, 800.0, 50.0, 100.0), (3e6, 2e5, 8e5, 4e5), (7e6, 9e5, 8e6, 4e5)]
    cases += [(100.0, 45.0, 50.0, 25.0), (66.0, 63.0, 20.0, 21.0)]  # nearly balanced

    longer, is_compute = "max(computing, moving)", "computing >= moving"
    mistakes = {
        "The two times are added up. A machine computes while it loads, so at best the longer of "
        "the two is all it takes.": f"{longer} -> computing + moving",
        "This is the mean of the two times. Both must be done, so the longer one counts.": (
            f"{longer} -> (computing + moving) / 2"
        ),
        "The memory is left out of the seconds.": f"{longer} -> computing",
        "The computing is left out of the seconds.": f"{longer} -> moving",
        "The divisions stand on their heads: seconds are operations divided by operations a "
        "second.": f"{longer} -> max(1 / computing, 1 / moving)",
        "The bytes are turned into bits. The bandwidth is in bytes a second: convert nothing.": (
            f"{longer} -> max(computing, 8 * moving)"
        ),
        "This is the speed that can be reached, in operations a second. The seconds are the "
        "operations divided by it.": f"{longer} -> operations / {longer}",
        'It always says "compute". Which of the two times is longer?': f"{is_compute} -> True",
        'It always says "memory". Which of the two times is longer?': f"{is_compute} -> False",
        "Operations are compared with bytes, as if the machine were equally fast at both. Compare "
        "their times.": f"{is_compute} -> operations > bytes_moved",
        "The intensity is compared with one of the two speeds. Compare it with their ratio.": [
            f"{is_compute} -> operations / bytes_moved > bandwidth",
            f"{is_compute} -> operations / bytes_moved > peak_operations",
        ],
    }
    compare(attempt, cases, roofline, mistakes, convert=as_limit, parts=("seconds", "limit"))
