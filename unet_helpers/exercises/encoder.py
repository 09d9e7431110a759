"""Exercises on the encoder block, plain and batch-normalised, judged with equal weights."""

import functools

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.running import (
    chain,
    close,
    explain_kernels,
    explain_model,
    explain_settings,
    explain_shape,
    fill,
    first_fit,
    normalise,
    numbers,
    one_tensor,
    raise_first,
    run,
    stages_of,
)
from unet_helpers.models.blocks import conv_block

CHANNELS, HEIGHT, WIDTH = 3, 16, 24  # of the image that most trials take


def encoder_model(attempt, image, n_filters, *options):
    """Make a model of a learner's encoder block: image -> [next_layer, skip_connection]."""
    inputs = keras.Input(image)
    value = run(attempt, inputs, n_filters, *options)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(
            f"It returns {describe(value)}; expected two tensors, next_layer for the level below "
            "and skip_connection for the decoder."
        )
    outputs = [one_tensor(value[0], "next_layer"), one_tensor(value[1], "skip_connection")]
    try:
        return keras.Model(inputs, outputs)
    except (ValueError, KeyError):
        raise Incorrect(
            "What it returns is not computed from the tensor it was given. Does it make a "
            "keras.Input of its own?"
        ) from None


def explain_sizes(model, n_filters):
    """Raise Incorrect when [next_layer, skip_connection] have other shapes than the block's."""
    height, width = model.inputs[0].shape[1:3]
    full, half = (height, width, n_filters), (height // 2, width // 2, n_filters)
    next_layer, skip = (tuple(tensor.shape[1:]) for tensor in model.outputs)
    if (next_layer, skip) == (full, half):
        raise Incorrect("The two are swapped. Return (next_layer, skip_connection).")
    after = "it is taken after the pooling. Take it before; pooling throws positions away."
    explain_shape("skip_connection", skip, full, after, "the block does not enlarge.")
    once = "is it pooled twice? The pooling takes 2x2 pixels and steps 2."
    explain_shape("next_layer", next_layer, half, once, "max_pooling=True, but nothing is halved.")


def encoded(x, stages, steps, training=False):
    """Compute [next_layer, skip_connection] from the weights, and what follows each convolution."""
    for stage, of_stage in zip(stages, steps, strict=True):
        x = chain(x, [stage], of_stage, training)
    return [ops.max_pool(x, 2), x]


def with_steps(right, training):
    """Make functions for `explain_model` from a dict of the steps after each convolution."""
    return {
        name: functools.partial(encoded, steps=steps, training=training)
        for name, steps in right.items()
    }


def compare_block(model, n_filters, right, training=False):
    """Compare a block with right ones; returns the name, or None when nobody knows the mistake."""
    called = ("next_layer", "skip_connection")
    functions = with_steps(right, training)
    name = explain_model(model, images(), functions, training=training, called=called)
    expected = [
        ("The first convolution", (3,), CHANNELS, n_filters),
        ("The second convolution", (3,), n_filters, n_filters),
    ]
    explain_kernels(stages_of(model), expected)
    return name


def images():
    """Make two different batches of images."""
    shape = (2, 4, HEIGHT, WIDTH, CHANNELS)
    return list(np.random.default_rng(1).normal(1, 2, shape).astype("float32"))


def judge_conv_block(attempt):
    n_filters = 8
    model = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters, 0.0, True)
    explain_settings(model)
    explain_sizes(model, n_filters)
    note = note_on_start(model)
    fill(model)
    if compare_block(model, n_filters, {"": ((ops.relu,),) * 2}) is None:
        raise Incorrect(
            "With the same weights as the course's block it gives other numbers. Expected: "
            "convolution, ReLU, twice, and nothing else before the pooling."
        )
    if any("bias" not in stage for stage in stages_of(model)):
        raise Incorrect("A convolution has no bias. Only a batch normalisation could replace it.")
    image = images()[0]
    if not close(numbers(model(image, training=True))[1], numbers(model(image))[1]):
        raise Incorrect(
            "With dropout_prob=0.0 the block still gives other numbers in training. Nothing should "
            "be dropped then."
        )
    bottleneck = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters, 0.0, False)
    if bottleneck.outputs[0].shape[1:3] != (HEIGHT, WIDTH):
        raise Incorrect(
            "With max_pooling=False next_layer is still pooled. Below the bottleneck is nothing."
        )
    if not close(*numbers(bottleneck(image))):
        raise Incorrect("With max_pooling=False the two tensors differ; both are the features.")
    explain_sizes(encoder_model(attempt, (12, 4, 6), 3, 0.0, True), 3)
    return note_on_dropout(attempt) or note


def note_on_start(model):
    """Return a note when a kernel does not start with He's spread (He et al. 2015, eq. 10)."""
    values = ops.convert_to_numpy(stages_of(model)[-1]["kernel"])
    he = np.sqrt(2 / np.prod(values.shape[:-1]))
    if abs(values.std() / he - 1) < 0.15:
        return None
    return (
        f"(Its weights start with a spread of {values.std():.2f}; He's rule for ReLU layers gives "
        f'{he:.2f}: kernel_initializer="he_normal".)'
    )


