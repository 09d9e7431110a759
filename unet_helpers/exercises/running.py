"""Run a learner's block with chosen weights, and explain what its activations must have been."""

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.exercise import Incorrect, describe


def one_tensor(value, what):
    """Take a Keras tensor; raises Incorrect for anything else, above all an uncalled layer."""
    if isinstance(value, layers.Layer):
        raise Incorrect(
            f"{what} is {describe(value)} itself. Call it on a tensor: "
            f"layers.{type(value).__name__}(...)(x)."
        )
    if not isinstance(value, keras.KerasTensor):
        raise Incorrect(f"{what} is {describe(value)}; expected a tensor that comes out of layers.")
    return value


def two_tensors(value):
    """Take (next_layer, skip_connection); raises Incorrect unless there are two tensors."""
    if isinstance(value, keras.KerasTensor):
        raise Incorrect(
            "It returns one tensor; the block gives two: next_layer, for the level below, and "
            "skip_connection, for the decoder."
        )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(
            f"It returns {describe(value)}; expected two tensors, (next_layer, skip_connection)."
        )
    return one_tensor(value[0], "next_layer"), one_tensor(value[1], "skip_connection")


def weights_of(model):
    """Give a model's weights, sorted by what they are: (4-dimensional kernels, vectors)."""
    kernels = [w for w in model.weights if len(w.shape) == 4]
    return kernels, [w for w in model.weights if len(w.shape) == 1]


def fill(model, seed=0):
    """Give kernels and biases random values, so that nothing is equal or zero by chance."""
    random = np.random.default_rng(seed)
    kernels, vectors = weights_of(model)
    for kernel in kernels:
        spread = np.sqrt(2 / np.prod(kernel.shape[:-1]))
        kernel.assign(random.normal(0, spread, kernel.shape))
    for vector in vectors:
        vector.assign(random.normal(0, 0.3, vector.shape))


def numbers(tensors):
    """Turn a tensor, or a list of tensors, into arrays."""
    if isinstance(tensors, list | tuple):
        return [ops.convert_to_numpy(tensor) for tensor in tensors]
    return ops.convert_to_numpy(tensors)


def close(a, b):
    """Tell whether two arrays are equal to rounding."""
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-3)


def size(tensor):
    """Write down a tensor's height and width."""
    return f"{tensor.shape[1]}x{tensor.shape[2]}"


ACTIVATIONS = {
    "ReLU": ops.relu,
    "no activation": lambda x: x,
    "leaky ReLU": lambda x: ops.leaky_relu(x, 0.3),
    "leaky ReLU of slope 0.2": lambda x: ops.leaky_relu(x, 0.2),
    "leaky ReLU of slope 0.1": lambda x: ops.leaky_relu(x, 0.1),
    "ELU": ops.elu,
    "SELU": ops.selu,
    "GELU": lambda x: ops.gelu(x, approximate=False),
    "SiLU": ops.silu,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "softplus": ops.softplus,
    "softmax": lambda x: ops.softmax(x, axis=-1),
}


def chain(x, weights, activations):
    """Convolve several times: weights are pairs (kernel, bias), activations one name each."""
    for (kernel, bias), activation in zip(weights, activations, strict=True):
        x = ACTIVATIONS[activation](ops.conv(x, kernel, padding="same") + bias)
    return x


def explain_activations(x, weights, given):
    """Find which activations two convolutions must have had to give an array; say what is wrong.

    Raises Incorrect when some are found that are not ReLU twice; returns None when none fit.
    """
    for first in ACTIVATIONS:
        for second in ACTIVATIONS:
            if not close(numbers(chain(x, weights, (first, second))), given):
                continue
            if first == second == "no activation":
                raise Incorrect(
                    "No convolution has an activation. Without a ReLU between them two "
                    "convolutions are no more than one."
                )
            which = {(False, True): "The first", (True, False): "The second"}.get(
                (first == "ReLU", second == "ReLU"), "Each"
            )
            name = first if first != "ReLU" else second
            raise Incorrect(
                f"{which} convolution is followed by {name}; U-Net has a ReLU after each."
            )
