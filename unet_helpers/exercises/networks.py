"""Exercises on U-Net's blocks and the whole network, judged with the same weights in both."""

import keras
import numpy as np
from keras import layers, ops

from unet_helpers import blocks, models
from unet_helpers.exercises.exercise import Exercise, NotYet, as_array, compare, describe

# ---------------------------------------------------------------- running a learner's block


def one_tensor(value, what):
    """Take a Keras tensor; raises NotYet for anything else, above all an uncalled layer."""
    if isinstance(value, layers.Layer):
        raise NotYet(
            f"{what} is {describe(value)} itself. Call it on a tensor: "
            f"layers.{type(value).__name__}(...)(x)."
        )
    if not isinstance(value, keras.KerasTensor):
        raise NotYet(f"{what} is {describe(value)}; expected a tensor that comes out of layers.")
    return value


def two_tensors(value):
    """Take (next_layer, skip_connection); raises NotYet unless there are two tensors."""
    if isinstance(value, keras.KerasTensor):
        raise NotYet(
            "It returns one tensor; the block gives two: next_layer, for the level below, and "
            "skip_connection, for the decoder."
        )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise NotYet(
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

    Raises NotYet when some are found that are not ReLU twice; returns None when none fit.
    """
    for first in ACTIVATIONS:
        for second in ACTIVATIONS:
            if not close(numbers(chain(x, weights, (first, second))), given):
                continue
            if first == second == "no activation":
                raise NotYet(
                    "No convolution has an activation. Without a ReLU between them two "
                    "convolutions are no more than one."
                )
            which = {(False, True): "The first", (True, False): "The second"}.get(
                (first == "ReLU", second == "ReLU"), "Each"
            )
            name = first if first != "ReLU" else second
            raise NotYet(f"{which} convolution is followed by {name}; U-Net has a ReLU after each.")


# ---------------------------------------------------------------- conv_block


def conv_block_model(attempt, picture, n_filters, *options):
    """Make a model of a learner's encoder block: picture -> [next_layer, skip_connection]."""
    inputs = keras.Input(picture)
    return keras.Model(inputs, list(two_tensors(attempt(inputs, n_filters, *options))))


def explain_sizes(model, n_filters):
    """Raise NotYet when the shapes of [next_layer, skip_connection] are not those of the block."""
    next_layer, skip = model.outputs
    height, width = model.inputs[0].shape[1:3]
    full, half = (height, width), (height // 2, width // 2)
    sizes = tuple(next_layer.shape[1:3]), tuple(skip.shape[1:3])
    if sizes == (full, half):
        raise NotYet(
            f"The two are swapped: next_layer is {size(next_layer)} and skip_connection "
            f"{size(skip)}. Return (next_layer, skip_connection), the pooled one first."
        )
    if sizes[1] == half:
        raise NotYet(
            f"The skip connection is {size(skip)} instead of {height}x{width}: it is taken after "
            "the pooling. Take it before; pooling is what throws positions away."
        )
    if sizes[1] in ((height - 4, width - 4), (height - 2, width - 2)):
        raise NotYet(
            f"The skip connection is {size(skip)} instead of {height}x{width}: is "
            'padding="same" missing? Without it each 3x3 convolution costs 2 pixels.'
        )
    if sizes[1] != full:
        raise NotYet(f"The skip connection is {size(skip)} instead of {height}x{width}.")
    if sizes[0] == full:
        raise NotYet(
            f"next_layer is {size(next_layer)}, as large as the input. With max_pooling=True it "
            "is halved."
        )
    if sizes[0] != half:
        raise NotYet(
            f"next_layer is {size(next_layer)} instead of {half[0]}x{half[1]}. The pooling takes "
            "2x2 pixels and steps 2."
        )
    explain_channels(skip, n_filters, "The skip connection")
    explain_channels(next_layer, n_filters, "next_layer")


def explain_channels(tensor, n_filters, what):
    """Raise NotYet when a tensor has not n_filters channels."""
    channels = tensor.shape[-1]
    if channels == 2 * n_filters:
        raise NotYet(
            f"{what} has {channels} channels instead of {n_filters}. Both convolutions have "
            "n_filters filters; doubling them from level to level is the caller's business."
        )
    if channels != n_filters:
        raise NotYet(
            f"{what} has {channels} channels instead of n_filters={n_filters}. Is the argument "
            "used in both convolutions?"
        )


def explain_kernels(kernels, channels, n_filters):
    """Raise NotYet unless there are two 3x3 kernels of the right number of channels."""
    if not kernels:
        raise NotYet("There is no convolution in the block.")
    if len(kernels) == 1:
        raise NotYet("There is one convolution; the block has two, one after the other.")
    if len(kernels) > 2:
        raise NotYet(f"There are {len(kernels)} convolutions; the block has two.")
    for kernel, inputs in zip(kernels, (channels, n_filters), strict=True):
        if tuple(kernel.shape[:2]) != (3, 3):
            raise NotYet(
                f"A kernel is {kernel.shape[0]}x{kernel.shape[1]}; U-Net's convolutions are 3x3."
            )
        if tuple(kernel.shape[2:]) != (inputs, n_filters):
            raise NotYet(
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
        raise NotYet(
            "A convolution has no bias. It may be left out where batch normalisation follows, "
            "which subtracts it; here nothing would replace it."
        )
    if len(biases) > 2:
        raise NotYet(
            "There are more parameters than two kernels and two biases. Batch normalisation is "
            "the next exercise; this block is the paper's."
        )
    note = note_on_start(kernels[1])

    fill(model)
    reference = conv_block_model(blocks.conv_block, (16, 24, channels), n_filters, 0.0, True)
    reference.set_weights([part for pair in zip(kernels, biases, strict=True) for part in pair])
    picture = np.random.default_rng(1).normal(size=(2, 16, 24, channels)).astype("float32")
    compare_block(model, reference, picture, list(zip(kernels, biases, strict=True)))
    if not close(numbers(model(picture, training=True))[1], numbers(model(picture))[1]):
        raise NotYet(
            "With dropout_prob=0.0 the block still gives other numbers in training. Nothing should "
            "be dropped then."
        )

    bottleneck = conv_block_model(attempt, (16, 24, channels), n_filters, 0.0, False)
    if bottleneck.outputs[0].shape[1:3] != (16, 24):
        raise NotYet(
            f"With max_pooling=False next_layer is {size(bottleneck.outputs[0])} instead of 16x24: "
            "it is still pooled. The bottleneck has nothing below it."
        )
    for picture_size, filters in (((8, 8, 1), 5), ((12, 4, 6), 3)):
        explain_sizes(conv_block_model(attempt, picture_size, filters, 0.0, True), filters)
    odd = conv_block_model(attempt, (9, 7, 3), 2, 0.0, True).outputs[0]
    if tuple(odd.shape[1:3]) not in ((4, 3), (5, 4)):
        raise NotYet(f"A 9x7 picture is pooled to {size(odd)}; expected 4x3.")
    return note_on_dropout(attempt) or note


def compare_block(model, reference, picture, weights):
    """Raise NotYet where a block with the reference's weights gives other numbers."""
    given_next, given_skip = numbers(model(picture))
    right_next, right_skip = numbers(reference(picture))
    if not close(given_skip, right_skip):
        explain_activations(picture, weights, given_skip)
        first = numbers(chain(picture, weights[:1], ("ReLU",)))
        if close(given_skip, first):
            raise NotYet(
                "The skip connection is what comes after the first convolution. It is taken after "
                "the second, right before the pooling."
            )
        raise NotYet(
            "With the same weights as the course's block it gives other numbers before pooling. "
            "Expected: convolution, ReLU, convolution, ReLU, and nothing else."
        )
    if not close(given_next, right_next):
        average = numbers(ops.average_pool(right_skip, 2))
        if close(given_next, average):
            raise NotYet("The pooling takes the mean of each 2x2 block; U-Net takes the largest.")
        if close(given_next, right_skip[:, ::2, ::2]):
            raise NotYet(
                "next_layer is every second pixel. Max pooling takes the largest of each 2x2 block."
            )
        once = numbers(ops.max_pool(chain(picture, weights[:1], ("ReLU",)), 2))
        if close(given_next, once):
            raise NotYet("What is pooled is the first convolution's output, not the second's.")
        raise NotYet("The skip connection is right, but next_layer is not its 2x2 max pooling.")


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
        raise NotYet(
            "Values are dropped at prediction, too. Dropout acts in training only: let Keras pass "
            "`training` on, and do not set it."
        )
    if close(skip, plain_skip) and close(next_layer, plain_next):
        raise NotYet(
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
        raise NotYet(
            f"With dropout_prob={rate} the share {share:.1f} is dropped. Keras's Dropout takes the "
            "share to drop, not the share to keep."
        )
    if abs(share - rate) > 0.05:
        raise NotYet(
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
    judge_conv_block,
    blocks.conv_block,
    task="Write the encoder block: two 3x3 convolutions with ReLU and padding that keeps the size, "
    "dropout of the share dropout_prob, then 2x2 max pooling unless max_pooling is False. Return "
    "(next_layer, skip_connection).",
    call="my_conv_block(inputs, n_filters, dropout_prob, max_pooling)",
    minutes=15,
    hints=(
        "Begin with `x = layers.Conv2D(n_filters, 3, ...)(inputs)`. What must stand in the dots so "
        "that the picture keeps its size, and that negative values are cut off?",
        'padding="same", activation="relu", kernel_initializer="he_normal", twice. The decoder '
        "wants the features before pooling, the next level those after it.",
        "After both convolutions: dropout if dropout_prob > 0; skip_connection = x; next_layer = "
        "layers.MaxPooling2D(2)(x) if max_pooling else x; return next_layer, skip_connection.",
    ),
    shown=(blocks.convolution, blocks.conv_block),
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
    picture = random.normal(2.0, 3.0, size=(4, 16, 24, channels)).astype("float32")

    # A fresh normalisation leaves things as they are at prediction: mean 0, variance 1.
    predicted = numbers(model(picture))[1]
    trained = numbers(model(picture, training=True))[1]

    def block(first, second):
        x = first(ops.conv(picture, kernels[0], padding="same"))
        return numbers(second(ops.conv(x, kernels[1], padding="same")))

    def bn_relu(x):
        return ops.relu(normalise(x))

    def relu_bn(x):
        return normalise(ops.relu(x))

    right = block(bn_relu, bn_relu)
    plain = block(ops.relu, ops.relu)
    if alike(predicted, right) or alike(predicted, block(relu_bn, relu_bn)):
        raise NotYet(
            "At prediction it still normalises with the batch's own mean, so a picture's mask "
            "would depend on its neighbours in the batch. Do not set training=True; Keras passes "
            "it on."
        )
    if alike(trained, plain) and len(vectors) > 2:
        raise NotYet(
            "In training it does not use the batch's mean and variance. Is training=False set? "
            "Leave it to Keras to pass it on."
        )
    if alike(trained, plain):
        raise NotYet("Nothing is normalised: layers.BatchNormalization()(x) is missing.")
    if alike(trained, right):
        judge_pooling(model, picture)
        if any("bias" in vector.path.split("/")[-1] for vector in vectors):
            return (
                "The biases of your convolutions do nothing: the normalisation subtracts them "
                "again. use_bias=False saves them."
            )
        return None
    if alike(trained, block(relu_bn, relu_bn)):
        judge_pooling(model, picture)
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
            raise NotYet(sentence)
    alone = numbers(model(picture[:1], training=True))[1]
    if close(alone, trained[:1]):
        raise NotYet(
            "Each picture is normalised by itself, as layer or instance normalisation does. Batch "
            "normalisation takes mean and variance over the whole batch, per channel."
        )
    raise NotYet(
        "In training it gives other numbers than convolution, batch normalisation over each "
        "channel (axis=-1), ReLU, twice."
    )


def judge_pooling(model, picture):
    """Raise NotYet unless next_layer is the 2x2 max pooling of the skip connection."""
    next_layer, skip = numbers(model(picture, training=True))
    if not close(next_layer, numbers(ops.max_pool(skip, 2))):
        raise NotYet(
            "next_layer is not the 2x2 max pooling of the skip connection. Is something applied to "
            "one of the two only?"
        )


def alike(a, b):
    """Tell whether two arrays agree up to the small epsilon that normalisations differ in."""
    return a.shape == b.shape and np.allclose(a, b, rtol=2e-2, atol=2e-2)


normalised_block_exercise = Exercise(
    judge_normalised_block,
    normalised_block,
    task="Write the encoder block with batch normalisation: convolution, normalisation, ReLU, "
    "twice; then 2x2 max pooling. Return (next_layer, skip_connection).",
    call="my_normalised_block(inputs, n_filters)",
    minutes=10,
    hints=(
        "The ReLU can no longer be the convolution's `activation`: the normalisation comes in "
        "between, so it becomes a layer of its own.",
        'layers.Conv2D(n_filters, 3, padding="same", use_bias=False), layers.BatchNormalization(), '
        "layers.ReLU(), and the same again.",
        "Say nothing about `training`: Keras tells the normalisation whether it is fitting or "
        "predicting. Return layers.MaxPooling2D(2)(x), x.",
    ),
    shown=(blocks.convolution, blocks.conv_block),
)


# ---------------------------------------------------------------- upsampling_block


def upsampling_model(attempt, below, skip, n_filters):
    """Make a model of a learner's decoder block: [below, skip] -> features."""
    inputs = [keras.Input(below), keras.Input(skip)]
    output = attempt(inputs[0], inputs[1], n_filters)
    return keras.Model(inputs, one_tensor(output, "What it returns"))


def judge_upsampling_block(attempt):
    height, width, channels, skip_channels, n_filters = 6, 8, 10, 5, 4
    model = upsampling_model(
        attempt, (height, width, channels), (2 * height, 2 * width, skip_channels), n_filters
    )
    explain_decoder_size(model.outputs[0], height, width, n_filters)
    fill(model)
    random = np.random.default_rng(2)
    below = random.normal(size=(2, height, width, channels)).astype("float32")
    skip = random.normal(size=(2, 2 * height, 2 * width, skip_channels)).astype("float32")
    given = numbers(model([below, skip]))
    if close(given, numbers(model([below, skip + 1]))):
        raise NotYet(
            "The skip connection has no influence on the result. It is concatenated with the "
            "enlarged features before the convolutions."
        )
    if close(given, numbers(model([below + 1, skip]))):
        raise NotYet("The features from below have no influence on the result.")

    kernels, biases = weights_of(model)
    explain_decoder_kernels(kernels, channels, skip_channels, n_filters)
    if len(biases) != 3:
        raise NotYet(
            f"There are {len(biases)} vectors of parameters; expected three biases, of the "
            "transposed convolution and the two convolutions."
        )
    if not close(given, numbers(model([below, skip], training=True))):
        raise NotYet("In training it gives other numbers; nothing here depends on training.")
    note = compare_decoder(given, below, skip, kernels, biases)
    for sizes in (((3, 5, 2), (6, 10, 7), 3), ((1, 1, 8), (2, 2, 1), 6)):
        other = upsampling_model(attempt, *sizes)
        explain_decoder_size(other.outputs[0], *sizes[0][:2], sizes[2])
    return note


def explain_decoder_size(output, height, width, n_filters):
    """Raise NotYet when a decoder block's output has the wrong shape."""
    expected = f"{2 * height}x{2 * width}"
    if tuple(output.shape[1:3]) == (height, width):
        raise NotYet(
            f"The result is {size(output)}, as large as the features from below, instead of "
            f"{expected}: is strides=2 missing in the transposed convolution?"
        )
    if tuple(output.shape[1:3]) in (
        (2 * height - 4, 2 * width - 4),
        (2 * height - 3, 2 * width - 3),
        (2 * height - 2, 2 * width - 2),
    ):
        raise NotYet(
            f'The result is {size(output)} instead of {expected}: is padding="same" missing?'
        )
    if tuple(output.shape[1:3]) != (2 * height, 2 * width):
        raise NotYet(
            f"The result is {size(output)} instead of {expected}. The features from below are "
            "doubled once, and joined along the channels (the last axis)."
        )
    if output.shape[-1] != n_filters:
        raise NotYet(
            f"The result has {output.shape[-1]} channels instead of n_filters={n_filters}: do the "
            "convolutions come after the join, with n_filters filters each?"
        )


def explain_decoder_kernels(kernels, channels, skip_channels, n_filters):
    """Raise NotYet unless a decoder block has one enlarging and two more kernels that fit."""
    if len(kernels) < 3:
        raise NotYet(
            f"There are {len(kernels)} layers with kernels; the block has three: a transposed "
            "convolution, and two convolutions after the join."
        )
    if len(kernels) > 3:
        raise NotYet(
            f"There are {len(kernels)} layers with kernels; the block has three: a transposed "
            "convolution, and two convolutions after the join."
        )
    joined = kernels[1].shape[2]
    if joined == n_filters and channels != n_filters:
        raise NotYet(
            "The enlarged features and the skip connection are added. U-Net concatenates them, so "
            "that the next convolution can weigh each by itself."
        )
    if channels in kernels[0].shape[2:] and n_filters not in kernels[0].shape[2:]:
        raise NotYet(
            f"The transposed convolution turns {channels} channels into another number than "
            f"n_filters={n_filters}; all three layers have n_filters filters."
        )
    if joined != n_filters + skip_channels:
        raise NotYet(
            f"The first convolution takes {joined} channels; expected {n_filters} from below and "
            f"{skip_channels} from the skip connection."
        )
    for kernel in kernels[1:]:
        if tuple(kernel.shape[:2]) != (3, 3):
            raise NotYet(
                f"A kernel is {kernel.shape[0]}x{kernel.shape[1]}; U-Net's convolutions are 3x3."
            )


def compare_decoder(given, below, skip, kernels, biases):
    """Compare with all decoder blocks that are right; gives a note, or raises NotYet."""
    weights = list(zip(kernels[1:], biases[1:], strict=True))
    enlarged = ways_to_enlarge(below, kernels[0], biases[0])
    for name, up in enlarged:
        for order, join in (
            ("", ops.concatenate([up, skip], -1)),
            ("the skip connection first", ops.concatenate([skip, up], -1)),
        ):
            if close(given, numbers(chain(join, weights, ("ReLU", "ReLU")))):
                found = [part for part in (name, order) if part]
                if not found:
                    return None
                return (
                    f"Yours has {' and '.join(found)}; the course's own block does not, but that "
                    "is a matter of taste."
                )
    for _, up in enlarged:
        for join in (ops.concatenate([up, skip], -1), ops.concatenate([skip, up], -1)):
            explain_activations(join, weights, given)
    raise NotYet(
        "With the same weights as the course's block it gives other numbers. Expected: transposed "
        "convolution, concatenate, convolution, ReLU, convolution, ReLU."
    )


def ways_to_enlarge(below, kernel, bias):
    """List (what a learner chose, enlarged features) for all ways to enlarge that are right."""
    if kernel.shape[3] == below.shape[-1]:  # (side, side, out, in): a transposed convolution
        up = ops.conv_transpose(below, kernel, strides=2, padding="same") + bias
        side = "" if kernel.shape[0] == 3 else f"a kernel of {kernel.shape[0]} to enlarge"
        relu = "a ReLU right after enlarging"
        return [(side, up), (f"{side} and {relu}" if side else relu, ops.relu(up))]
    ways = []
    for interpolation in ("nearest", "bilinear"):
        larger = layers.UpSampling2D(2, interpolation=interpolation)(below)
        up = ops.conv(larger, kernel, padding="same") + bias
        name = f"{interpolation} upsampling and a convolution"
        ways += [(name, up), (f"{name} with ReLU", ops.relu(up))]
    return ways


upsampling_block_exercise = Exercise(
    judge_upsampling_block,
    blocks.upsampling_block,
    task="Write the decoder block: a 3x3 transposed convolution with stride 2, concatenation with "
    "the skip connection, two 3x3 convolutions with ReLU; n_filters filters each.",
    call="my_upsampling_block(expansive_input, contractive_input, n_filters)",
    minutes=15,
    hints=(
        "Three steps: enlarge what comes from below, join it with what comes from the side, and "
        "mix the two by convolutions.",
        'layers.Conv2DTranspose(n_filters, 3, strides=2, padding="same") enlarges; '
        "layers.Concatenate() joins along the channels.",
        "up = Conv2DTranspose(...)(expansive_input); x = Concatenate()([up, contractive_input]); "
        'then twice Conv2D(n_filters, 3, padding="same", activation="relu").',
    ),
    shown=(blocks.upsampling_block, blocks.join, blocks.convolution),
)


# ---------------------------------------------------------------- crop


def crop_with(before, features, target):
    """Crop as `blocks.crop_to` does, with another rule for the pixels that go before."""
    rows, columns = (
        slice(before(have, want), before(have, want) + want)
        for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
    )
    return features[:, rows, columns]


def centre_crop(features, target):
    """Crop with the course's function, which the network uses for tensors."""
    return blocks.crop_to(ops.convert_to_tensor(features), target)


def judge_centre_crop(attempt):
    random = np.random.default_rng(3)
    cases = [
        (
            random.normal(size=(1, *larger, 2)).astype("float32"),
            np.zeros((1, *smaller, 3), "float32"),
        )
        for larger, smaller in [
            ((8, 10), (4, 6)),
            ((9, 7), (4, 4)),
            ((6, 6), (6, 2)),
            ((5, 5), (5, 5)),
        ]
    ]
    rounded_up = [crop_with(lambda n, m: (n - m + 1) // 2, *case) for case in cases]
    answers = [as_array(attempt(*case)) for case in cases]
    if all(np.array_equal(a, b) for a, b in zip(answers, rounded_up, strict=True)):
        return (
            "Where an odd number of pixels goes, yours takes the extra one before, the course's "
            "after: nobody can say which is the centre."
        )
    mistakes = [
        (
            lambda x, t: crop_with(lambda n, m: 0, x, t),
            "The upper left corner is kept, not the centre: half of what goes belongs before, "
            "half after.",
        ),
        (
            lambda x, t: crop_with(lambda n, m: n - m, x, t),
            "The lower right corner is kept, not the centre.",
        ),
        (
            cut_twice,
            "As many pixels are cut off on each side as should go altogether: halve them.",
        ),
        (
            lambda x, t: numbers(ops.image.resize(x, t.shape[1:3])),
            "The picture is resized. A crop keeps the pixels of the centre as they are.",
        ),
        (
            lambda x, t: numbers(ops.image.resize(x, t.shape[1:3], interpolation="nearest")),
            "The picture is resized. A crop keeps the pixels of the centre as they are.",
        ),
        (
            cut_with_minus_zero,
            "It comes out empty where nothing is to be cut off: x[a:-0] is x[a:0]. Count from the "
            "front, x[a : a + size].",
        ),
        (
            crop_rows,
            "Only the rows are cropped; columns as well.",
        ),
        (
            lambda x, t: t,
            "The target comes back. It only says how large the result is; the pixels are those of "
            "features.",
        ),
        (
            lambda x, t: crop_with(lambda n, m: (n - m) // 2, x, t.swapaxes(1, 2)),
            "Height and width are swapped. Axis 1 is the height, axis 2 the width; axis 0 is the "
            "batch.",
        ),
        (
            lambda x, t: x,
            "Nothing is cropped.",
        ),
    ]
    compare(
        attempt,
        cases,
        lambda x, t: numbers(centre_crop(x, t)),
        mistakes,
        lambda x, t: f"features {x.shape} and a target {t.shape}",
        convert=as_array,
    )
    return None


def cut_with_minus_zero(features, target):
    """Crop with negative ends, which fails where nothing is to be cut off."""
    a, b = ((n - m) // 2 for n, m in zip(features.shape[1:3], target.shape[1:3], strict=True))
    c, d = ((n - m + 1) // 2 for n, m in zip(features.shape[1:3], target.shape[1:3], strict=True))
    return features[:, a:-c, b:-d]


def cut_twice(features, target):
    """Cut off on each side as much as should go altogether."""
    rows, columns = (
        slice(have - want, want)
        for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
    )
    return features[:, rows, columns]


def crop_rows(features, target):
    """Crop the rows only."""
    first = (features.shape[1] - target.shape[1]) // 2
    return features[:, first : first + target.shape[1]]


centre_crop_exercise = Exercise(
    judge_centre_crop,
    centre_crop,
    task="Cut the border off features (batch, H, W, channels) so that the centre with the height "
    "and width of target remains. Where target is as large, everything stays.",
    call="my_centre_crop(features, target)",
    minutes=10,
    hints=(
        "How many rows go altogether, and how many of them above?",
        "first = (height - target height) // 2 rows go above; the result runs from first to first "
        "+ target height. The same for columns.",
        "Write the end as first + target.shape[1], not as a negative number: with nothing to cut "
        "off, x[0:-0] is empty.",
    ),
    shown=(blocks.crop_to,),
)


# ---------------------------------------------------------------- unet_model


def run(model, pictures):
    """Run a learner's model, whether functional or subclassed; returns an array."""
    try:
        return numbers(model(pictures, training=False))
    except Exception as error:
        raise NotYet(
            f"The model cannot be run on pictures {pictures.shape} ({type(error).__name__})."
        ) from None


def judge_unet_model(attempt):
    n_filters, n_classes, picture = 4, 5, (32, 48, 3)
    model = built(attempt, picture, n_filters, n_classes)
    pictures = np.random.default_rng(4).uniform(0, 255, (1, *picture)).astype("float32")
    explain_logits(run(model, pictures), picture, n_filters, n_classes)

    fill(model)
    logits = run(model, pictures)
    explain_last_activation(logits)
    note, reference = find_variant(model, picture, n_filters, n_classes)
    copy_weights(model, reference)
    explain_numbers(logits, reference, pictures)
    small = (16, 16, 1)
    other = built(attempt, small, 2, 3)
    explain_logits(run(other, np.zeros((2, *small), "float32")), small, 2, 3)
    return note or note_on_precision(attempt, picture, n_filters, n_classes)


def built(attempt, picture, n_filters, n_classes):
    """Let a learner build a model; adds the likely cause where a join fails."""
    try:
        model = attempt(picture, n_filters, n_classes)
    except NotYet as error:
        if "oncat" in str(error) or "skip connection" in str(error):
            raise NotYet(
                f"{error} Are the skips in the right order of depth? The last encoder block's goes "
                "to the first decoder block, and it is the second tensor that conv_block returns."
            ) from None
        raise
    if isinstance(model, keras.KerasTensor):
        raise NotYet(
            "It returns the last tensor. Make a model of it: keras.Model(inputs, outputs)."
        )
    if not isinstance(model, keras.Model):
        raise NotYet(f"It returns {describe(model)}; expected a keras.Model.")
    return model


def explain_logits(logits, picture, n_filters, n_classes):
    """Raise NotYet when a network's output has the wrong shape."""
    height, width = picture[:2]
    if logits.ndim != 4:
        raise NotYet(
            f"The output has the shape {logits.shape}; expected (batch, {height}, {width}, "
            f"{n_classes}): no Flatten and no Dense, they forget where things are."
        )
    if logits.shape[1:3] != (height, width):
        raise NotYet(
            f"The output is {logits.shape[1]}x{logits.shape[2]} for a picture of {height}x{width}. "
            "Four encoder blocks halve it four times, so four decoder blocks must double it."
        )
    if logits.shape[-1] == n_filters != n_classes:
        raise NotYet(
            f"The output has {n_filters} channels, the features of the last decoder block. A 1x1 "
            "convolution with n_classes filters turns them into logits."
        )
    if logits.shape[-1] != n_classes:
        raise NotYet(
            f"The output has {logits.shape[-1]} channels instead of n_classes={n_classes}."
        )


def explain_last_activation(logits):
    """Raise NotYet when the outputs are not logits."""
    if np.allclose(logits.sum(-1), 1, atol=1e-3) and (logits >= 0).all():
        raise NotYet(
            "The outputs of a pixel sum to one: there is a softmax at the end. The loss applies it "
            "itself (from_logits=True), so the network ends in logits."
        )
    if ((logits > 0) & (logits < 1)).all():
        raise NotYet(
            "All outputs lie between 0 and 1: there is a sigmoid at the end. The network ends in "
            "logits; the loss does the rest."
        )
    if (logits >= 0).all():
        raise NotYet(
            "No output is negative: there is a ReLU at the end. Logits have both signs, or no "
            "class could ever be unlikely."
        )


VARIANTS = {
    "": {},
    "no extra convolution before the last layer, as the paper": {"extra_convolution": False},
    "batch normalisation": {"batch_norm": True},
    "batch normalisation and no extra convolution": {
        "batch_norm": True,
        "extra_convolution": False,
    },
    "2x2 transposed convolutions, as the paper": {"up_kernel_size": 2},
    "2x2 transposed convolutions and no extra convolution, as the paper": {
        "up_kernel_size": 2,
        "extra_convolution": False,
    },
    "a 3x3 convolution as last layer": {"last_kernel_size": 3},
    "a 3x3 convolution as last layer and none before it": {
        "last_kernel_size": 3,
        "extra_convolution": False,
    },
}


def find_variant(model, picture, n_filters, n_classes):
    """Find the U-Net whose kernels a learner's model has: (note or None, that U-Net).

    Raises NotYet, with the likely cause, when there is none.
    """
    shapes = sorted(tuple(kernel.shape) for kernel in weights_of(model)[0])
    for name, options in VARIANTS.items():
        reference = models.unet_model(picture, n_filters, n_classes, **options)
        if shapes == sorted(tuple(kernel.shape) for kernel in weights_of(reference)[0]):
            note = f"Yours has {name}, a choice that is as good." if name else None
            return note, reference
    f = n_filters
    widths = {shape[3] for shape in shapes}
    if widths <= {f, n_classes}:
        raise NotYet(
            f"All blocks have {f} filters. They double with every level down: f, 2f, 4f, 8f, and "
            "16f in the bottleneck; and halve on the way up."
        )
    if 16 * f not in widths and 8 * f in widths:
        raise NotYet(
            "The bottleneck is missing or has too few filters: below the four encoder blocks lies "
            "one block of 16 n_filters without pooling."
        )
    if 16 * f not in widths:
        raise NotYet(
            f"The widest layer has {max(widths)} filters; with four levels below {f} it is the "
            f"bottleneck's {16 * f}."
        )
    joined = {shape[2] for shape in shapes if shape[3] == f}
    if 2 * f not in joined or (3, 3, 16 * f, 8 * f) not in shapes:
        raise NotYet(
            "The first convolution of a decoder block takes too few channels: no skip connection "
            "is joined there."
        )
    raise NotYet(
        f"It has {len(shapes)} layers with kernels, and not those of U-Net: two in each of four "
        "encoder blocks and in the bottleneck, three in each of four decoder blocks, and the last."
    )


def copy_weights(model, reference):
    """Copy a model's kernels and vectors into the reference, in their order of depth."""
    for here, there in zip(weights_of(model), weights_of(reference), strict=True):
        if [tuple(w.shape) for w in here] != [tuple(w.shape) for w in there]:
            raise NotYet(
                "It has U-Net's kernels, but in another order or with other biases, so it cannot "
                "be compared. Build it from the top: encoder, bottleneck, decoder."
            )
        for source, target in zip(here, there, strict=True):
            target.assign(source)


def explain_numbers(logits, reference, pictures):
    """Raise NotYet when a network with the reference's weights gives other logits."""
    if close_logits(logits, run(reference, pictures)):
        return
    if close_logits(logits, run(reference, 255 * pictures)):
        raise NotYet(
            "The picture goes in as it is, 0 to 255. The course's networks divide by 255 in their "
            "first layer: layers.Rescaling(1 / 255)."
        )
    if close_logits(logits, run(reference, pictures / 255)):
        raise NotYet("The picture is divided by 255 twice; once is right.")
    raise NotYet(
        "With the same weights as the course's U-Net it gives other logits. Does each decoder "
        "block get the result of the one before, and the skip connection of its own level?"
    )


def close_logits(a, b):
    """Tell whether two networks agree to rounding, measured against the size of the logits."""
    return np.abs(a - b).max() <= 1e-3 * max(1e-6, np.abs(b).max())


def note_on_precision(attempt, picture, n_filters, n_classes):
    """Give a note when the logits would not be float32 in half precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        dtype = attempt(picture, n_filters, n_classes).outputs[0].dtype
    except (NotYet, AttributeError):  # a subclassed model has no outputs to look at
        return None
    finally:
        keras.config.set_dtype_policy(policy)
    if dtype == "float32":
        return None
    return (
        f'In half precision your logits would be {dtype}: give the last layer dtype="float32", or '
        "the loss becomes coarse."
    )


unet_model_exercise = Exercise(
    judge_unet_model,
    models.unet_model,
    task="Assemble U-Net: divide by 255, four encoder blocks of n_filters, 2, 4 and 8 n_filters, a "
    "bottleneck of 16, four decoder blocks, and a 1x1 convolution that gives logits. Return a "
    "keras.Model.",
    call="my_unet_model(input_size, n_filters, n_classes)",
    minutes=20,
    hints=(
        "Begin with inputs = keras.Input(input_size) and end with keras.Model(inputs, logits). In "
        "between `x` runs through everything, and every encoder block leaves a skip behind.",
        "x, skip1 = conv_block(x, n_filters) and so on down; the bottleneck has "
        "max_pooling=False; x = upsampling_block(x, skip4, 8 * n_filters) and so on up.",
        "First layer: layers.Rescaling(1 / 255). Last layer: layers.Conv2D(n_classes, 1, "
        'dtype="float32") without activation. The deepest skip goes to the first decoder block.',
    ),
    shown=(models.unet_model, models.logits_layer),
)
