"""Exercise on the encoder block, judged with the weights copied into the course's own."""

import functools

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises import running
from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.running import close, numbers, one_tensor, raise_first, stages_of

CHANNELS, HEIGHT, WIDTH, N_FILTERS = 3, 16, 24, 8  # of most trials


def encoder_model(attempt, image, n_filters, **options):
    """Make a model of a learner's encoder block: image -> [next_layer, skip_connection]."""
    inputs = keras.Input(image)
    value = running.run(attempt, inputs, n_filters, **options)
    if not isinstance(value, tuple | list) or len(value) != 2:
        told = f"It returns {describe(value)}; expected two tensors, next_layer for the level below"
        raise Incorrect(f"{told} and skip_connection for the decoder.")
    outputs = [one_tensor(value[0], "next_layer"), one_tensor(value[1], "skip_connection")]
    try:
        return keras.Model(inputs, outputs)
    except (ValueError, KeyError):
        told = "What it returns is not computed from the tensor it was given."
        raise Incorrect(f"{told} Does it make a keras.Input of its own?") from None


def explain_sizes(model, n_filters):
    """Raise Incorrect when [next_layer, skip_connection] have other shapes than the block's."""
    height, width = model.inputs[0].shape[1:3]
    full, half = (height, width, n_filters), (height // 2, width // 2, n_filters)
    next_layer, skip = (tuple(tensor.shape[1:]) for tensor in model.outputs)
    if (next_layer, skip) == (full, half):
        raise Incorrect("The two are swapped. Return (next_layer, skip_connection).")
    after = "it is taken after the pooling. Take it before; pooling throws positions away."
    running.explain_shape("skip_connection", skip, full, after, "the block does not enlarge.")
    once = "is it pooled twice? The pooling takes 2x2 pixels and steps 2."
    running.explain_shape("next_layer", next_layer, half, once, "max_pooling=True halves nothing.")


def encoded(x, stages, training=False, steps=running.BEFORE):
    """Compute [next_layer, skip_connection] from the weights, and what follows each convolution."""
    first, second = stages  # raises ValueError for any other number of kernels
    x = running.chain(x, [first, second], training, steps)
    return [ops.max_pool(x, 2), x]


RIGHT = {
    name: functools.partial(encoded, steps=steps) for name, steps in running.NORMALISATIONS.items()
}
KERNELS = (
    ("The first convolution", (3,), CHANNELS, N_FILTERS),
    ("The second convolution", (3,), N_FILTERS, N_FILTERS),
)


@running.in_both_ways
def judge_conv_block(attempt, batch_norm):
    image = (HEIGHT, WIDTH, CHANNELS)
    batches = list(np.random.default_rng(1).normal(1, 2, (2, 4, *image)).astype("float32"))
    make = functools.partial(encoder_model, attempt, batch_norm=batch_norm)
    model = make(image, N_FILTERS, dropout_prob=0.0, max_pooling=True)
    running.explain_settings(model)
    explain_sizes(model, N_FILTERS)
    note = note_on_start(model)
    running.fill(model)
    modes = (False, True) if batch_norm else (False,)  # of dropout, the check below tells more
    called = ("next_layer", "skip_connection")
    choice = running.explain_model(model, batches, RIGHT, KERNELS, batch_norm, modes, called)
    running.explain_momentum(model)
    biases = running.note_on_biases(stages_of(model))
    x = batches[0]
    if not batch_norm and not close(numbers(model(x, training=True))[1], numbers(model(x))[1]):
        raise Incorrect("With dropout_prob=0.0 it still gives other numbers in training.")
    bottleneck = make(image, N_FILTERS, dropout_prob=0.0, max_pooling=False)
    if bottleneck.outputs[0].shape[1:3] != (HEIGHT, WIDTH):
        raise Incorrect("With max_pooling=False next_layer is still pooled.")
    if not close(*numbers(bottleneck(x))):
        raise Incorrect("With max_pooling=False the two tensors differ; both are the features.")
    explain_sizes(make((12, 4, 6), 3), 3)  # its defaults
    return note_on_dropout(make) or running.note_on_choices(choice) or biases or note


def note_on_start(model):
    """Return a note when a kernel does not start with He's spread (He et al. 2015, eq. 10)."""
    values = ops.convert_to_numpy(stages_of(model)[-1]["kernel"])
    he = np.sqrt(2 / np.prod(values.shape[:-1]))
    if abs(values.std() / he - 1) < 0.15:
        return None
    told = f"Its weights start with a spread of {values.std():.2f}; He's rule for ReLU layers gives"
    return f'({told} {he:.2f}: kernel_initializer="he_normal".)'


def note_on_dropout(make, rate=0.4):
    """Judge dropout by the zeros it makes of positive values; returns a note on its place."""
    model = make((32, 32, 4), 8, dropout_prob=rate)
    for weight in model.weights:  # all that is normalised becomes beta
        weight.assign(np.full(weight.shape, 0 if weight.name == "gamma" else 0.1))
    ones = np.ones((4, 32, 32, 4), "float32")
    # Called without `training`, which a fixed training=True in the block would show.
    plain_next, plain_skip = numbers(model(ones))
    next_layer, skip = numbers(model(ones, training=True))
    same = close(skip, plain_skip) and close(next_layer, plain_next)
    faults = {
        "Values are dropped at prediction, too. Dropout acts in training only: let Keras pass "
        "`training` on, and do not set it.": 0 in plain_skip or 0 in plain_next,
        f"dropout_prob={rate} changes nothing: in training no value is dropped. "
        "layers.Dropout(dropout_prob)(x) belongs after the second convolution.": same,
    }
    raise_first(faults)
    of_skip, of_next = (skip == 0).mean(), (next_layer == 0).mean()
    share = of_skip if of_skip > 0 else of_next
    if share == 0:
        return "Your dropout lies between the convolutions, as in some U-Nets."
    dropped = f"With dropout_prob={rate} the share {share:.1f} is dropped."
    # Of four values that are dropped one by one, all are so in rate**4 of the cases.
    twice = of_skip and of_next > 2 * rate**4
    keep = f"{dropped} Keras's Dropout takes the share to drop, not the share to keep."
    faults = {
        keep: abs(share - (1 - rate)) < 0.05,
        f"{dropped} Is the rate fixed, or applied twice?": abs(share - rate) > 0.05,
        "Only the skip connection gets dropout. Drop before pooling.": of_skip and not of_next,
        "Values are dropped before the pooling and again after it. Drop once, before it.": twice,
    }
    raise_first(faults)
    if of_skip == 0:
        return "Your dropout lies after the pooling, as in some U-Nets: the skip is spared."
    return None
