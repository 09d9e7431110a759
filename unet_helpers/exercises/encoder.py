"""Exercises on the encoder block, plain and batch-normalised, judged with equal weights."""

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises.exercise import Exercise, Incorrect, describe
from unet_helpers.exercises.running import (
    NORM,
    NORMED,
    PLAIN,
    close,
    explain_settings,
    explain_steps,
    fill,
    find_steps,
    first_fit,
    is_right_without,
    numbers,
    one_tensor,
    raise_first,
    run,
    size,
    stages_of,
)
from unet_helpers.models import blocks

CHANNELS, HEIGHT, WIDTH = 3, 16, 24  # of the image that most trials take


def encoder_model(attempt, image, n_filters, *options):
    """Make a model of a learner's encoder block: image -> [next_layer, skip_connection]."""
    inputs = keras.Input(image)
    value = run(attempt, inputs, n_filters, *options)
    if isinstance(value, keras.KerasTensor):
        raise Incorrect(
            "It returns one tensor; the block returns two, next_layer for the level below and "
            "skip_connection for the decoder."
        )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(
            f"It returns {describe(value)}; expected two tensors, (next_layer, skip_connection)."
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
    (next_layer, skip), height, width = model.outputs, *model.inputs[0].shape[1:3]
    sizes = tuple(next_layer.shape[1:3]), tuple(skip.shape[1:3])
    full, half = (height, width), (height // 2, width // 2)
    channels = [tensor.shape[-1] for tensor in (skip, next_layer)]
    wrong = next((number for number in channels if number != n_filters), n_filters)
    skip_is = f"The skip connection is {size(skip)} instead of {height}x{width}"
    raise_first(
        {
            f"The two are swapped: next_layer is {size(next_layer)} and skip_connection "
            f"{size(skip)}. Return (next_layer, skip_connection).": sizes == (full, half),
            f"{skip_is}: it is taken after the pooling. Take it before; pooling is what throws "
            "positions away.": sizes == (half, half),
            f'{skip_is}: is padding="same" missing? Without it each 3x3 convolution costs 2 '
            "pixels.": sizes[1] != full,
            f"next_layer is {size(next_layer)} instead of {half[0]}x{half[1]}. The pooling takes "
            "2x2 pixels and steps 2.": sizes[0] != half,
            f"It returns {wrong} channels instead of {n_filters=}. Both convolutions have "
            "n_filters filters; the caller doubles them from level to level.": wrong != n_filters,
        }
    )


def explain_kernels(stages, n_filters):
    """Raise Incorrect unless there are two 3x3 kernels of the right number of channels."""
    shapes = [tuple(stage["kernel"].shape) for stage in stages]
    expected = [(3, 3, CHANNELS, n_filters), (3, 3, n_filters, n_filters)]
    raise_first(
        {
            f"Convolutions in use: {len(stages)}. The block has two: the second takes what the "
            "first returns, not `inputs`.": len(stages) != 2,
            f"The kernels have the shapes {shapes}; expected {expected}: 3x3, and the second "
            "convolution takes what the first one returns.": shapes != expected,
        }
    )


def random_images(n_images):
    """Make two different batches of images."""
    shape = (2, n_images, HEIGHT, WIDTH, CHANNELS)
    return list(np.random.default_rng(1).normal(1, 2, shape).astype("float32"))


def max_pooled(x, stages=()):
    return ops.max_pool(x, 2)


POOLINGS = {
    "": max_pooled,
    "takes the mean of each 2x2 block; U-Net takes the largest": lambda x: ops.average_pool(x, 2),
    "is every second pixel; U-Net takes the largest of each 2x2 block": lambda x: x[:, ::2, ::2],
    "takes 3x3 pixels; U-Net's takes 2x2 and steps 2": (
        lambda x: ops.max_pool(x, 3, 2, padding="same")
    ),
}


def explain_block(model, images, stages, expected, choices, training=False):
    """Raise Incorrect where a block does not do what is expected; returns what it does.

    Args:
        model: the learner's encoder block.
        images: list of batches.
        stages: weights of its two convolutions.
        expected: list of steps (see `find_steps`) of blocks that are right.
        choices: what may follow a convolution.
        training: whether to run it in training.
    """

    def run_both(model):
        # Passing training=False would override a training=True that is fixed in the block.
        mode = {"training": True} if training else {}
        return zip(*[numbers(model(image, **mode)) for image in images], strict=True)

    nexts, skips = run_both(model)

    def is_right(other):
        nexts, skips = run_both(other)
        right = find_steps(images, stages, skips, expected[0][:1], training) is not None
        return right and all(map(close, nexts, numbers(list(map(max_pooled, skips)))))

    steps = find_steps(images, stages, skips, choices, training)
    if steps is None:
        if find_steps(images, stages[:1], skips, choices, training):
            raise Incorrect(
                "The skip connection is what comes after the first convolution. It is taken after "
                "the second, right before the pooling."
            )
        if choices is NORMED:
            explain_normalisation(model, images, stages, skips, training)
        if too_many := is_right_without(model, is_right):
            raise Incorrect(f"There is a layer too many: without its {too_many} it is right.")
        raise Incorrect(
            "With the same weights as the course's block it gives other numbers before pooling. "
            "Expected: convolution, "
            + ("batch normalisation over each channel (axis=-1), " if choices is NORMED else "")
            + "ReLU, twice, and nothing else."
        )
    poolings = {told: {"pool": pool} for told, pool in POOLINGS.items()}
    pooling = first_fit(lambda x, stages, pool: pool(x), stages, poolings, skips, nexts)
    if steps not in expected and pooling != "":
        pooled = find_steps(images, stages, nexts, choices, training, after=max_pooled)
        if pooled in expected:
            raise Incorrect(
                "next_layer is right, but the skip connection is taken too early: a step of the "
                "second convolution is missing in it. Take it right before the pooling."
            )
    if steps not in expected:
        explain_steps(steps, choices)
    if pooling is None:
        raise Incorrect(
            "The skip connection is right, but next_layer is not its 2x2 max pooling. Is something "
            "applied to one of the two only, or something else pooled?"
        )
    if pooling:
        raise Incorrect(f"The pooling {pooling}.")
    return steps


def judge_conv_block(attempt):
    n_filters = 8
    model = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters, 0.0, True)
    explain_settings(model)
    explain_sizes(model, n_filters)
    stages = stages_of(model)
    explain_kernels(stages, n_filters)
    raise_first(
        {
            "A convolution has no bias. Only a batch normalisation could replace it.": (
                any("bias" not in stage for stage in stages)
            ),
            "There are more parameters than two kernels and two biases. Batch normalisation is "
            "the next exercise; this block is the paper's.": len(model.weights) > 4,
        }
    )
    note = note_on_start(stages[1]["kernel"])
    fill(model)
    images = random_images(2)
    explain_block(model, images, stages, [(("ReLU",), ("ReLU",))], PLAIN)
    if not close(numbers(model(images[0], training=True))[1], numbers(model(images[0]))[1]):
        raise Incorrect(
            "With dropout_prob=0.0 the block still gives other numbers in training. Nothing should "
            "be dropped then."
        )

    bottleneck = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters, 0.0, False)
    if bottleneck.outputs[0].shape[1:3] != (HEIGHT, WIDTH):
        raise Incorrect(
            f"With max_pooling=False next_layer is {size(bottleneck.outputs[0])} instead of "
            f"{HEIGHT}x{WIDTH}: it is still pooled. The bottleneck has nothing below it."
        )
    if not close(*numbers(bottleneck(images[0]))):
        raise Incorrect("With max_pooling=False the two tensors differ; both are the features.")
    explain_sizes(encoder_model(attempt, (12, 4, 6), 3, 0.0, True), 3)
    return note_on_dropout(attempt) or note