def note_on_dropout(attempt, rate=0.4):
    """Judge dropout by the zeros it makes of positive values; returns a note on its place."""
    model = encoder_model(attempt, (32, 32, 4), 8, rate, True)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 0.1))
    ones = np.ones((4, 32, 32, 4), "float32")
    # Called without `training`, which a fixed training=True in the block would show.
    plain_next, plain_skip = numbers(model(ones))
    next_layer, skip = numbers(model(ones, training=True))
    raise_first(
        {
            "Values are dropped at prediction, too. Dropout acts in training only: let Keras pass "
            "`training` on, and do not set it.": (plain_skip == 0).any() or (plain_next == 0).any(),
            f"dropout_prob={rate} changes nothing: in training no value is dropped. "
            "layers.Dropout(dropout_prob)(x) belongs after the second convolution.": (
                close(skip, plain_skip) and close(next_layer, plain_next)
            ),
        }
    )
    of_skip, of_next = (skip == 0).mean(), (next_layer == 0).mean()
    share = of_skip if of_skip > 0 else of_next
    if share == 0:
        return (
            "Your dropout lies between the convolutions; some published U-Nets have it there. The "
            "course drops at the end of the block."
        )
    dropped = f"With dropout_prob={rate} the share {share:.1f} is dropped."
    # Of four values that are dropped one by one, all are so in rate**4 of the cases.
    raise_first(
        {
            f"{dropped} Keras's Dropout takes the share to drop, not the share to keep.": (
                abs(share - (1 - rate)) < 0.05
            ),
            f"{dropped} Is the rate fixed, or applied twice?": abs(share - rate) > 0.05,
            "Values are dropped from the skip connection alone; before the pooling is right.": (
                of_skip and not of_next
            ),
            "Values are dropped before the pooling and again after it; once, before it, is "
            "right.": of_skip and of_next > 2 * rate**4,
        }
    )
    if of_skip == 0:
        return (
            "Your dropout lies after the pooling, so the skip connection is spared; a choice that "
            "some U-Nets make. The course's default drops in both."
        )
    return None


# ---------------------------------------------------------------- the batch-normalised block

BEFORE, AFTER = (normalise, ops.relu), (ops.relu, normalise)
RIGHT = {
    "": (BEFORE, BEFORE),
    "You normalise after the ReLU. The paper of batch normalisation, and this course, do it "
    "before; both are in use.": (AFTER, AFTER),
    "You normalise after the first ReLU and before the second; the course does it before both.": (
        AFTER,
        BEFORE,
    ),
    "You normalise before the first ReLU and after the second; the course does it before both.": (
        BEFORE,
        AFTER,
    ),
}


def normalised_block(inputs, n_filters):
    """Apply the course's encoder block with batch normalisation."""
    return conv_block(inputs, n_filters, batch_norm=True)


def judge_normalised_block(attempt):
    n_filters = 6
    model = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters)
    explain_settings(model)
    explain_sizes(model, n_filters)
    if len(model.weights[0].shape) == 1:
        raise Incorrect(
            "A normalisation comes before the first convolution. The order is convolution, "
            "normalisation, ReLU."
        )
    fill(model)
    for training in (False, True):
        note = compare_block(model, n_filters, RIGHT, training)
        if note is None:
            explain_normalisation(model, n_filters, training)
    if not note and any("bias" in stage for stage in stages_of(model)):
        return (
            "The biases of your convolutions do nothing: the normalisation subtracts them again. "
            "use_bias=False saves them."
        )
    return note


def explain_normalisation(model, n_filters, training):
    """Raise Incorrect with what is wrong in the normalisations of a block."""
    stages = stages_of(model)
    first, second = ("moving_mean" in stage for stage in stages)
    raise_first(
        {
            "Each image is normalised by itself, as layer or instance normalisation does. Batch "
            "normalisation takes mean and variance over the whole batch, per channel.": (
                not first and not second and "gamma" in stages[0]
            ),
            "Nothing is normalised: layers.BatchNormalization()(x) is missing.": (
                not first and not second
            ),
            f"Only the {'first' if first else 'second'} convolution is normalised; both should "
            "be.": first != second,
            "The normalisation is over another axis than the channels: axis=-1, the default.": (
                first
                and second
                and any(stage["moving_mean"].shape != (n_filters,) for stage in stages)
            ),
        }
    )
    given = [numbers(model(x, training=True) if training else model(x)) for x in images()]
    other_mode = first_fit(with_steps(RIGHT, not training), stages, images(), given)
    raise_first(
        {
            "In training it does not use the batch's mean and variance. Is training=False set? "
            "Leave it to Keras to pass it on.": other_mode is not None and training,
            "At prediction it still normalises with the batch's own mean, so an image's mask would "
            "depend on its neighbours in the batch. Do not set training=True; Keras passes it "
            "on.": other_mode is not None,
            "With the same weights as the course's block it gives other numbers. Expected: "
            "convolution, batch normalisation, ReLU, twice, and nothing else before the "
            "pooling.": True,
        }
    )
