"""The checks of the exercises on blocks and U-Net: other right answers pass, mistakes are named.

All answers are written here as a learner would write them.
"""

import functools

import keras
import pytest
from keras import layers, ops

from unet_helpers import exercises, models

SAME = dict(padding="same", kernel_initializer="he_normal")
RELU = dict(activation="relu", **SAME)
BatchNorm = functools.partial(layers.BatchNormalization, momentum=0.9)


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- conv_block


def encoder(
    between=lambda x: x,
    after=lambda x, p: layers.Dropout(p)(x) if p else x,
    pool=lambda x: layers.MaxPooling2D(2)(x),
    first=RELU,
    second=RELU,
    result=lambda pooled, x: (pooled, x),
):
    """Make an encoder block with parts of it exchanged."""

    def my_conv_block(inputs, n_filters, dropout_prob, max_pooling):
        x = between(layers.Conv2D(n_filters, **{"kernel_size": 3, **first})(inputs))
        x = after(layers.Conv2D(n_filters, 3, **second)(x), dropout_prob)
        return result(pool(x) if max_pooling else x, x)

    return my_conv_block


def with_activation_layers(x_in, filters, rate, pooling):
    x = layers.Activation("relu")(layers.Conv2D(filters, (3, 3), **SAME)(x_in))
    x = layers.ReLU()(layers.Conv2D(filters, 3, strides=1, **SAME)(x))
    x = layers.Dropout(rate)(x)
    return (layers.MaxPool2D()(x), x) if pooling else (x, x)


def with_operations(inputs, n_filters, dropout_prob, max_pooling):
    x = ops.relu(layers.Conv2D(n_filters, 3, **SAME)(inputs))
    x = ops.maximum(layers.Conv2D(n_filters, 3, **SAME)(x), 0)
    skip = layers.Dropout(dropout_prob)(x)
    return [ops.max_pool(skip, 2) if max_pooling else skip, skip]


class Block(layers.Layer):
    def __init__(self, n_filters, rate):
        super().__init__()
        self.first = layers.Conv2D(n_filters, 3, **RELU)
        self.second = layers.Conv2D(n_filters, 3, **RELU)
        self.drop = layers.Dropout(rate)

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.first.filters))

    def call(self, x, training=None):
        return self.drop(self.second(self.first(x)), training=training)


def subclassed(inputs, n_filters, dropout_prob, max_pooling):
    x = Block(n_filters, dropout_prob)(inputs)
    return layers.MaxPooling2D()(x) if max_pooling else x, x


def nested_model(inputs, n_filters, dropout_prob, max_pooling):
    inner = keras.Sequential(
        [layers.Conv2D(n_filters, 3, **RELU), layers.Conv2D(n_filters, 3, **RELU)]
    )
    x = layers.Dropout(dropout_prob)(inner(inputs))
    return (layers.MaxPooling2D(2, padding="same")(x) if max_pooling else x), x


def with_normalised(plain=None, normalised=None):
    """Make an encoder block of its plain and its normalised version."""

    def my_conv_block(inputs, n_filters=32, dropout_prob=0.0, max_pooling=True, batch_norm=False):
        version = (normalised or normalised_encoder()) if batch_norm else (plain or encoder())
        return version(inputs, n_filters, dropout_prob, max_pooling)

    return my_conv_block


@pytest.mark.parametrize(
    "answer", [with_activation_layers, with_operations, subclassed, nested_model]
)
def test_conv_block_in_other_words(answer):
    assert verdict("conv_block", with_normalised(answer)) == (True, "right.")


def glorot_start(inputs, n_filters, dropout_prob, max_pooling):
    plain = dict(activation="relu", padding="same")
    return encoder(first=plain, second=plain)(inputs, n_filters, dropout_prob, max_pooling)