def note_on_start(kernel):
    """Return a note when a kernel does not start with He's spread (He et al. 2015, eq. 10)."""
    values = ops.convert_to_numpy(kernel)
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
            "Values are dropped from the skip connection alone, or before the pooling and again "
            "after it; once, before the pooling, is right.": (
                of_skip and (not of_next or of_next > 2 * rate**4)
            ),
        }
    )
    if of_skip == 0:
        return (
            "Your dropout lies after the pooling, so the skip connection is spared; a choice that "
            "some U-Nets make. The course's default drops in both."
        )
    return None


conv_block_exercise = Exercise(
    "conv_block", judge_conv_block, blocks.conv_block, shown=(blocks.convolution, blocks.conv_block)
)


# ---------------------------------------------------------------- the batch-normalised block

BEFORE, AFTER = ((NORM, "ReLU"),) * 2, (("ReLU", NORM),) * 2


def normalised_block(inputs, n_filters):
    """Apply the course's encoder block with batch normalisation."""
    return blocks.conv_block(inputs, n_filters, batch_norm=True)


def judge_normalised_block(attempt):
    n_filters = 6
    model = encoder_model(attempt, (HEIGHT, WIDTH, CHANNELS), n_filters)
    explain_settings(model)
    explain_sizes(model, n_filters)
    stages = stages_of(model)
    explain_kernels(stages, n_filters)
    fill(model)
    images = random_images(4)
    for training in (False, True):
        steps = explain_block(model, images, stages, [BEFORE, AFTER], NORMED, training)
    if steps == AFTER:
        return (
            "You normalise after the ReLU. The paper of batch normalisation, and this course, do "
            "it before; both are in use."
        )
    if any("bias" in stage for stage in stages):
        return (
            "The biases of your convolutions do nothing: the normalisation subtracts them again. "
            "use_bias=False saves them."
        )
    return None


def explain_normalisation(model, images, stages, skips, training):
    """Raise Incorrect when a block uses its normalisations in a wrong way."""
    if len(model.weights[0].shape) == 1:
        raise Incorrect(
            "A normalisation comes before the first convolution. The order is convolution, "
            "normalisation, ReLU."
        )
    if find_steps(images, stages, skips, NORMED, not training):
        raise Incorrect(
            "In training it does not use the batch's mean and variance. Is training=False set? "
            "Leave it to Keras to pass it on."
            if training
            else "At prediction it still normalises with the batch's own mean, so an image's mask "
            "would depend on its neighbours in the batch. Do not set training=True; Keras passes "
            "it on."
        )
    shared = [stages[0], {**stages[0], **stages[1]}]
    if "gamma" not in stages[1] and find_steps(images, shared, skips, NORMED, training):
        raise Incorrect(
            "One BatchNormalization layer is called twice, so both convolutions share its weights "
            "and its mean. Make a new layer for each."
        )
    alone = numbers(model(images[0][:1], training=True))[1]
    together = numbers(model(images[0], training=True))[1]
    moving = any("moving_mean" in stage for stage in stages)
    if not moving and close(alone, together[:1]):
        raise Incorrect(
            "Each image is normalised by itself, as layer or instance normalisation does. Batch "
            "normalisation takes mean and variance over the whole batch, per channel."
        )


normalised_block_exercise = Exercise(
    "normalised_block",
    judge_normalised_block,
    normalised_block,
    shown=(blocks.convolution, blocks.conv_block),
)
