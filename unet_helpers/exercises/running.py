"""Run a learner's blocks with chosen weights, and find out which mistake gives the same numbers."""

import contextlib
import itertools
import re

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.exercise import Incorrect, describe


def raise_first(faults):
    """Raise Incorrect with the first sentence of a dict {sentence: whether it holds} that holds."""
    for sentence, holds in faults.items():
        if holds:
            raise Incorrect(sentence)


# ---------------------------------------------------------------- tensors and models


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


def numbers(tensors):
    """Turn a tensor, or a list of tensors, into arrays."""
    if isinstance(tensors, list | tuple):
        return [ops.convert_to_numpy(tensor) for tensor in tensors]
    return ops.convert_to_numpy(tensors)


def close(a, b, tolerance=1e-3):
    """Tell whether two arrays are equal to rounding."""
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)


def size(tensor):
    """Write down a tensor's height and width."""
    return f"{tensor.shape[1]}x{tensor.shape[2]}"


def fill(model, seed=0):
    """Give all weights random values, so that nothing is equal or zero by chance."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if len(weight.shape) == 4:
            spread = np.sqrt(2 / np.prod(weight.shape[:-1]))
            weight.assign(random.normal(0, spread, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):  # neither may be negative
            weight.assign(random.uniform(0.5, 2, weight.shape))
        else:
            weight.assign(random.normal(0, 0.3, weight.shape))


def explain_settings(model):
    """Raise Incorrect when a convolution has an option that U-Net's blocks do not use."""
    expected = {"strides": (1, 1), "dilation_rate": (1, 1), "groups": 1}
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    for layer, (option, value) in itertools.product(convolutions, expected.items()):
        if getattr(layer, option) != value:
            raise Incorrect(
                f"A convolution has {option}={getattr(layer, option)}; in this block it is {value}."
            )


def is_right_without(model, is_right):
    """Find a layer without which a functional model is right; returns its class's name or None.

    Args:
        model: the learner's model, already filled with weights.
        is_right: function (model) that tells whether its outputs are the course's.
    """
    kept = (layers.Conv2D, layers.Conv2DTranspose, layers.InputLayer, layers.MaxPooling2D)
    for left_out in (layer for layer in model.layers if not isinstance(layer, kept)):

        def call(layer, inputs, *args, left_out=left_out, **options):
            if layer is not left_out:
                return layer(inputs, *args, **options)
            return inputs[-1] if isinstance(inputs, list) else inputs

        with contextlib.suppress(Exception):  # it cannot be left out, or there is no graph
            if is_right(keras.models.clone_model(model, None, lambda layer: layer, call)):
                return type(left_out).__name__
    return None


# ---------------------------------------------------------------- what is raised

SHAPE = re.compile(r"[(\[]((?:None|\d+)(?:, ?\d+)+)[)\]]")
CAUSES = (
    (
        r"expected axis -1 of input shape to have value",
        "One layer object is called twice, which would share its weights: make a new layer for "
        "each place.",
    ),
    (
        r"expects 1 input\(s\), but it received 2",
        "A layer gets two tensors. Unpack what an encoder block returns, x, skip = "
        "conv_block(...), and join tensors by Concatenate.",
    ),
    (
        r"argument value should be passed as a keyword argument: <(\w+) ",
        r"The layer \1 itself is passed on. Call it on a tensor: layers.\1(...)(x).",
    ),
    (
        r"too many positional arguments",
        "Layers that join take one list of tensors: layers.Concatenate()([up, skip]).",
    ),
)


def run(attempt, *args, explain=lambda shapes, text: ""):
    """Call a learner's function; where it raises, add the likely cause.

    Args:
        attempt: runs the learner's function.
        args: its arguments.
        explain: function (shapes, text) -> sentence, or "" where it knows none. The shapes are
            those of the error's text, without the batch.

    Returns:
        What the learner's function returns. Raises Incorrect with the longer sentence.
    """
    try:
        return attempt(*args)
    except Incorrect as error:
        text, sentence = str(error.__context__ or ""), str(error)
    shapes = [
        tuple(int(side) for side in found.split(", ") if side != "None")
        for found in SHAPE.findall(text)
    ]
    cause = explain(shapes, text)
    for pattern, known in CAUSES:
        if found := re.search(pattern, text):
            cause = cause or found.expand(known)
    raise Incorrect(f"{sentence} {cause}".strip())


# ---------------------------------------------------------------- convolutions in a row