def dropout_after_pooling(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    x = layers.Conv2D(n_filters, 3, **RELU)(x)
    pooled = layers.MaxPooling2D(2)(x) if max_pooling else x
    return layers.Dropout(dropout_prob)(pooled), x


def dropout_between(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    x = layers.Conv2D(n_filters, 3, **RELU)(layers.Dropout(dropout_prob)(x))
    return layers.MaxPooling2D(2)(x) if max_pooling else x, x


@pytest.mark.parametrize(
    "answer, note",
    [
        (dropout_after_pooling, "after the pooling"),
        (dropout_between, "between the convolutions"),
        (glorot_start, "he_normal"),
    ],
)
def test_conv_block_says_which_conventions_it_accepts(answer, note):
    passed, sentence = verdict("conv_block", with_normalised(answer))
    assert passed and note in sentence


def one_convolution(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Dropout(dropout_prob)(layers.Conv2D(n_filters, 3, **RELU)(inputs))
    return layers.MaxPooling2D(2)(x) if max_pooling else x, x


def doubled(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    x = layers.Conv2D(2 * n_filters, 3, **RELU)(x)
    return layers.MaxPooling2D(2)(x), x


def always_pools(inputs, n_filters, dropout_prob, max_pooling):
    return encoder()(inputs, n_filters, dropout_prob, True)


def one_layer_for_both(inputs, n_filters, dropout_prob, max_pooling):
    convolve = layers.Conv2D(n_filters, 3, **RELU)
    x = convolve(convolve(inputs))
    return layers.MaxPooling2D(2)(x) if max_pooling else x, x


def residual(inputs, n_filters, dropout_prob, max_pooling):
    first = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    x = layers.Add()([first, layers.Conv2D(n_filters, 3, **RELU)(first)])
    return layers.MaxPooling2D(2)(x) if max_pooling else x, x


def dropped_twice(inputs, n_filters, dropout_prob, max_pooling):
    pooled, x = encoder()(inputs, n_filters, dropout_prob, max_pooling)
    return layers.Dropout(dropout_prob)(pooled), x


def skip_before_relu(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    skip = layers.Conv2D(n_filters, 3, **SAME)(x)
    x = layers.ReLU()(skip)
    return layers.MaxPooling2D(2)(x) if max_pooling else x, skip


def forgot_to_call(inputs, n_filters, dropout_prob, max_pooling):
    x = layers.Conv2D(n_filters, 3, **RELU)
    return layers.MaxPooling2D(2), x


def nested_without_relu(inputs, n_filters, dropout_prob, max_pooling):
    inner = keras.Sequential(
        [layers.Conv2D(n_filters, 3, **RELU), layers.Conv2D(n_filters, 3, **SAME)]
    )
    x = layers.Dropout(dropout_prob)(inner(inputs))
    return layers.MaxPooling2D(2)(x) if max_pooling else x, x


def pools_the_first(inputs, n_filters, dropout_prob, max_pooling):
    first = layers.Conv2D(n_filters, 3, **RELU)(inputs)
    x = layers.Conv2D(n_filters, 3, **RELU)(first)
    return layers.MaxPooling2D(2)(first) if max_pooling else x, x


def always_normalises(inputs, n_filters, dropout_prob, max_pooling):
    return normalised_encoder()(inputs, n_filters, dropout_prob, max_pooling)


LINEAR = SAME

CONV_BLOCK_MISTAKES = [
    (one_convolution, "in use: 1; expected 2. Each takes what the one before it returns"),
    (one_layer_for_both, "One layer object is called twice"),
    (residual, "without the Add it is right"),
    (dropped_twice, "before the pooling and again after it"),
    (encoder(between=layers.LeakyReLU(), first=SAME), "in place of the LeakyReLU"),
    (
        skip_before_relu,
        "skip_connection is the result of the second Conv2D; with the result of the ReLU",
    ),
    (encoder(second={**RELU, "strides": 2}), "A convolution has strides=(2, 2)"),
    (encoder(first=dict(activation="relu"), second=dict(activation="relu")), "12x20 instead of"),
    (encoder(second=dict(activation="relu")), 'padding="same" missing'),
    (encoder(first=LINEAR, second=LINEAR), "With a ReLU after all 3x3 Conv2D layers it is right"),
    (encoder(first={**RELU, "activation": "tanh"}), "in place of tanh after the first Conv2D"),
    (encoder(result=lambda pooled, x: (x, pooled)), "The two are swapped"),
    (encoder(result=lambda pooled, x: (pooled, pooled)), "taken after the pooling"),
    (encoder(result=lambda pooled, x: pooled), "expected two tensors, next_layer"),
    (encoder(pool=lambda x: x), "16x24 instead of 8x12"),
    (encoder(pool=layers.AveragePooling2D(2)), "in place of the AveragePooling2D it is right"),
    (encoder(pool=lambda x: layers.MaxPooling2D(4)(x)), "4x6 instead of 8x12"),
    (encoder(after=lambda x, p: x), "changes nothing"),
    (encoder(after=lambda x, p: layers.Dropout(1 - p if p else 0)(x)), "share to keep"),
    (encoder(after=lambda x, p: layers.Dropout(0.2 if p else 0)(x)), "Is the rate fixed"),
    (encoder(after=lambda x, p: layers.Dropout(0.3)(x)), "still gives other numbers in training"),
    (
        encoder(after=lambda x, p: layers.Dropout(p)(x, training=True)),
        "dropped at prediction, too",
    ),
    (encoder(second={**RELU, "use_bias": False}), "no bias"),
    (encoder(between=lambda x: BatchNorm()(x)), "there is still a batch norm"),
    (doubled, "16 channels instead of 8, the filters of its last convolution"),
    (always_pools, "still pooled"),
    (forgot_to_call, "Call it on a tensor"),
    (nested_without_relu, "With a ReLU after the second Conv2D it is right"),
    (
        pools_the_first,
        "MaxPooling2D takes the result of the first Conv2D; with the result of the se",
    ),
    (
        encoder(result=lambda pooled, x: (pooled, layers.Conv2D(8, 1)(x))),
        "without the third Conv2D it is right",
    ),
    (always_normalises, "With batch_norm=False there is still a batch normalisation"),
    (encoder(first={**RELU, "kernel_size": 5}), "has a kernel of the shape (5, 5, 3, 8)"),
    (encoder(pool=layers.GlobalMaxPooling2D()), "has the shape (None, 8); expected (batch, height"),
]


@pytest.mark.parametrize("answer, told", CONV_BLOCK_MISTAKES)
def test_mistakes_in_conv_block(answer, told):
    passed, sentence = verdict("conv_block", with_normalised(answer))
    assert not passed and told in sentence, sentence


# ---------------------------------------------------------------- conv_block, normalised


def normalised_encoder(
    first=lambda x: layers.ReLU()(BatchNorm()(x)),
    second=lambda x: layers.ReLU()(BatchNorm()(x)),
    bias=False,
    after=lambda x, p: layers.Dropout(p)(x) if p else x,
    result=lambda pooled, x: (pooled, x),
):
    def normalised(inputs, n_filters, dropout_prob=0.0, max_pooling=True):
        x = first(layers.Conv2D(n_filters, 3, use_bias=bias, **SAME)(inputs))
        x = second(layers.Conv2D(n_filters, 3, use_bias=bias, **SAME)(x))
        x = after(x, dropout_prob)
        return result(layers.MaxPooling2D(2)(x) if max_pooling else x, x)

    return normalised


def bn_relu(x, **options):
    return ops.relu(BatchNorm(**options)(x))


def relu_bn(x):
    return BatchNorm()(ops.relu(x))


class Frozen(layers.Layer):
    """Normalises with the moving averages, in training too."""

    def build(self, shape):
        self.norm = BatchNorm()
        self.norm.build(shape)

    def call(self, x):
        return ops.relu(self.norm(x, training=False))


def frozen(x):
    return Frozen()(x)


def shared_normalisation(inputs, n_filters, *options):
    norm = BatchNorm()
    return normalised_encoder(lambda x: ops.relu(norm(x)), lambda x: ops.relu(norm(x)))(
        inputs, n_filters
    )


def relu_before_and_after(inputs, n_filters, *options):
    x = inputs
    for _ in range(2):
        x = bn_relu(layers.Conv2D(n_filters, 3, **RELU)(x))
    return layers.MaxPooling2D(2)(x), x


def always_training(x):
    return ops.relu(BatchNorm()(x, training=True))


@pytest.mark.parametrize(
    "answer, note",
    [
        (normalised_encoder(), ""),
        (normalised_encoder(bn_relu, lambda x: bn_relu(x, momentum=0.9, epsilon=1e-5)), ""),
        (normalised_encoder(bias=True), "The biases of your convolutions do nothing"),
        (normalised_encoder(relu_bn, relu_bn), "the normalisation after each ReLU"),
    ],
)
def test_conv_block_with_normalisation_in_other_words(answer, note):
    passed, sentence = verdict("conv_block", with_normalised(normalised=answer))
    assert passed and note in sentence
    assert note or sentence == "right."


@pytest.mark.parametrize(
    "answer, told",
    [
        (normalised_encoder(layers.ReLU(), lambda x: ops.relu(x)), "Nothing is normalised"),
        (
            normalised_encoder(second=lambda x: ops.relu(x)),
            "The second convolution is not normalised",
        ),
        (
            normalised_encoder(lambda x: BatchNorm()(x), BatchNorm()),
            "With a ReLU after all BatchNormalization layers it is right",
        ),
        (normalised_encoder(lambda x: bn_relu(ops.relu(x))), "without the first Relu it is right"),
        (shared_normalisation, "BatchNormalization layer object is called 2 times"),
        (relu_before_and_after, "Without the activation of all 3x3 Conv2D layers it is right"),
        (
            normalised_encoder(result=lambda p, x: (p, layers.Dropout(0.5)(x))),
            "without the Dropout",
        ),
        (normalised_encoder(frozen, frozen), "Is training=False set"),
        (normalised_encoder(lambda x: bn_relu(x, center=False)), "no normalisation after it whose"),
        (normalised_encoder(after=lambda x, p: x), "dropout_prob=0.4 changes nothing"),
        (normalised_encoder(always_training, always_training), "Do not set training=True"),
        (normalised_encoder(lambda x: bn_relu(x, momentum=0.99)), "follow within 100 batches"),
        (
            normalised_encoder(
                lambda x: ops.relu(layers.LayerNormalization()(x)),
                lambda x: ops.relu(layers.LayerNormalization()(x)),
            ),
            "normalised by itself",
        ),
        (
            normalised_encoder(lambda x: bn_relu(x, axis=1), lambda x: bn_relu(x, axis=1)),
            "another axis than the channels: axis=-1",
        ),
    ],
)
def test_mistakes_in_conv_block_with_normalisation(answer, told):
    passed, sentence = verdict("conv_block", with_normalised(normalised=answer))
    assert not passed and "With batch_norm=True: " in sentence and told in sentence, sentence


# ---------------------------------------------------------------- upsampling_block


def upsample(x, n_filters, side=3, **options):
    options = {"strides": 2, "padding": "same", **options}
    return layers.Conv2DTranspose(n_filters, side, **options)(x)


def decoder(
    up=upsample,
    join=lambda up, skip, n: layers.Concatenate()([up, skip]),
    first=RELU,
    second=RELU,
    filters=lambda n: n,
):
    def my_upsampling_block(expansive_input, contractive_input, n_filters):
        x = join(up(expansive_input, n_filters), contractive_input, n_filters)
        for options in (first, second):
            if options is not None:
                x = layers.Conv2D(filters(n_filters), 3, **options)(x)
        return x

    return my_upsampling_block


def with_normalised_convolutions(plain=None, normalised=None):
    """Make a decoder block of its plain and its normalised version."""
    plain, normalised = plain or decoder(), normalised or normalised_decoder()

    def my_upsampling_block(expansive_input, contractive_input, n_filters=32, batch_norm=False):
        version = normalised if batch_norm else plain
        return version(expansive_input, contractive_input, n_filters)

    return my_upsampling_block


def normalised_decoder(after=(bn_relu, bn_relu)):
    def normalised(expansive_input, contractive_input, n_filters):
        x = layers.Concatenate()([upsample(expansive_input, n_filters), contractive_input])
        for steps in after:
            x = steps(layers.Conv2D(n_filters, 3, use_bias=False, **SAME)(x))
        return x

    return normalised


def normalised_before_join(expansive_input, contractive_input, n_filters):
    up = BatchNorm()(upsample(expansive_input, n_filters))
    x = layers.Concatenate()([up, contractive_input])
    return layers.Conv2D(n_filters, 3, **RELU)(layers.Conv2D(n_filters, 3, **RELU)(x))


@pytest.mark.parametrize(
    "answer, told",
    [
        (normalised_decoder(after=(relu_bn, relu_bn)), "right. Yours has the normalisation after"),
        (normalised_decoder(after=(bn_relu, ops.relu)), "The second convolution after the join is"),
        (normalised_before_join, "The first convolution after the join is not normalised"),
    ],
)
def test_upsampling_block_with_normalisation(answer, told):
    answer = with_normalised_convolutions(normalised=answer)
    passed, sentence = verdict("upsampling_block", answer)
    assert told in sentence and passed == sentence.startswith("right."), sentence


def upsample_and_convolve(interpolation):
    def up(x, n_filters):
        x = layers.UpSampling2D(2, interpolation=interpolation)(x)
        return layers.Conv2D(n_filters, 2, padding="same")(x)

    return up


@pytest.mark.parametrize(
    "answer, note",
    [
        (decoder(join=lambda up, skip, n: ops.concatenate([up, skip], axis=-1)), ""),
        (
            decoder(join=lambda up, skip, n: layers.Concatenate()([skip, up])),
            "skip connection first",
        ),
        (decoder(lambda x, n: upsample(x, n, 2)), "a kernel of 2 to upsample"),
        (decoder(lambda x, n: upsample(x, n, activation="relu")), "a ReLU right after upsampling"),
        (decoder(upsample_and_convolve("bilinear")), "bilinear upsampling"),
        (decoder(upsample_and_convolve("nearest")), "nearest upsampling"),
    ],
)
def test_upsampling_block_in_other_words(answer, note):
    passed, sentence = verdict("upsampling_block", with_normalised_convolutions(answer))
    assert passed and note in sentence, sentence
    assert note or sentence == "right."


def on_the_skip(layer):
    return decoder(join=lambda up, skip, n: layers.Concatenate()([up, layer(skip)]))


def joined_before_upsampling(expansive_input, contractive_input, n_filters):
    x = layers.Concatenate()([expansive_input, contractive_input])
    return upsample(x, n_filters)


def joined_for_nothing(expansive_input, contractive_input, n_filters):
    x = upsample(expansive_input, n_filters)
    layers.Concatenate()([x, contractive_input])
    x = layers.Conv2D(n_filters, 3, **RELU)(x)
    return layers.Conv2D(n_filters, 3, **RELU)(x)


def swapped_inputs(expansive_input, contractive_input, n_filters):
    return decoder()(contractive_input, expansive_input, n_filters)


def pooled_at_the_end(expansive_input, contractive_input, n_filters):
    return layers.MaxPooling2D(2)(decoder()(expansive_input, contractive_input, n_filters))


def joined_late(expansive_input, contractive_input, n_filters):
    x = layers.Conv2D(n_filters, 3, **RELU)(upsample(expansive_input, n_filters))
    return layers.Conv2D(n_filters, 3, **RELU)(layers.Concatenate()([x, contractive_input]))


def skip_only(expansive_input, contractive_input, n_filters):
    x = layers.Conv2D(n_filters, 3, **RELU)(contractive_input)
    return layers.Conv2D(n_filters, 3, **RELU)(x)


@pytest.mark.parametrize(
    "answer, told",
    [
        (decoder(second=None), "The second convolution after the join is missing"),
        (
            decoder(first=LINEAR, second=LINEAR),
            "With a ReLU after all 3x3 Conv2D layers it is right",
        ),
        (decoder(join=lambda up, skip, n: up), "The skip connection has no influence"),
        (skip_only, "features from below have no influence"),
        (
            decoder(lambda x, n: upsample(x, n, strides=4)),
            "doubled once, it is 12x16. Upsample once, with strides=2",
        ),
        (joined_before_upsampling, "It is upsampled first, by the transposed convolution"),
        (decoder(lambda x, n: upsample(x, n, strides=1)), "Is strides=2 missing"),
        (decoder(lambda x, n: upsample(x, n, padding="valid")), 'padding="same" missing'),
        (
            decoder(join=lambda up, skip, n: layers.Add()([up, skip])),
            "are added. U-Net concatenates",
        ),
        (decoder(join=lambda up, skip, n: layers.Concatenate(1)([up, skip])), "axis=-1"),
        (
            decoder(join=lambda up, skip, n: layers.Concatenate([up, skip])),
            "The layer Concatenate itself is passed on",
        ),
        (
            decoder(lambda x, n: upsample(x, n, activation="tanh")),
            "Without the activation of the Conv2DTranspose it is right",
        ),
        (joined_for_nothing, "do the convolutions take the joined tensor?"),
        (
            decoder(join=lambda up, skip, n: ops.relu(ops.concatenate([up, skip], -1))),
            "without the Relu it is right",
        ),
        (swapped_inputs, "The two inputs are swapped: expansive_input, from below, is upsampled"),
        (pooled_at_the_end, "strides=2 is missing in the transposed convolution, or the result is"),
        (joined_late, "Is the skip connection left out, added or joined later?"),
        (decoder(filters=lambda n: 2 * n), "8 channels instead of 4"),
        (
            decoder(lambda x, n: upsample(x, 2 * n)),
            "The transposed convolution has a kernel of the shape (3, 3, 8, 8)",
        ),
        (
            on_the_skip(lambda skip: BatchNorm()(skip)),
            "there is still a batch norm",
        ),
        (on_the_skip(lambda skip: layers.Dropout(0.5)(skip)), "without the Dropout"),
        (
            decoder(join=lambda up, skip, n: ops.concatenate([up, ops.repeat(skip, 2, -1)], -1)),
            "(3, 3, 12, 4); expected 3x3, from 8 channels to 4",
        ),
    ],
)
def test_mistakes_in_upsampling_block(answer, told):
    passed, sentence = verdict("upsampling_block", with_normalised_convolutions(answer))
    assert not passed and told in sentence, sentence


# ---------------------------------------------------------------- centre_crop


def crop_by_slices(features, target):
    h, w = target.shape[1], target.shape[2]
    top, left = (features.shape[1] - h) // 2, (features.shape[2] - w) // 2
    return features[:, top : top + h, left : left + w, :]


def crop_by_layer(features, target):
    rows = features.shape[1] - target.shape[1]
    columns = features.shape[2] - target.shape[2]
    crop = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    return layers.Cropping2D(crop)(features)


def crop_rounding_up(features, target):
    h, w = target.shape[1], target.shape[2]
    top, left = -(-(features.shape[1] - h) // 2), -(-(features.shape[2] - w) // 2)
    return features[:, top : top + h, left : left + w]


def test_centre_crop_in_other_words():
    assert verdict("centre_crop", crop_by_slices) == (True, "right.")
    assert verdict("centre_crop", crop_by_layer) == (True, "right.")
    assert verdict("centre_crop", crop_rounding_up) == (True, "right.")
    assert verdict("centre_crop", crop_by_midpoints) == (True, "right.")


def crop_with_negative_ends(features, target):
    rows = features.shape[1] - target.shape[1]
    columns = features.shape[2] - target.shape[2]
    top, left = rows // 2, columns // 2
    return features[:, top : -(rows - top), left : -(columns - left)]


def crop_evenly(features, target):
    h, w = features.shape[1:3]
    top, left = (h - target.shape[1]) // 2, (w - target.shape[2]) // 2
    return features[:, top : h - top, left : w - left]


def crop_by_midpoints(features, target):
    h, w = target.shape[1], target.shape[2]
    top, left = features.shape[1] // 2 - h // 2, features.shape[2] // 2 - w // 2
    return features[:, top : top + h, left : left + w]


def crop_swapped(features, target):
    w, h = target.shape[1], target.shape[2]
    top, left = (features.shape[1] - h) // 2, (features.shape[2] - w) // 2
    return features[:, top : top + h, left : left + w]


@pytest.mark.parametrize(
    "answer, told",
    [
        (
            lambda x, t: x[:, : t.shape[1], : t.shape[2]],
            "For features of 10x12 and a target of 8x8 it keeps rows 0 to 7 and columns 0 to 7, "
            "counted from 0; the centre is rows 1 to 8 and columns 2 to 9",
        ),
        (lambda x, t: ops.image.resize(x, t.shape[1:3]), "is not a part of the features"),
        (crop_with_negative_ends, "features of 6x6 and a target of 6x2 it comes out empty"),
        (lambda x, t: crop_by_slices(x, t)[..., :1], "(1, 8, 8, 1) that is not a part"),
        (crop_evenly, "of 9x7 and a target of 4x4 it keeps rows 2 to 6 and columns 1 to 5, coun"),
        (crop_swapped, "of 7x8 and a target of 4x3 it keeps rows 2 to 4 and columns 2 to 5, cou"),
        (lambda x, t: "features", "expected an array"),
    ],
)
def test_mistakes_in_centre_crop(answer, told):
    passed, sentence = verdict("centre_crop", answer)
    assert not passed and told in sentence, sentence


# ---------------------------------------------------------------- unet_model


def unet(
    rescale=lambda x: layers.Rescaling(1 / 255)(x),
    widths=(1, 2, 4, 8, 16),
    order=(3, 2, 1, 0),
    skip_index=1,
    last=lambda x, n: layers.Conv2D(n, 1, dtype="float32")(x),
    extra=True,
    bottleneck=True,
    model=keras.Model,
    up_widths=None,
    pooled_bottleneck=False,
    rates=lambda p: (0, 0, 0, p, p),
    decoder_block=models.upsampling_block,
    normalised=lambda batch_norm: (batch_norm,) * 9,
    **up,
):
    def my_unet_model(input_size, n_filters, n_classes, dropout_prob=0.3, batch_norm=False):
        rate, norm = rates(dropout_prob), normalised(batch_norm)
        inputs = keras.Input(input_size)
        x, skips = rescale(inputs), []
        for number, width in enumerate(widths[:4]):
            both = models.conv_block(x, width * n_filters, rate[number], batch_norm=norm[number])
            x = both[0]
            skips.append(both[skip_index])
        if bottleneck:
            x, _ = models.conv_block(
                x, widths[4] * n_filters, rate[4], max_pooling=pooled_bottleneck, batch_norm=norm[4]
            )
        for level, width, batch_norm in zip(
            order, up_widths or widths[3::-1], norm[5:], strict=False
        ):
            x = decoder_block(x, skips[level], width * n_filters, batch_norm=batch_norm, **up)
        if extra:
            x = layers.Conv2D(n_filters, 3, **RELU)(x)
        return model(inputs, last(x, n_classes))

    return my_unet_model


with_two_choices = with_normalised_convolutions(
    decoder(
        lambda x, n: upsample(x, n, activation="relu"),
        lambda up, skip, n: layers.Concatenate()([skip, up]),
    )
)


class Subclassed(keras.Model):
    """A model that is not functional; it only wraps one, so the arithmetic is the same."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inner = keras.Model(inputs, outputs)

    def call(self, x, training=None):
        return self.inner(x, training=training)


@pytest.mark.parametrize(
    "answer, note",
    [
        (unet(model=Subclassed), ""),
        (unet(extra=False, up_kernel_size=2), ""),
        (
            unet(decoder_block=with_two_choices),
            "has a ReLU right after upsampling and the skip connection first",
        ),
        (unet(last=lambda x, n: layers.Conv2D(n, 1)(x)), 'dtype="float32"'),
    ],
)
def test_unet_model_in_other_words(answer, note):
    passed, sentence = verdict("unet_model", answer)
    assert passed and note in sentence, sentence
    assert note or sentence == "right."


def without_skips(input_size, n_filters, n_classes, dropout_prob, batch_norm):
    inputs = keras.Input(input_size)
    x = layers.Rescaling(1 / 255)(inputs)
    for width in (1, 2, 4, 8):
        x, _ = models.conv_block(x, width * n_filters)
    x, _ = models.conv_block(x, 16 * n_filters, max_pooling=False)
    for width in (8, 4, 2, 1):
        x = models.upsampling_block(x, None, width * n_filters)
    x = layers.Conv2D(n_filters, 3, **RELU)(x)
    return keras.Model(inputs, layers.Conv2D(n_classes, 1)(x))


def without_skip_1(input_size, n_filters, n_classes, dropout_prob, batch_norm):
    return models.unet_model(input_size, n_filters, n_classes, skips=(2, 3, 4))


def bottleneck_twice(input_size, n_filters, n_classes, dropout_prob, batch_norm):
    inputs = keras.Input(input_size)
    x, skips = layers.Rescaling(1 / 255)(inputs), []
    for width in (1, 2, 4, 8):
        x, skip = models.conv_block(x, width * n_filters)
        skips.append(skip)
    deep, _ = models.conv_block(x, 16 * n_filters, max_pooling=False)
    x = models.upsampling_block(deep, skips[3], 8 * n_filters)
    x = models.upsampling_block(deep, skips[2], 4 * n_filters)
    return keras.Model(inputs, layers.Conv2D(n_classes, 1)(x))


def encoder_swapped(input_size, n_filters, n_classes, dropout_prob, batch_norm):
    inputs = keras.Input(input_size)
    x, skips = layers.Rescaling(1 / 255)(inputs), []
    for width in (1, 2, 4, 8):
        skip, x = models.conv_block(x, width * n_filters)
        skips.append(skip)
    return models.upsampling_block(x, skips[3], 8 * n_filters)


def head(activation):
    return lambda x, n: layers.Conv2D(n, 1, activation=activation, dtype="float32")(x)


@pytest.mark.parametrize(
    "answer, told",
    [
        (unet(widths=(1, 1, 1, 1, 1)), "The first convolution of encoder block 2 has a kernel"),
        (
            unet(order=(0, 1, 2, 3)),
            "encoder block 4. The skip connection is 32x48; that of this level is 4x6",
        ),
        (unet(skip_index=0), "what its encoder block has before the pooling"),
        (
            without_skips,
            "decoder block 1 has a kernel of the shape (3, 3, 32, 32); expected",
        ),
        (unet(last=head("softmax")), "there is a softmax, a sigmoid or a ReLU at the end"),
        (unet(last=lambda x, n: layers.Conv2D(4, 1)(x)), "4 channels instead of 7"),
        (lambda size, n, c, **rest: unet()((96, 128, 3), n, c), "use the argument"),
        (lambda size, n, c, **rest: unet()(size, 8, c, **rest), "(3, 3, 3, 8); expected 3x3, from"),
        (unet(rates=lambda p: (0, 0, 0, 0, 0)), "dropout_prob=0.5 changes nothing"),
        (unet(rates=lambda p: (0, 0, 0, 0.3, 0.3)), "With dropout_prob=0.0 values are still"),
        (unet(normalised=lambda batch_norm: (False,) * 9), "batch_norm is not passed on"),
        (unet(order=(3, 2, 1)), "16x24 instead of 32x48: four encoder blocks halve"),
        (
            unet(bottleneck=False),
            "in use. The first convolution of the bottleneck has a kernel",
        ),
        (unet(rescale=lambda x: x), "to 255; in the course's networks they are 0 to 1"),
        (unet(pooled_bottleneck=True), "and the bottleneck not pool"),
        (bottleneck_twice, "should get 4x6. Does it take what decoder block 1 returns?"),
        (
            encoder_swapped,
            "Decoder block 1 gets 32x48 from below and should get 2x3. Does every encoder block",
        ),
        (
            lambda size, n, c, **rest: models.upsampling_block(keras.Input(size), [1], n),
            "A list of tensors is passed where one tensor belongs",
        ),
        (without_skip_1, "to 4. Is the skip connection left out, added or joined later?"),
        (
            unet(model=lambda inputs, outputs: outputs),
            "expected a model, keras.Model(inputs, outputs)",
        ),
        (unet(last=lambda x, n: layers.Dense(n)(layers.Flatten()(x))), "no Flatten and no Dense"),
    ],
)
def test_mistakes_in_unet_model(answer, told):
    passed, sentence = verdict("unet_model", answer)
    assert not passed and told in sentence, sentence


def own_input(inputs, n_filters, dropout_prob, max_pooling):
    return encoder()(keras.Input((16, 24, 3)), n_filters, dropout_prob, max_pooling)


def test_an_answer_that_ignores_its_input_is_a_sentence():
    passed, sentence = verdict("conv_block", with_normalised(own_input))
    assert not passed and "not computed from the tensor it was given" in sentence


# ---------------------------------------------------------------- cut_skip


def cut(
    number=lambda level: 4 - level,
    start=lambda join: join.input[0].shape[-1],
    end=lambda join: None,
    copy_weights=True,
):
    """Make an answer to cut_skip with parts of it exchanged."""

    def my_cut_skip(model, level):
        copy = keras.models.clone_model(model)
        if copy_weights:
            copy.set_weights(model.get_weights())
        join = [layer for layer in copy.layers if layer.name.startswith("concatenate")]
        join = join[number(level)]
        kernel = next(layer for layer in copy.layers if layer.input is join.output).kernel
        values = ops.convert_to_numpy(kernel).copy()
        values[:, :, start(join) : end(join)] = 0
        kernel.assign(values)
        return copy

    return my_cut_skip


def zeros_in_place_of_the_skip(model, level):
    joins = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]

    def call(layer, *args, **options):
        if layer is joins[4 - level]:
            (up, skip), *_ = args
            return layer([up, ops.zeros_like(skip)])
        return layer(*args, **options)

    return keras.models.clone_model(model, call_function=call, clone_function=lambda layer: layer)


def in_the_model_itself(model, level):
    copied = cut()(model, level)
    model.set_weights(copied.get_weights())
    return model


@pytest.mark.parametrize("answer", [cut(), zeros_in_place_of_the_skip])
def test_cut_skip_in_other_words(answer):
    assert verdict("cut_skip", answer) == (True, "right.")


@pytest.mark.parametrize(
    "answer, told",
    [
        (cut(number=lambda level: level - 1), "deepest first"),
        (cut(start=lambda join: 0, end=lambda join: join.input[0].shape[-1]), "upsampled features"),
        (cut(start=lambda join: 99), "Nothing is cut"),
        (cut(copy_weights=False), "clone_model draws new ones"),
        (in_the_model_itself, "The model itself is changed"),
        (lambda model, level: [model], "expected a model"),
    ],
)
def test_mistakes_in_cut_skip(answer, told):
    passed, sentence = verdict("cut_skip", answer)
    assert not passed and told in sentence, sentence
