"""Run a learner's blocks with chosen weights, and compare them with right ones."""

import contextlib
import functools
import itertools
import re
import traceback

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.repair import find_repair, shared_layer
from unet_helpers.models.blocks import concat_skip


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
    if len(value.shape) != 4:
        raise Incorrect(
            f"{what} has the shape {value.shape}; expected (batch, height, width, channels)."
        )
    return value


def numbers(tensors):
    """Turn a tensor, or a list of tensors, into arrays."""
    if isinstance(tensors, list | tuple):
        return [ops.convert_to_numpy(tensor) for tensor in tensors]
    return ops.convert_to_numpy(tensors)


def close(a, b, tolerance=1e-3):
    """Tell whether two arrays are equal to rounding."""
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)


def explain_shape(what, shape, expected, half, twice):
    """Raise Incorrect unless a result's shape (height, width, channels) is the expected one.

    half, twice: why it may have half or twice the height and width.
    """
    (*found, channels), (height, width, n_filters) = shape, expected
    lost = [height - found[0], width - found[1]]
    told = f"{what} is {found[0]}x{found[1]} instead of {height}x{width}"
    raise_first(
        {
            f"{told}: {half}": found == [height // 2, width // 2],
            f"{told}: {twice}": found == [2 * height, 2 * width],
            f'{told}: is padding="same" missing? Without it a 3x3 convolution costs 2 pixels.': (
                lost in ([2, 2], [4, 4])
            ),
            f"{told}: is it joined along another axis than the channels (axis=-1)?": (
                0 in lost and lost != [0, 0]
            ),
            f"{told}.": lost != [0, 0],
            f"{what} has {channels} channels instead of {n_filters}, the filters of its last "
            "convolution.": channels != n_filters,
        }
    )


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


def run(attempt, *args, explain=lambda shapes: "", **options):
    """Call a learner's function; where it raises, add the likely cause.

    Args:
        attempt: runs the learner's function.
        args, options: its arguments.
        explain: function (shapes) -> sentence, or "" where it knows none. The shapes are those
            of the error's text, without the batch.

    Returns:
        What the learner's function returns. Raises Incorrect with the longer sentence.
    """
    try:
        return attempt(*args, **options)
    except Incorrect as error:
        failed, sentence = error.__context__, str(error)
        text = str(failed or "")
    shapes = [
        tuple(int(side) for side in found.split(", ") if side != "None")
        for found in SHAPE.findall(text)
    ]
    for frame, _ in traceback.walk_tb(failed.__traceback__) if failed else ():
        if frame.f_code is concat_skip.__code__:  # its text has the sizes only
            shapes = [tuple(frame.f_locals[name].shape[1:]) for name in ("up", "skip")]
    cause = explain(shapes)
    for pattern, known in CAUSES:
        if found := re.search(pattern, text):
            cause = cause or found.expand(known)
    raise Incorrect(f"{sentence} {cause}".strip())


def explain_join(up, skip, below, expected):
    """Return why upsampled features and a skip connection cannot be joined, or "".

    Args:
        up, skip: shapes (height, width, channels) of the two.
        below, expected: shapes of what comes from below, and of the right skip connection.
    """
    if up == below:
        return (
            "What comes from below meets the skip connection as it is. It is upsampled first, by "
            "the transposed convolution."
        )
    if up[:2] == below[:2]:
        return (
            "What comes from below has not been doubled. Is strides=2 missing in the transposed "
            "convolution?"
        )
    if up[:2] != expected[:2]:
        told = f"What comes from below is {up[0]}x{up[1]}; doubled once, it is"
        padding = up[0] - expected[0] == up[1] - expected[1] in (1, 2)
        return f"{told} {expected[0]}x{expected[1]}. " + (
            'Is padding="same" missing in the transposed convolution?'
            if padding
            else "Use strides=2."
        )
    if skip[:2] == below[:2]:
        return (
            "The skip connection is pooled, or that of the next deeper level. Take what this "
            "level's encoder block has before its pooling."
        )
    if skip[:2] != expected[:2]:
        return (
            f"The skip connection is {skip[0]}x{skip[1]}; that of this level is "
            f"{expected[0]}x{expected[1]}."
        )
    return ""


# ---------------------------------------------------------------- the course's own, with weights


def stages_of(model, without=()):
    """Sort a model's weights by convolution: a list of dicts, each with all up to the next kernel.

    The keys are Keras's names: kernel, bias, and gamma, beta, moving_mean, moving_variance of a
    batch normalisation. Weights of the layers to do without are left out.
    """
    left_out = {id(weight) for layer in without for weight in layer.weights}
    stages = []
    for weight in model.weights:
        if id(weight) not in left_out:
            if len(weight.shape) == 4:
                stages.append({})
            if stages:
                stages[-1].setdefault(weight.name, weight)
    return stages


def chain(x, stages, steps=None, training=False):
    """Convolve with the kernels of all stages, each followed by its steps; by default a ReLU.

    steps holds a tuple per stage, of functions such as `ops.relu`, or `normalise`.
    """
    for stage, of_stage in zip(stages, steps or [(ops.relu,)] * len(stages), strict=True):
        if x.shape[-1] != stage["kernel"].shape[2]:
            raise ValueError("The kernel takes another number of channels.")
        x = ops.conv(x, stage["kernel"], padding="same") + stage.get("bias", 0)
        for step in of_stage:
            x = normalise(x, stage, training) if step is normalise else step(x)
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


PLAIN = {"": ((ops.relu,), (ops.relu,))}  # what follows the two convolutions of a block
BEFORE, AFTER = (normalise, ops.relu), (ops.relu, normalise)
NORMALISED = {
    "": (BEFORE, BEFORE),
    "its normalisation after the ReLU": (AFTER, AFTER),
    "its first normalisation after the ReLU": (AFTER, BEFORE),
    "its second normalisation after the ReLU": (BEFORE, AFTER),
}


# ---------------------------------------------------------------- comparing


def explain_model(model, inputs, right, wrong=None, training=False, called=("The result",)):
    """Compare a learner's model with right ones that have its weights.

    Args:
        model: the learner's, its weights filled.
        inputs: two inputs, each an array or a list of arrays.
        right, wrong: dicts from a note or a mistake's sentence to a function (input, stages) ->
            list of tensors. Outputs of the model beyond these are not compared.
        training: whether to run it in training.
        called: what the learner calls the outputs.

    Returns the name of the right one, or None when it is wrong and nobody knows why. Raises
    Incorrect when a mistake gives the model's numbers, or a change to its layers makes it right.
    """
    if told := shared_layer(model):
        raise Incorrect(told)
    # Passing training=False would override a training=True that is fixed in a block.
    mode = {"training": True} if training else {}
    given = [keras.tree.flatten(model(x, **mode)) for x in inputs]
    for functions in (right, wrong or {}):
        name = first_fit(functions, stages_of(model), inputs, given)
        if name is not None and functions is right:
            return name
        if name is not None:
            raise Incorrect(name)

    @functools.cache
    def expected(number, without):
        """Compute what right models give; those that the weights do not fit are left out."""
        found = {}
        for name, function in right.items():
            with contextlib.suppress(Exception):
                found[name] = numbers(function(inputs[number], stages_of(model, without)))
        return found

    def fitting(number, compute_outputs, without):
        without = tuple(layer for layer in without if getattr(layer, "weights", ()))
        wanted = expected(number, without)
        outputs = compute_outputs() if wanted else []
        return {name for name in wanted if agree(wanted[name], outputs)}

    if told := find_repair(model, inputs, fitting, training, called):
        raise Incorrect(told)
    return None


def first_fit(functions, stages, inputs, given):
    """Find the first of some functions that gives these results for all inputs; returns its name.

    Args:
        functions: dict from a name to a function (input, stages) -> list of tensors, or to a
            tuple of them.
        stages: weights of the learner's convolutions.
        inputs, given: lists of inputs and of the learner's results.
    """
    for name, some in functions.items():
        for function in some if isinstance(some, tuple) else (some,):
            # Weights that do not fit and a normalisation that is missing give nothing to compare.
            with contextlib.suppress(Exception):
                if all(agree(function(x, stages), y) for x, y in zip(inputs, given, strict=True)):
                    return name
    return None


def agree(expected, given):
    """Tell whether lists of tensors are equal up to rounding and a normalisation's epsilon."""
    for a, b in zip(numbers(expected), numbers(given), strict=False):
        largest = max(1e-6, np.abs(b).max())
        if not close(a / largest, b / largest, 5e-3):
            return False
    return True


def explain_kernels(stages, expected):
    """Raise Incorrect with the first kernel that is not as expected.

    Args:
        stages: weights of the learner's convolutions.
        expected: list of (place, sides that will do or None for any, channels in, filters).
    """
    if len(stages) != len(expected):
        raise Incorrect(
            f"Layers with kernels in use: {len(stages)}; expected {len(expected)}. Each takes what "
            "the one before it returns; a layer whose result nothing takes is not in use."
        )
    for stage, (place, sides, *channels) in zip(stages, expected, strict=True):
        shape = tuple(stage["kernel"].shape)
        # A transposed convolution's kernel has the filters first.
        if (sides and shape[0] not in sides) or sorted(shape[2:]) != sorted(channels):
            told = f"{sides[0]}x{sides[0]}, " if sides else ""
            raise Incorrect(
                f"{place} has a kernel of the shape {shape}; expected {told}from {channels[0]} "
                f"channels to {channels[1]}."
            )


# ---------------------------------------------------------------- batch normalisation, and notes


def in_both_ways(judge, attempt):
    """Judge a block by judge(attempt, batch_norm), without and with; returns the first note."""
    notes = [judge(attempt, False)]
    try:
        notes.append(judge(attempt, True))
    except Incorrect as error:
        raise Incorrect(f"With batch_norm=True: {error}") from None
    return next(filter(None, notes), None)


def explain_normalisation(model, inputs, n_filters, in_other_mode, training):
    """Raise Incorrect with what is wrong in the two normalisations of a block.

    in_other_mode: right functions for a block that is in training where this one is not.
    """
    stages = stages_of(model)
    first, second = ("moving_mean" in stage for stage in stages[-2:])
    raise_first(
        {
            "Each image is normalised by itself, as layer or instance normalisation does. Batch "
            "normalisation takes mean and variance over the whole batch, per channel.": (
                not first and not second and "gamma" in stages[-1]
            ),
            "Nothing is normalised: layers.BatchNormalization()(x) is missing.": (
                not first and not second
            ),
            f"Only the {'first' if first else 'second'} convolution is normalised; both should "
            "be.": first != second,
            "The normalisation is over another axis than the channels: axis=-1, the default.": any(
                stage["moving_mean"].shape != (n_filters,) for stage in stages[-2:] if first
            ),
        }
    )
    mode = {"training": True} if training else {}
    given = [keras.tree.flatten(model(x, **mode)) for x in inputs]
    if first_fit(in_other_mode, stages, inputs, given) is None:
        return
    raise Incorrect(
        "In training it does not use the batch's mean and variance. Is training=False set? "
        "Leave it to Keras to pass it on."
        if training
        else "At prediction it still normalises with the batch's own mean, so an image's mask "
        "would depend on its neighbours in the batch. Do not set training=True; Keras passes it "
        "on."
    )


def note_on_biases(stages):
    """Return a note when a convolution has both a bias and a normalisation, else None.

    Raises Incorrect when one has neither.
    """
    if any("bias" not in stage and "gamma" not in stage for stage in stages):
        raise Incorrect("A convolution has no bias, and no normalisation after it to replace it.")
    if any("bias" in stage and "gamma" in stage for stage in stages):
        return (
            "The biases of your convolutions do nothing: the normalisation subtracts them again. "
            "use_bias=False saves them."
        )
    return None


def note_on_choices(*choices):
    """Return a note on how a right answer differs from the course's, or None if it does not."""
    told = " and ".join(filter(None, choices))
    return f"Yours has {told}; the course's has not, and both are in use." if told else None
