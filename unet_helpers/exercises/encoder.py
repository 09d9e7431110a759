"""Exercises on the encoder block, plain and batch-normalised, judged with equal weights."""

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises.exercise import Exercise, Incorrect
from unet_helpers.exercises.running import (
    chain,
    close,
    explain_activations,
    fill,
    numbers,
    size,
    two_tensors,
    weights_of,
)
from unet_helpers.models import blocks

# ---------------------------------------------------------------- conv_block


def conv_block_model(attempt, image, n_filters, *options):
    """Make a model of a learner's encoder block: image -> [next_layer, skip_connection]."""
    inputs = keras.Input(image)
    outputs = list(two_tensors(attempt(inputs, n_filters, *options)))
    try:
        return keras.Model(inputs, outputs)
    except (ValueError, KeyError):
        raise Incorrect(
            "What it returns is not computed from the tensor it was given. Does it make a "
            "keras.Input of its own?"
        ) from None


def explain_sizes(model, n_filters):
    """Raise Incorrect when [next_layer, skip_connection] have other shapes than the block's."""
    next_layer, skip = model.outputs
    height, width = model.inputs[0].shape[1:3]
    full, half = (height, width), (height // 2, width // 2)
    sizes = tuple(next_layer.shape[1:3]), tuple(skip.shape[1:3])
    if sizes == (full, half):
        raise Incorrect(
            f"The two are swapped: next_layer is {size(next_layer)} and skip_connection "
            f"{size(skip)}. Return (next_layer, skip_connection), the pooled one first."
        )
    if sizes[1] == half:
        raise Incorrect(
            f"The skip connection is {size(skip)} instead of {height}x{width}: it is taken after "
            "the pooling. Take it before; pooling is what throws positions away."
        )
    if sizes[1] in ((height - 4, width - 4), (height - 2, width - 2)):
        raise Incorrect(
            f"The skip connection is {size(skip)} instead of {height}x{width}: is "
            'padding="same" missing? Without it each 3x3 convolution costs 2 pixels.'
        )
    if sizes[1] != full:
        raise Incorrect(f"The skip connection is {size(skip)} instead of {height}x{width}.")
    if sizes[0] == full:
        raise Incorrect(
            f"next_layer is {size(next_layer)}, as large as the input. With max_pooling=True it "
            "is halved."
        )
    if sizes[0] != half:
        raise Incorrect(
            f"next_layer is {size(next_layer)} instead of {half[0]}x{half[1]}. The pooling takes "
            "2x2 pixels and steps 2."
        )
    explain_channels(skip, n_filters, "The skip connection")
    explain_channels(next_layer, n_filters, "next_layer")


def explain_channels(tensor, n_filters, what):
    """Raise Incorrect when a tensor has not n_filters channels."""
    channels = tensor.shape[-1]
    if channels == 2 * n_filters:
        raise Incorrect(
            f"{what} has {channels} channels instead of {n_filters}. Both convolutions have "
            "n_filters filters; doubling them from level to level is the caller's business."
        )
    if channels != n_filters:
        raise Incorrect(
            f"{what} has {channels} channels instead of n_filters={n_filters}. Is the argument "
            "used in both convolutions?"
        )


def explain_kernels(kernels, channels, n_filters):
    """Raise Incorrect unless there are two 3x3 kernels of the right number of channels."""
    if not kernels:
        raise Incorrect("There is no convolution in the block.")
    if len(kernels) == 1:
        raise Incorrect("There is one convolution; the block has two, one after the other.")
    if len(kernels) > 2:
        raise Incorrect(f"There are {len(kernels)} convolutions; the block has two.")
    for kernel, inputs in zip(kernels, (channels, n_filters), strict=True):
        if tuple(kernel.shape[:2]) != (3, 3):
            raise Incorrect(
                f"A kernel is {kernel.shape[0]}x{kernel.shape[1]}; U-Net's convolutions are 3x3."
            )
        if tuple(kernel.shape[2:]) != (inputs, n_filters):
            raise Incorrect(
                f"A kernel takes {kernel.shape[2]} channels and gives {kernel.shape[3]}; expected "
                f"{inputs} and {n_filters}. Does the second convolution take what the first one "
                "gives?"
            )


def judge_conv_block(attempt):
    channels, n_filters = 3, 8
    model = conv_block_model(attempt, (16, 24, channels), n_filters, 0.0, True)
    explain_sizes(model, n_filters)
    kernels, biases = weights_of(model)
    explain_kernels(kernels, channels, n_filters)
    if len(biases) < 2:
        raise Incorrect(
            "A convolution has no bias. It may be left out where batch normalisation follows, "
            "which subtracts it; here nothing would replace it."
        )
    if len(biases) > 2:
        raise Incorrect(
            "There are more parameters than two kernels and two biases. Batch normalisation is "
            "the next exercise; this block is the paper's."
        )
    note = note_on_start(kernels[1])

    fill(model)
    reference = conv_block_model(blocks.conv_block, (16, 24, channels), n_filters, 0.0, True)
    reference.set_weights([part for pair in zip(kernels, biases, strict=True) for part in pair])
    image = np.random.default_rng(1).normal(size=(2, 16, 24, channels)).astype("float32")
    compare_block(model, reference, image, list(zip(kernels, biases, strict=True)))
    if not close(numbers(model(image, training=True))[1], numbers(model(image))[1]):
        raise Incorrect(
            "With dropout_prob=0.0 the block still gives other numbers in training. Nothing should "
            "be dropped then."
        )

    bottleneck = conv_block_model(attempt, (16, 24, channels), n_filters, 0.0, False)
    if bottleneck.outputs[0].shape[1:3] != (16, 24):
        raise Incorrect(
            f"With max_pooling=False next_layer is {size(bottleneck.outputs[0])} instead of 16x24: "
            "it is still pooled. The bottleneck has nothing below it."
        )
    for image_size, filters in (((8, 8, 1), 5), ((12, 4, 6), 3)):
        explain_sizes(conv_block_model(attempt, image_size, filters, 0.0, True), filters)
    odd = conv_block_model(attempt, (9, 7, 3), 2, 0.0, True).outputs[0]
    if tuple(odd.shape[1:3]) not in ((4, 3), (5, 4)):
        raise Incorrect(f"A 9x7 image is pooled to {size(odd)}; expected 4x3.")
    return note_on_dropout(attempt) or note


def compare_block(model, reference, image, weights):
    """Raise Incorrect where a block with the reference's weights gives other numbers."""
    given_next, given_skip = numbers(model(image))
    right_next, right_skip = numbers(reference(image))
    if not close(given_skip, right_skip):
        explain_activations(image, weights, given_skip)
        first = numbers(chain(image, weights[:1], ("ReLU",)))
        if close(given_skip, first):
            raise Incorrect(
                "The skip connection is what comes after the first convolution. It is taken after "
                "the second, right before the pooling."
            )
        raise Incorrect(
            "With the same weights as the course's block it gives other numbers before pooling. "
            "Expected: convolution, ReLU, convolution, ReLU, and nothing else."
        )
    if not close(given_next, right_next):
        average = numbers(ops.average_pool(right_skip, 2))
        if close(given_next, average):
            raise Incorrect(
                "The pooling takes the mean of each 2x2 block; U-Net takes the largest."
            )
        if close(given_next, right_skip[:, ::2, ::2]):
            raise Incorrect(
                "next_layer is every second pixel. Max pooling takes the largest of each 2x2 block."
            )
        once = numbers(ops.max_pool(chain(image, weights[:1], ("ReLU",)), 2))
        if close(given_next, once):
            raise Incorrect("What is pooled is the first convolution's output, not the second's.")
        raise Incorrect("The skip connection is right, but next_layer is not its 2x2 max pooling.")


def note_on_start(kernel):
    """Give a note when a kernel does not start with He's spread (He et al. 2015, eq. 10)."""
    values = ops.convert_to_numpy(kernel)
    he = np.sqrt(2 / np.prod(values.shape[:-1]))
    if abs(values.std() / he - 1) < 0.15:
        return None
    return (
        f"(Its weights start with a spread of {values.std():.2f}; He's rule for ReLU layers gives "
        f'{he:.2f}: kernel_initializer="he_normal".)'
    )


def note_on_dropout(attempt, rate=0.4):
    """Judge dropout by the zeros it makes of positive values; gives a note on where it lies."""
    model = conv_block_model(attempt, (32, 32, 4), 8, rate, True)
    kernels, biases = weights_of(model)
    for weight in kernels + biases:
        weight.assign(np.full(weight.shape, 0.1))
    ones = np.ones((4, 32, 32, 4), "float32")
    # Called without `training`, which a fixed training=True in the block would show.
    plain_next, plain_skip = numbers(model(ones))
    next_layer, skip = numbers(model(ones, training=True))
    if (plain_skip == 0).any() or (plain_next == 0).any():
        raise Incorrect(
            "Values are dropped at prediction, too. Dropout acts in training only: let Keras pass "
            "`training` on, and do not set it."
        )
    if close(skip, plain_skip) and close(next_layer, plain_next):
        raise Incorrect(
            f"dropout_prob={rate} changes nothing: in training no value is dropped. "
            "layers.Dropout(dropout_prob)(x) belongs after the second convolution."
        )
    of_skip, of_next = (skip == 0).mean(), (next_layer == 0).mean()
    share = of_skip if of_skip > 0 else of_next
    if share == 0:
        return (
            "Your dropout lies between the convolutions; some published U-Nets have it there. The "
            "course drops at the end of the block."
        )
    if abs(share - (1 - rate)) < 0.05:
        raise Incorrect(
            f"With dropout_prob={rate} the share {share:.1f} is dropped. Keras's Dropout takes the "
            "share to drop, not the share to keep."
        )
    if abs(share - rate) > 0.05:
        raise Incorrect(
            f"With dropout_prob={rate} the share {share:.1f} is dropped. Is the rate fixed, or "
            "applied twice?"
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


def normalised_block(inputs, n_filters):
    """Apply the course's encoder block with batch normalisation."""
    return blocks.conv_block(inputs, n_filters, batch_norm=True)


def normalise(x):
    """Batch-normalise with the batch's own mean and variance, Keras's epsilon."""
    mean, variance = ops.moments(x, axes=(0, 1, 2), keepdims=True)
    return (x - mean) / ops.sqrt(variance + 1e-3)


def judge_normalised_block(attempt):
    channels, n_filters = 3, 6
    model = conv_block_model(attempt, (16, 24, channels), n_filters)
    explain_sizes(model, n_filters)
    kernels, vectors = weights_of(model)
    explain_kernels(kernels, channels, n_filters)
    random = np.random.default_rng(0)
    for kernel in kernels:
        kernel.assign(random.normal(0, 0.3, kernel.shape))
    image = random.normal(2.0, 3.0, size=(4, 16, 24, channels)).astype("float32")

    # A fresh normalisation leaves things as they are at prediction: mean 0, variance 1.
    predicted = numbers(model(image))[1]
    trained = numbers(model(image, training=True))[1]

    def block(first, second):
        x = first(ops.conv(image, kernels[0], padding="same"))
        return numbers(second(ops.conv(x, kernels[1], padding="same")))

    def bn_relu(x):
        return ops.relu(normalise(x))

    def relu_bn(x):
        return normalise(ops.relu(x))

    right = block(bn_relu, bn_relu)
    plain = block(ops.relu, ops.relu)
    if alike(predicted, right) or alike(predicted, block(relu_bn, relu_bn)):
        raise Incorrect(
            "At prediction it still normalises with the batch's own mean, so an image's mask "
            "would depend on its neighbours in the batch. Do not set training=True; Keras passes "
            "it on."
        )
    if alike(trained, plain) and len(vectors) > 2:
        raise Incorrect(
            "In training it does not use the batch's mean and variance. Is training=False set? "
            "Leave it to Keras to pass it on."
        )
    if alike(trained, plain):
        raise Incorrect("Nothing is normalised: layers.BatchNormalization()(x) is missing.")
    if alike(trained, right):
        judge_pooling(model, image)
        if any("bias" in vector.path.split("/")[-1] for vector in vectors):
            return (
                "The biases of your convolutions do nothing: the normalisation subtracts them "
                "again. use_bias=False saves them."
            )
        return None
    if alike(trained, block(relu_bn, relu_bn)):
        judge_pooling(model, image)
        return (
            "You normalise after the ReLU. The paper of batch normalisation, and this course, do "
            "it before; both are in use."
        )
    wrong = [
        (block(bn_relu, ops.relu), "Only the first convolution is normalised; both should be."),
        (block(ops.relu, bn_relu), "Only the second convolution is normalised; both should be."),
        (block(relu_bn, ops.relu), "Only the first convolution is normalised; both should be."),
        (block(ops.relu, relu_bn), "Only the second convolution is normalised; both should be."),
        (
            block(normalise, normalise),
            "It normalises, but there is no ReLU: convolution, normalisation, ReLU, twice.",
        ),
        (
            block(normalise, bn_relu),
            "The first ReLU is missing: convolution, normalisation, ReLU, twice.",
        ),
        (
            block(bn_relu, normalise),
            "The second ReLU is missing: convolution, normalisation, ReLU, twice.",
        ),
    ]
    for numbers_of_mistake, sentence in wrong:
        if alike(trained, numbers_of_mistake):
            raise Incorrect(sentence)
    alone = numbers(model(image[:1], training=True))[1]
    if close(alone, trained[:1]):
        raise Incorrect(
            "Each image is normalised by itself, as layer or instance normalisation does. Batch "
            "normalisation takes mean and variance over the whole batch, per channel."
        )
    raise Incorrect(
        "In training it gives other numbers than convolution, batch normalisation over each "
        "channel (axis=-1), ReLU, twice."
    )


def judge_pooling(model, image):
    """Raise Incorrect unless next_layer is the 2x2 max pooling of the skip connection."""
    next_layer, skip = numbers(model(image, training=True))
    if not close(next_layer, numbers(ops.max_pool(skip, 2))):
        raise Incorrect(
            "next_layer is not the 2x2 max pooling of the skip connection. Is something applied to "
            "one of the two only?"
        )


def alike(a, b):
    """Tell whether two arrays agree up to the small epsilon that normalisations differ in."""
    return a.shape == b.shape and np.allclose(a, b, rtol=2e-2, atol=2e-2)


normalised_block_exercise = Exercise(
    "normalised_block",
    judge_normalised_block,
    normalised_block,
    shown=(blocks.convolution, blocks.conv_block),
)
