"""U-Net, as the course builds it and as the paper describes it."""

import keras
from keras import layers

from unet_helpers.labels import check_size
from unet_helpers.models.blocks import conv_block, convolution, upsampling_block


def unet_model(
    input_size=(96, 128, 3),
    n_filters=32,
    n_classes=13,
    dropout_prob=0.3,
    dropout_everywhere=False,
    batch_norm=False,
    up_kernel_size=3,
    extra_convolution=True,
    last_kernel_size=1,
    skips=(1, 2, 3, 4),
    name="unet",
):
    """Build U-Net with padded convolutions: logits have the height and width of the image.

    Args:
        input_size: (H, W, channels), H and W divisible by 16, or None for any such size.
        n_filters: filters of the first block; every level below has twice as many.
        n_classes: number of logits per pixel; 1 for a binary mask.
        dropout_prob: in the fourth block and the bottleneck.
        dropout_everywhere: instead after every pooling and every concatenation.
        batch_norm: normalise between each convolution and its ReLU; "block" only in the second
            convolution of each block, nine times instead of 19 (notebook 16).
        up_kernel_size: 3 or, as in the paper, 2.
        extra_convolution: one more 3x3 convolution before the last layer.
        last_kernel_size: 1 (a classifier per pixel) or 3 (it also sees the neighbours).
        skips: levels whose skip connection is kept, 1 the finest (notebook 03 leaves some out).

    Returns a keras.Model: images (batch, H, W, channels), 0 to 255, uint8 or float -> float32
    logits (batch, H, W, n_classes), without softmax. Raises ValueError with the next size that fits
    for a side that cannot be halved four times.

    Source: Ronneberger et al. 2015, figure 1, with "same" padding.
    """
    check_input_size(input_size)
    check_divisible(input_size, 16)
    deep, every = (0.0, dropout_prob) if dropout_everywhere else (dropout_prob, 0.0)
    down = dict(batch_norm=batch_norm, dropout_after_pooling=dropout_everywhere)
    up = dict(batch_norm=batch_norm, dropout_prob=every, up_kernel_size=up_kernel_size)
    f = n_filters

    inputs = keras.Input(input_size, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    # Encoder: what is in the image? Smaller maps, more filters.
    x, skip1 = conv_block(x, f, every, **down)
    x, skip2 = conv_block(x, 2 * f, every, **down)
    x, skip3 = conv_block(x, 4 * f, every, **down)
    x, skip4 = conv_block(x, 8 * f, max(deep, every), **down)
    # Bottleneck
    x, _ = conv_block(x, 16 * f, deep, max_pooling=False, batch_norm=batch_norm)
    # Decoder: where exactly is it? Larger maps, and the encoder's features by skip connections.
    x = upsampling_block(x, skip4 if 4 in skips else None, 8 * f, **up)
    x = upsampling_block(x, skip3 if 3 in skips else None, 4 * f, **up)
    x = upsampling_block(x, skip2 if 2 in skips else None, 2 * f, **up)
    x = upsampling_block(x, skip1 if 1 in skips else None, f, **up)
    if extra_convolution:
        x = convolution(x, f, batch_norm=batch_norm is True)
    return keras.Model(inputs, logits_layer(x, n_classes, last_kernel_size), name=name)


def gated_unet(unet):
    """Put a gate on each skip connection of a `unet_model`: 1 keeps it, 0 cuts it, 0.5 halves it.

    Returns a keras.Model that shares its weights: [images, gates] -> logits as before. The gates
    are float (batch, 1, 1, n), one for each of the n skip connections, the finest first. Raises
    ValueError for a model that joins no features.
    """
    joins = sum(isinstance(layer, layers.Concatenate) for layer in unet.layers)
    if not joins:
        raise ValueError(f"{unet.name} has no skip connection to gate; pass a U-Net with skips.")
    image = keras.Input(unet.input_shape[1:], name="image")
    gates = keras.Input((1, 1, joins), name="gates")
    tensors = {id(unet.input): image}  # by the tensor of `unet` whose place each one takes
    for layer in unet.layers[1:]:
        given = [tensors[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
        if isinstance(layer, layers.Concatenate):
            joins -= 1  # the decoder meets the coarsest first
            given[1] = given[1] * gates[..., joins : joins + 1]
        tensors[id(layer.output)] = layer(given if len(given) > 1 else given[0])
    return keras.Model([image, gates], tensors[id(unet.output)], name=f"gated_{unet.name}")


def paper_unet(input_size=(572, 572, 1), n_filters=64, n_classes=2):
    """Build the U-Net of the paper: valid convolutions, cropped skips, 23 convolutional layers.

    Returns a keras.Model: images (batch, 572, 572, 1) -> float32 logits (batch, 388, 388, 2) of the
    image's centre; 92 pixels are lost on each side. Raises ValueError with the next size that works
    out for an input_size of which a pooling would see an odd side.

    Source: Ronneberger et al. 2015, figure 1 and section 2; dropout at the end of the contracting
    path as in section 3.1 (its rate is not given there; 0.5 here).
    """
    check_size("input_size", input_size, (572, 572, 1))  # the crops depend on the numbers
    height, width = input_size[:2]
    # Two valid 3x3 convolutions cost 4 pixels a level: 16 n + 12 works out, with n of 11 or more.
    fit = [max(188, next_multiple(side - 12, 16) + 12) for side in (height, width)]
    if fit != [height, width]:
        raise ValueError(
            f"{height}x{width} does not work out with valid convolutions: a pooling would see an "
            f"odd or empty side. The next size that does: {fit[0]}x{fit[1]}."
        )
    f, valid = n_filters, dict(padding="valid")
    inputs = keras.Input(input_size, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    x, skip1 = conv_block(x, f, **valid)
    x, skip2 = conv_block(x, 2 * f, **valid)
    x, skip3 = conv_block(x, 4 * f, **valid)
    x, skip4 = conv_block(x, 8 * f, dropout_prob=0.5, **valid)
    x, _ = conv_block(x, 16 * f, dropout_prob=0.5, max_pooling=False, **valid)
    x = upsampling_block(x, skip4, 8 * f, up_kernel_size=2, **valid)
    x = upsampling_block(x, skip3, 4 * f, up_kernel_size=2, **valid)
    x = upsampling_block(x, skip2, 2 * f, up_kernel_size=2, **valid)
    x = upsampling_block(x, skip1, f, up_kernel_size=2, **valid)
    return keras.Model(inputs, logits_layer(x, n_classes), name="paper_unet")


def logits_layer(x, n_classes, kernel_size=1):
    """Turn features into one logit per class and pixel, in float32 whatever the precision policy.

    Shapes: (batch, H, W, C) -> (batch, H, W, n_classes). Half precision is too coarse for the
    softmax in the loss.
    """
    return layers.Conv2D(n_classes, kernel_size, padding="same", dtype="float32", name="logits")(x)


def check_divisible(input_size, divisor):
    """Raise ValueError with the next size that fits unless both sides are divisible."""
    height, width = input_size[:2]
    fit = [None if side is None else next_multiple(side, divisor) for side in (height, width)]
    if fit != [height, width]:
        raise ValueError(
            f"{height}x{width} is not divisible by {divisor}; the next size that is: "
            f"{fit[0]}x{fit[1]}. The encoder halves the image {divisor.bit_length() - 1} times, "
            "and the decoder must meet the same sizes on its way up."
        )


def check_input_size(input_size):
    """Raise DataError unless a size is (H, W, channels); None as H or W stands for any."""
    check_size("input_size", input_size, (96, 128, 3), may_be_open=True)


def next_multiple(side, divisor):
    """Return the smallest positive multiple of divisor that is at least side."""
    return max(1, -(-side // divisor)) * divisor
