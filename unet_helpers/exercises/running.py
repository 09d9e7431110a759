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
from unet_helpers.exercises.repair import repairs, shared_layer
from unet_helpers.models.blocks import concat_skip
from unet_helpers.models.folding import flat_layers


def raise_first(faults):
    """Raise Incorrect with the first sentence of a dict {sentence: whether it holds} that holds."""
    for sentence, holds in faults.items():
        if holds:
            raise Incorrect(sentence)


def one_tensor(value, what):
    """Take a Keras tensor; raises Incorrect for anything else, above all an uncalled layer."""
    told = f"{what} is {describe(value)}"
    if isinstance(value, layers.Layer):
        raise Incorrect(f"{told} itself. Call it on a tensor: {type(value).__name__}(...)(x).")
    if not isinstance(value, keras.KerasTensor):
        raise Incorrect(f"{told}; expected a tensor that comes out of layers.")
    if len(value.shape) != 4:
        told = f"{what} has the shape {value.shape}"
        raise Incorrect(f"{told}; expected (batch, height, width, channels).")
    return value


def numbers(tensors):
    """Turn a tensor, or a list of tensors, into arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def close(a, b, tolerance=1e-3):
    """Tell whether two arrays are equal to rounding."""
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)


def explain_shape(what, shape, expected, half, twice):
    """Raise Incorrect unless a shape is as expected; half, twice: why its sides may be so."""
    (*found, channels), (height, width, n_filters) = shape, expected
    lost = [height - found[0], width - found[1]]
    told = f"{what} is {found[0]}x{found[1]} instead of {height}x{width}"
    same = 'is padding="same" missing? Without it a 3x3 convolution costs 2 pixels.'
    of_filters = f"{what} has {channels} channels instead of {n_filters}"
    faults = {
        f"{told}: {half}": found == [height // 2, width // 2],
        f"{told}: {twice}": found == [2 * height, 2 * width],
        f"{told}: {same}": lost in ([2, 2], [4, 4]),
        f"{told}: is it joined on another axis than axis=-1?": 0 in lost and lost != [0, 0],
        f"{told}.": lost != [0, 0],
        f"{of_filters}, the filters of its last convolution.": channels != n_filters,
    }
    raise_first(faults)


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
        found = getattr(layer, option)
        if found != value:
            raise Incorrect(f"A convolution has {option}={found}; in this block it is {value}.")


SHAPE = re.compile(r"[(\[]((?:None|\d+)(?:, ?\d+)+)[)\]]")
CAUSES = {  # a likely cause: what Keras says then
    "One layer object is called twice, which would share its weights: make a new layer for each "
    "place.": r"expected axis -1 of input shape to have value",
    "A layer gets two tensors. Unpack what an encoder block returns, x, skip = conv_block(...), "
    "and join tensors by Concatenate.": r"expects 1 input\(s\), but it received 2",
    r"The layer \1 itself is passed on. Call it on a tensor: layers.\1(...)(x).": (
        r"argument value should be passed as a keyword argument: <(\w+) "
    ),
    r"A \1 of tensors is passed where one tensor belongs.": r"'(list|tuple)' object has no",
    "Layers that join take one list: layers.Concatenate()([up, skip]).": "too many positional",
}


def run(attempt, *args, explain=lambda shapes: "", **options):
    """Call a learner's function, and return its result; where it raises, add the likely cause.

    explain: function (shapes in the error's text, without the batch) -> sentence, or "".
    """
    try:
        return attempt(*args, **options)
    except Incorrect as error:
        incorrect, failed = error, error.__context__
    text = str(failed or "")
    shapes = [
        tuple(int(side) for side in found.split(", ") if side != "None")
        for found in SHAPE.findall(text)
    ]
    for frame, _ in traceback.walk_tb(failed.__traceback__) if failed else ():
        if frame.f_code is concat_skip.__code__:  # its text has the sizes only
            both = [frame.f_locals[name] for name in ("up", "skip")]
            shapes = [tuple(x.shape[1:]) for x in both if hasattr(x, "shape")]
    cause = explain(shapes)
    for known, pattern in CAUSES.items():
        if found := re.search(pattern, text):
            cause = cause or found.expand(known)
    raise Incorrect(f"{incorrect} {cause}") if cause else incorrect


def explain_join(up, skip, below, expected):
    """Return why features of shape up cannot be joined with a skip connection of shape skip, or "".

    below, expected: shapes of what comes from below, and of the right skip connection.
    """
    side = f"{expected[0]}x{expected[1]}"
    if up[:2] == below[:2]:
        told = "What comes from below has not been doubled. It is upsampled first, by the"
        return f"{told} transposed convolution. Is strides=2 missing there?"
    if up[:2] != expected[:2]:
        told = "Upsample once, with strides=2."
        if up[0] - expected[0] == up[1] - expected[1] in (1, 2):
            told = 'Is padding="same" missing in the transposed convolution?'
        return f"What comes from below is {up[0]}x{up[1]}; doubled once, it is {side}. {told}"
    if skip[:2] != expected[:2]:
        told = f"The skip connection is {skip[0]}x{skip[1]}; that of this level is {side}"
        return f"{told}, what its encoder block has before the pooling."
    return ""


def stages_of(model, without=()):
    """Sort a model's weights by convolution: a list of dicts, each with all up to the next kernel.

    The keys are Keras's names, such as kernel or moving_mean; some layers can be left out.
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


def normalise(x, stage, training):
    """Batch-normalise: by the batch's own mean and variance in training, else by the moving."""
    mean, variance = stage["moving_mean"], stage["moving_variance"]
    if training:
        mean, variance = ops.moments(x, axes=(0, 1, 2), keepdims=True)
    return (x - mean) / ops.sqrt(variance + 1e-3) * stage.get("gamma", 1) + stage.get("beta", 0)


BEFORE, AFTER = (normalise, ops.relu), (ops.relu, normalise)
NORMALISATIONS = {"": BEFORE, "the normalisation after each ReLU": AFTER}


def chain(x, stages, training=False, steps=BEFORE):
    """Convolve with all kernels, each followed by steps; `normalise` only if it has weights."""
    for stage in stages:
        if x.shape[-1] != stage["kernel"].shape[2]:
            raise ValueError("The kernel takes another number of channels.")
        x = ops.conv(x, stage["kernel"], padding="same") + stage.get("bias", 0)
        for step in steps:
            if step is not normalise:
                x = step(x)
            elif "moving_mean" in stage:
                x = normalise(x, stage, training)
    return x


def in_both_ways(judge):
    """Let judge(attempt, batch_norm) judge without and with; it then returns the first note."""

    @functools.wraps(judge)
    def judge_both(attempt):
        notes = [judge(attempt, False)]
        try:
            notes.append(judge(attempt, True))
        except Incorrect as error:
            raise type(error)(f"With batch_norm=True: {error}") from None
        return next(filter(None, notes), None)

    return judge_both


def explain_model(
    model, inputs, right, kernels, batch_norm, modes=(False, True), called=("The result",)
):
    """Compare a learner's model with right ones that have its weights.

    Args:
        model: the learner's, its weights filled.
        inputs: two inputs, each an array or a list of arrays.
        right: dict from a note to a function (input, stages, training) -> list of tensors, the
            model's first outputs.
        kernels: what `explain_kernels` expects.
        batch_norm: whether the convolutions of its blocks should be normalised.
        modes: whether to run it in training, one after the other.
        called: what the learner calls the outputs.

    Returns the note of the right one.
    """
    if told := shared_layer(model):
        raise Incorrect(told)
    stages = stages_of(model)
    explain_normalised(stages, kernels, batch_norm)
    if len(stages) <= len(kernels):  # with more, a change to the layers may tell which is too many
        explain_kernels(stages, kernels)
    for training in modes:
        # Passing training=False would override a training=True that is fixed in a block.
        mode = {"training": True} if training else {}
        given = [keras.tree.flatten(model(x, **mode)) for x in inputs]
        name = first_fit(right, stages, inputs, given, training)
        if name is not None:
            continue
        if first_fit(right, stages, inputs, given, not training) is not None:
            raise Incorrect(WRONG_MODE[training])
        if told := explain_by_repair(model, inputs, right, kernels, batch_norm, training, called):
            raise Incorrect(told)
        explain_kernels(stages, kernels)
        told = "With the same weights as the course's it gives other numbers."
        raise Incorrect(f"{told} Compare the order of your layers with the task.")
    return name


WRONG_MODE = {  # in training, and at prediction
    True: "In training it does not use the batch's mean and variance. Is training=False set?",
    False: "At prediction it still uses the batch's mean and variance. Do not set training=True.",
}


def explain_by_repair(model, inputs, right, kernels, batch_norm, training, called):
    """Return the change to a model's layers that makes it right, at best the course's own, ""."""

    @functools.cache
    def expected(without):
        """Compute what right models give; those that the weights do not fit are left out."""
        found, stages = {}, stages_of(model, without)
        for name, function in right.items():
            with contextlib.suppress(Exception):
                explain_normalised(stages, kernels, batch_norm)
                found[name] = [numbers(function(x, stages, training)) for x in inputs]
        return found

    found = None
    for sentence, compute_outputs, without in repairs(model, inputs, training, called):
        wanted = expected(tuple(layer for layer in without if getattr(layer, "weights", ())))
        with contextlib.suppress(Exception):  # what the change gives may not fit the next layer
            names = [
                name
                for name, results in wanted.items()
                if all(agree(result, compute_outputs(i)) for i, result in enumerate(results))
            ]
            if "" in names:
                return sentence
            if names:
                found = found or sentence
    return found


def first_fit(right, stages, inputs, given, training):
    """Return the note of the first right model that gives a learner's results for all inputs."""
    for name, function in right.items():
        with contextlib.suppress(Exception):  # weights that do not fit
            if all(map(agree, (function(x, stages, training) for x in inputs), given)):
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

    expected: list of (place, sides that will do or None for any, channels in, filters).
    """
    used = ""
    if len(stages) != len(expected):
        used = f"Layers with kernels in use: {len(stages)}; expected {len(expected)}. Each takes "
        used += "what the one before it returns; a layer whose result nothing takes is not in use. "
    for stage, (place, sides, *channels) in zip(stages, expected, strict=False):
        shape = tuple(stage["kernel"].shape)
        # A transposed convolution's kernel has the filters first.
        if (sides and shape[0] not in sides) or sorted(shape[2:]) != sorted(channels):
            told = f"{used}{place} has a kernel of the shape {shape}; expected "
            told += f"{sides[0]}x{sides[0]}, " if sides else ""
            told += f"from {channels[0]} channels to {channels[1]}."
            if sides and 2 * shape[2] == channels[0] == 2 * channels[1]:
                told += " Is the skip connection left out, added or joined later?"
            raise Incorrect(told)
    if used:
        more = f"{expected[len(stages)][0]} is missing." if len(stages) < len(expected) else ""
        raise Incorrect(f"{used}{more}".rstrip())


def explain_normalised(stages, kernels, batch_norm):
    """Raise Incorrect unless, with batch_norm only, both convolutions of a block are normalised."""
    named = {place: stage for (place, *_), stage in zip(kernels, stages, strict=False)}
    normalised = [place for place, stage in named.items() if "moving_mean" in stage]
    if normalised and not batch_norm:
        raise Incorrect("With batch_norm=False there is still a batch normalisation.")
    if not batch_norm or len(stages) != len(kernels):
        return
    by_image = any("gamma" in stage and "moving_mean" not in stage for stage in stages)
    faults = {
        "Each image is normalised by itself, as layer or instance normalisation does. Batch "
        "normalisation takes mean and variance over the whole batch, per channel.": by_image,
        "Nothing is normalised: layers.BatchNormalization()(x) is missing, nothing takes what it "
        "returns, or batch_norm is not passed on.": not normalised,
    }
    raise_first(faults)
    for place, stage in named.items():
        if place.startswith(("The first", "The second")):
            if place not in normalised:
                raise Incorrect(f"{place} is not normalised; every convolution of a block is.")
            if stage["moving_mean"].shape != stage["kernel"].shape[-1:]:
                raise Incorrect("The normalisation has another axis than the channels: axis=-1.")


def explain_momentum(model):
    """Raise Incorrect when moving averages are too slow for a training run of some hundred steps.

    They follow within 1 / (1 - momentum) batches or so (Ioffe and Szegedy 2015, section 3.1).
    """
    norms = (x for x in flat_layers(model) if isinstance(x, layers.BatchNormalization))
    momentum = max((norm.momentum for norm in norms), default=0)
    if momentum > 0.95:
        told = f"Momentum {momentum} is too slow: moving averages, which prediction uses, follow"
        told += f" within {1 / (1 - momentum):.0f} batches or so; notebook 05 has a few hundred."
        raise Incorrect(f"{told} Write BatchNormalization(momentum=0.9).")


def note_on_biases(stages):
    """Return a note when a convolution has both a bias and a normalisation; raise when neither."""
    if any("bias" not in stage and "beta" not in stage for stage in stages):
        told = "A convolution has no bias, and no normalisation after it whose beta replaces it."
        raise Incorrect(told)
    if any("bias" in stage and "moving_mean" in stage for stage in stages):
        return "The biases of your convolutions do nothing before a normalisation: use_bias=False."
    return None


def note_on_choices(*choices):
    """Return a note on how a right answer differs from the course's, or None if it does not."""
    told = " and ".join(filter(None, choices))
    return f"Yours has {told}. The course's differs there; both are in use." if told else None
