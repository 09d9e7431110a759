"""Train the course's U-Net on a GPU with JAX: images a second, and share of the card's peak.

    python benchmarks/gpu.py            needs jax (for a GPU: jax[cuda12]), keras and numpy only
    python benchmarks/gpu.py --quick    small settings, to see that it runs, also without a GPU

For 32 and 64 filters at 96x128 and 256x256 it measures whole training steps (forward, backward,
Adam) on a batch that lies in the device's memory, and doubles the batch until memory is full.
Operations are counted from the live model; training counts three times the forward pass, and a
multiply-add is two operations. The peak is that of the card's data sheet, without sparsity;
of a card that is not in the table it is the speed of a large product of matrices.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
# By itself JAX takes three quarters of the memory, and larger batches would not fit.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import keras
import numpy as np

from unet_helpers import models
from unet_helpers.models import profiling

# Dense operations a second by the data sheets, in units of 1e12: bfloat16, and float16 for T4, V100
PEAKS = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10G": 70,
    "T4": 65,
    "V100": 125,
}
CLASSES = 13


def peak(device, precision):
    """Give (operations a second, where the number is from) of the device in a precision."""
    if precision != "float32":
        for name, tera in PEAKS.items():
            if name in device.device_kind:
                return tera * 1e12, "data sheet"
    return measured_peak(precision), "measured by a product of matrices"


def measured_peak(precision, side=None):
    """Measure a large product of matrices; returns operations a second."""
    side = side or (8192 if jax.default_backend() == "gpu" else 1024)
    dtype = {"mixed_bfloat16": jnp.bfloat16, "mixed_float16": jnp.float16}.get(precision)
    a = jnp.ones((side, side), dtype or jnp.float32)
    product = jax.jit(lambda x: x @ x)
    product(a).block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def choose_precision(device):
    """Choose the Keras policy: bfloat16 from capability 8 on, float16 from 7, else float32."""
    if device.platform != "gpu":
        return "float32"
    capability = tuple(int(part) for part in str(device.compute_capability).split("."))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


def make_step(size, filters):
    """Build the model; returns (function state, images, masks -> state, loss), state, operations.

    operations are those of one forward pass for one image.
    """
    keras.utils.set_random_seed(0)
    model = models.unet_model((*size, 3), filters, CLASSES, dropout_prob=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    fixed = [v.value for v in model.non_trainable_variables]

    def loss_of(weights, images, masks):
        logits, _ = model.stateless_call(weights, fixed, images, training=True)
        return loss(masks, logits)

    def step(state, images, masks):
        weights, moments = state
        value, gradients = jax.value_and_grad(loss_of)(weights, images, masks)
        weights, moments = optimizer.stateless_apply(moments, gradients, weights)
        return (weights, moments), value

    state = (
        [v.value for v in model.trainable_variables],
        [v.value for v in optimizer.variables],
    )
    return jax.jit(step), state, 2 * profiling.totals(model)["macs"]


def rate(step, state, size, batch_size, seconds):
    """Measure images a second; returns the median of five stretches and the first step's s."""
    values = np.random.default_rng(0)
    images = jax.device_put(values.integers(0, 256, (batch_size, *size, 3), np.uint8))
    masks = jax.device_put(values.integers(0, CLASSES, (batch_size, *size), np.uint8))
    start = time.perf_counter()
    state, loss = step(state, images, masks)
    loss.block_until_ready()
    first = time.perf_counter() - start
    start = time.perf_counter()
    state, loss = step(state, images, masks)
    loss.block_until_ready()
    steps = max(1, round(seconds / 5 / (time.perf_counter() - start)))
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(steps):
            state, loss = step(state, images, masks)
        loss.block_until_ready()
        rates.append(steps * batch_size / (time.perf_counter() - start))
    if not np.isfinite(float(loss)):
        raise ValueError(f"The loss became {float(loss)}: these steps do not count.")
    return sorted(rates)[2], first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small settings, no search for memory")
    parser.add_argument("--precision", help="a Keras policy; default: the device's fastest")
    parser.add_argument("--batch-size", type=int, default=16, help="the first batch tried")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    options = parser.parse_args()
    device = jax.devices()[0]
    precision = options.precision or choose_precision(device)
    keras.config.set_dtype_policy(precision)
    best, source = peak(device, precision)
    print(f"{device.device_kind}, JAX {jax.__version__}, Keras {keras.__version__}, {precision}")
    print(f"peak {best / 1e12:.1f} tera operations a second ({source})", flush=True)
    settings = [(f, size) for f in (32, 64) for size in ((96, 128), (256, 256))]
    batch_size, limit, seconds = options.batch_size, 2**16, options.seconds
    if options.quick:
        settings, batch_size, limit, seconds = [(4, (32, 48)), (8, (32, 48))], 2, 4, 0.2
    print(f"{'filters':>7} {'size':>9} {'batch':>6} {'images/s':>10} {'of peak':>8} {'start':>7}")
    for filters, size in settings:
        step, state, operations = make_step(size, filters)
        name, largest, batch = f"{size[0]}x{size[1]}", None, batch_size
        while batch <= limit:
            try:
                images, first = rate(step, state, size, batch, seconds)
            except Exception as error:  # JAX has no error of its own for a full memory
                if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error):
                    raise
                break
            share = 3 * operations * images / best
            print(
                f"{filters:7} {name:>9} {batch:6} {images:10.1f} {share:8.1%} {first:6.1f}s",
                flush=True,
            )
            largest, batch = batch, 2 * batch
        end = "memory was full" if batch <= limit else "no larger one was tried"
        print(f"{filters:7} {name:>9}: the largest batch is {largest}; {end}", flush=True)


if __name__ == "__main__":
    main()
