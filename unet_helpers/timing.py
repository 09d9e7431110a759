"""Measure speed fairly: variants in turns, waiting for data, and the memory's bandwidth."""

import time

import numpy as np
from keras import ops


def in_turns(variants, rounds=5):
    """Time functions in turns, so that a busy moment of the machine affects all of them alike.

    variants is a dict from name to a function without arguments, whose first call, which traces and
    compiles, is not timed. Returns a dict from name to float (rounds,), seconds. Raises ValueError
    for nothing to time.
    """
    if not variants or rounds < 1:
        raise ValueError(f"{len(variants)} variants in {rounds} rounds: there is nothing to time.")
    for run in variants.values():
        run()
    seconds = {name: np.zeros(rounds) for name in variants}
    for i in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name][i] = time.perf_counter() - start
    return seconds


def waiting(step, batches):
    """Measure how long a training loop waits for its data and how long it computes.

    step is a function of a batch's arrays, such as `model.train_on_batch`, and batches an iterable
    of tuples of arrays. Returns (seconds of waiting, seconds in step), each over all batches.
    """
    waited = computed = 0.0
    start = time.perf_counter()
    for batch in batches:
        ready = time.perf_counter()
        step(*batch)
        waited, computed = waited + ready - start, computed + time.perf_counter() - ready
        start = time.perf_counter()
    return waited + time.perf_counter() - start, computed


def memory_bandwidth(megabytes=256):
    """Measure the bandwidth in bytes a second, by adding one to many numbers; the best of five."""
    x = ops.zeros((megabytes * 2**18,), "float32")
    seconds = in_turns({"add": lambda: wait(ops.add(x, 1.0))})["add"]
    return 2 * megabytes * 2**20 / seconds.min()


def wait(result):
    """Wait until the device has computed a result, by fetching one number of it."""
    return float(ops.convert_to_numpy(ops.cast(ops.ravel(result)[0], "float32")))