NORM = "normalisation"
ACTIVATIONS = {
    "ReLU": ops.relu,
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
# What may follow a convolution: names of activations, or NORM
PLAIN = [("ReLU",), (), *((name,) for name in ACTIVATIONS if name != "ReLU")]
NORMED = [(NORM, "ReLU"), ("ReLU", NORM), ("ReLU", NORM, "ReLU"), (NORM,), *PLAIN[:2]]
NORMED += [(NORM, *steps) for steps in PLAIN[2:]]


def stages_of(model):
    """Sort a model's weights by convolution: a list of dicts, each with all up to the next kernel.

    The keys are Keras's names: kernel, bias, and gamma, beta, moving_mean, moving_variance of a
    batch normalisation.
    """
    stages = []
    for weight in model.weights:
        if len(weight.shape) == 4:
            stages.append({})
        if stages:
            stages[-1].setdefault(weight.name, weight)
    return stages


def chain(x, stages, steps, training=False):
    """Convolve with the kernels of all stages, each followed by its steps (see PLAIN, NORMED)."""
    for stage, names in zip(stages, steps, strict=True):
        x = ops.conv(x, stage["kernel"], padding="same") + stage.get("bias", 0)
        for name in names:
            x = normalise(x, stage, training) if name == NORM else ACTIVATIONS[name](x)
    return x


def upsample(x, stage, interpolation=None):
    """Double the size by a transposed convolution, or by interpolation and a convolution."""
    if interpolation is None:
        up = ops.conv_transpose(x, stage["kernel"], strides=2, padding="same")
        return up + stage.get("bias", 0)
    return chain(layers.UpSampling2D(2, interpolation=interpolation)(x), [stage], [()])


def normalise(x, stage, training):
    """Batch-normalise: by the batch's own mean and variance in training, else by the moving."""
    mean, variance = stage["moving_mean"], stage["moving_variance"]  # missing: nothing to compare
    if training:
        mean, variance = ops.moments(x, axes=(0, 1, 2), keepdims=True)
    return (x - mean) / ops.sqrt(variance + 1e-3) * stage.get("gamma", 1) + stage.get("beta", 0)


def first_fit(function, stages, candidates, inputs, given, tolerance=1e-3):
    """Find the first candidate that gives an answer's numbers with the answer's weights.

    Args:
        function: function (input, stages, **options) -> tensor.
        stages: weights of the answer's convolutions.
        candidates: dict from a name, such as a mistake's sentence, to the function's options.
        inputs, given: lists of inputs and of the arrays that the answer makes of them.
        tolerance: difference that is rounding, compared with the largest value.

    Returns:
        The candidate's name, or None.
    """
    for name, options in candidates.items():
        # Weights that do not fit and a normalisation that is missing give nothing to compare.
        with contextlib.suppress(Exception):
            for x, array in zip(inputs, given, strict=True):
                largest = max(1e-6, np.abs(array).max())
                result = numbers(function(x, stages, **options))
                if not close(result / largest, array / largest, tolerance):
                    break
            else:
                return name
    return None


def find_steps(inputs, stages, given, choices, training=False, after=lambda x: x):
    """Find what followed the convolutions, so that they gave these arrays.

    Args:
        inputs, stages, given: as for `first_fit`.
        choices: what may follow a convolution, PLAIN or NORMED.
        training: whether a normalisation takes the batch's own mean.
        after: function that is applied at the end, such as a pooling.

    Returns:
        Tuple of steps, one for each convolution; None when none gives all arrays.
    """

    def function(x, stages, steps):
        return after(chain(x, stages, steps, training))

    candidates = {
        steps: {"steps": steps} for steps in itertools.product(choices, repeat=len(stages))
    }
    # Normalisations differ in their epsilon, which nobody has to guess.
    tolerance = 2e-2 if choices is NORMED else 1e-3
    return first_fit(function, stages, candidates, inputs, given, tolerance)


def explain_steps(steps, choices):
    """Raise Incorrect when two convolutions are not both followed by ReLU, or not normalised."""
    normed = [NORM in names for names in steps]
    if choices is NORMED and not any(normed):
        raise Incorrect("Nothing is normalised: layers.BatchNormalization()(x) is missing.")
    if choices is NORMED and not all(normed):
        which = "first" if normed[0] else "second"
        raise Incorrect(f"Only the {which} convolution is normalised; both should be.")
    if any(len(names) > 2 for names in steps):
        raise Incorrect(
            "There is a ReLU before the normalisation and another one after it; once is right."
        )
    first, second = (
        next((name for name in names if name != NORM), "no activation") for names in steps
    )
    if first == second == "no activation":
        raise Incorrect(
            "No convolution has an activation. Without a ReLU between them two convolutions are "
            "no more than one."
        )
    if (first, second) != ("ReLU", "ReLU"):
        raise Incorrect(
            f"The first convolution is followed by {first}, the second by {second}; U-Net has a "
            "ReLU after each."
        )
