"""Fully convolutional networks (FCN) and the naive stack, to compare U-Net with."""

import keras
from keras import layers

from unet_helpers.models.blocks import conv_block, convolution
from unet_helpers.models.unet import check_divisible, check_input_size, logits_layer


def fcn_model(
    input_size=(96, 128, 3),
    n_filters=32,
    n_classes=13,
    stride=32,
    dropout_prob=0.3,
    batch_norm=False,
    name=None,
):
    """Build a fully convolutional network: an encoder, scores, and upsampling of the scores.

    With a stride of 32 the deepest scores are upsampled at once; with 16 those of the fourth
    pooling are added first, with 8 also those of the third. Before an addition, transposed
    convolutions upsample the scores; they start as bilinear interpolation and learn. The last
    upsampling is not learned, as in the paper. Dropout is in the fifth block, the deepest.

    Other arguments and the keras.Model are as for `unet_model`, but H and W are divisible by 32.
    Raises ValueError for a side that cannot be halved five times, or an unknown stride.

    Source: Long et al. 2015, sections 4.2 and 4.3 and figure 3.
    """
    if stride not in (32, 16, 8):
        raise ValueError(f"stride is {stride}; it must be 32, 16 or 8.")
    check_input_size(input_size)
    check_divisible(input_size, 32)
    f = n_filters
    inputs = keras.Input(input_size, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    x, _ = conv_block(x, f, batch_norm=batch_norm)
    x, _ = conv_block(x, 2 * f, batch_norm=batch_norm)
    pool3, _ = conv_block(x, 4 * f, batch_norm=batch_norm)
    pool4, _ = conv_block(pool3, 8 * f, batch_norm=batch_norm)
    pool5, _ = conv_block(pool4, 16 * f, dropout_prob=dropout_prob, batch_norm=batch_norm)

    scores = layers.Conv2D(n_classes, 1, name="score_pool5")(pool5)
    if stride <= 16:
        scores = upsample(scores, n_classes, 2)
        scores = layers.Add()([scores, layers.Conv2D(n_classes, 1, name="score_pool4")(pool4)])
    if stride <= 8:
        scores = upsample(scores, n_classes, 2)
        scores = layers.Add()([scores, layers.Conv2D(n_classes, 1, name="score_pool3")(pool3)])
    last = layers.UpSampling2D(stride, interpolation="bilinear", dtype="float32", name="logits")
    return keras.Model(inputs, last(scores), name=name or f"fcn_{stride}s")


def naive_cnn(input_size=(96, 128, 3), n_filters=32, n_classes=13, n_layers=9):
    """Build a stack of convolutions at full resolution, the costly way to label every pixel.

    Each of the n_layers 3x3 convolutions widens the receptive field by 2 pixels. input_size may be
    any, None allowed. Returns a keras.Model as `unet_model` does.
    """
    check_input_size(input_size)
    inputs = keras.Input(input_size, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    for _ in range(n_layers):
        x = convolution(x, n_filters)
    return keras.Model(inputs, logits_layer(x, n_classes), name="naive_cnn")


def upsample(scores, n_classes, factor):
    """Upsample scores by a transposed convolution that starts as bilinear interpolation.

    Shapes: (batch, h, w, n_classes) -> (batch, factor h, factor w, n_classes).
    Source: Long et al. 2015, section 3.3.
    """
    start = keras.initializers.Constant(bilinear_kernel(factor, n_classes))
    options = dict(strides=factor, padding="same", use_bias=False, kernel_initializer=start)
    return layers.Conv2DTranspose(n_classes, 2 * factor, **options)(scores)


def bilinear_kernel(factor, n_classes):
    """Return the kernel with which a transposed convolution interpolates each class bilinearly.

    A nested list of floats, shape (2 factor, 2 factor, n_classes, n_classes).
    """
    line = [1 - abs(i + 0.5 - factor) / factor for i in range(2 * factor)]
    classes = range(n_classes)
    return [[[[a * b * (i == j) for i in classes] for j in classes] for b in line] for a in line]
