"""Measure speed fairly: variants in turns, and what the machine can do at best."""

import time

import numpy as np
from keras import ops


def in_turns(variants, rounds=5):
    """Time functions in turns, so that a busy moment of the machine hits all of them alike.

    Args:
        variants: dict from name to a function without arguments. Each is called once before, and
            that call is not counted: it traces and compiles.
        rounds: how often each is timed.

    Returns:
        dict from name to float array (rounds,), seconds.

    Raises:
        ValueError: nothing to time.
    """
    if not variants or rounds < 1:
        raise ValueError(f"{len(variants)} variants in {rounds} rounds: there is nothing to time.")
    for run in variants.values():
        run()
    seconds = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def waiting(step, batches):
    """Measure for how long a training loop waits for its data, and for how long it computes.

    Args:
        step: function that is called with every batch, such as `model.train_on_batch`.
        batches: iterable of batches, each a tuple of the arguments of step.

    Returns:
        (seconds spent waiting, seconds spent in step) over all batches.
    """
    waited = computed = 0.0
    start = time.perf_counter()
    for batch in batches:
        ready = time.perf_counter()
        step(*batch)
        waited, computed = waited + ready - start, computed + time.perf_counter() - ready
        start = time.perf_counter()
    return waited + time.perf_counter() - start, computed


def matrix_peak(dtype, side=2048, rounds=5):
    """Measure how many operations a second the device does at best, by a matrix product.

    A product of two square matrices needs 2 side^3 operations (a multiplication and an addition
    each) and reads every number side times from fast memory, so it shows what the arithmetic
    units can do. Returns float, the fastest of some rounds.
    """
    random = np.random.default_rng(0)
    a, b = (ops.cast(random.normal(size=(side, side)), dtype) for _ in range(2))
    seconds = in_turns({"product": lambda: wait(ops.matmul(a, b))}, rounds)["product"]
    return 2 * side**3 / seconds.min()


def memory_bandwidth(megabytes=256, rounds=5):
    """Measure how many bytes a second the device moves at best, by adding one to many numbers.

    Every number is read once and written once. Returns float, the fastest of some rounds.
    """
    x = ops.zeros((megabytes * 2**18,), "float32")
    seconds = in_turns({"add": lambda: wait(ops.add(x, 1.0))}, rounds)["add"]
    return 2 * megabytes * 2**20 / seconds.min()


def wait(result):
    """Wait until a device has finished a result; GPUs and JAX return before they have.

    A single number is fetched, so that moving the result is not timed.
    """
    return float(ops.convert_to_numpy(ops.cast(ops.ravel(result)[0], "float32")))
