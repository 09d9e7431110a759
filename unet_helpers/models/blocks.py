"""The building blocks of U-Net: an encoder block, a decoder block and the paper's crop.

Every block is a plain function that takes tensors and returns tensors, so a saved model
consists of Keras's own layers and loads without custom objects.
"""

import keras
from keras import layers


def convolution(inputs, n_filters, padding="same", batch_norm=False):
    """Apply one 3x3 convolution and its ReLU, with batch normalisation between them if asked.

    Shapes: (batch, H, W, C) -> (batch, H, W, n_filters); with padding "valid" each side loses
    1 pixel. He initialisation keeps the variance of ReLU layers (He et al.
    2015, eq. 10). Batch normalisation makes the bias superfluous, because it subtracts it again
    (Ioffe and Szegedy 2015, section 3.2). Raises ValueError where Keras is set to put channels
    first; every network of the course is built of this block.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Keras is set to channels_first, but the course's images are (height, width, "
            'channels). Write "image_data_format": "channels_last" into .keras/keras.json in your '
            'home folder, or call keras.config.set_image_data_format("channels_last").'
        )
    x = layers.Conv2D(
        n_filters, 3, padding=padding, use_bias=not batch_norm, kernel_initializer="he_normal"
    )(inputs)
    if batch_norm:
        x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x)


def conv_block(
    inputs,
    n_filters=32,
    dropout_prob=0.0,
    max_pooling=True,
    batch_norm=False,
    padding="same",
    dropout_after_pooling=False,
):
    """Encoder block: two 3x3 convolutions, then max pooling for the next level.

    Args:
        inputs: float tensor (batch, H, W, C).
        n_filters: number of filters of both convolutions.
        dropout_prob: share of activations set to zero while training, 0 for none.
        max_pooling: False in the bottleneck, the lowest level.
        batch_norm: normalise between each convolution and its ReLU; "block" only in the second.
        padding: "same", or "valid" as in the paper (each convolution then costs 2 pixels).
        dropout_after_pooling: drop activations on the way down only, not in the skip connection.

    Returns (next_layer, skip_connection): (batch, H/2, W/2, n_filters) for the level below, and
    (batch, H, W, n_filters), the same features before pooling, for the decoder. Without max
    pooling both are the same tensor.

    Source: Ronneberger et al. 2015, section 2 (contracting path).
    """
    x = convolution(inputs, n_filters, padding=padding, batch_norm=batch_norm is True)
    x = convolution(x, n_filters, padding=padding, batch_norm=bool(batch_norm))
    if dropout_prob > 0 and not dropout_after_pooling:
        x = layers.Dropout(dropout_prob)(x)
    skip_connection = x  # before pooling, which discards positions
    next_layer = layers.MaxPooling2D(2)(x) if max_pooling else x
    if dropout_prob > 0 and dropout_after_pooling:
        next_layer = layers.Dropout(dropout_prob)(next_layer)
    return next_layer, skip_connection


def upsampling_block(
    expansive_input,
    contractive_input,
    n_filters=32,
    dropout_prob=0.0,
    batch_norm=False,
    padding="same",
    up_kernel_size=3,
):
    """Decoder block: double the size, concatenate the encoder's features, convolve twice.

    Args:
        expansive_input: float tensor (batch, h, w, C) from the level below.
        contractive_input: float tensor (batch, 2h, 2w, K), the skip connection. With padding
            "valid" it may be larger and is cropped to its centre. None: a block without one.
        n_filters: number of filters of all three convolutions.
        dropout_prob: share of the concatenated features set to zero while training.
        batch_norm: normalise between each convolution and its ReLU; "block" only in the second.
        padding: "same", or "valid" as in the paper.
        up_kernel_size: side of the transposed convolution's kernel; 2 in the paper, 3 gives
            overlapping windows.

    Returns a float tensor (batch, 2h, 2w, n_filters), 4 pixels less a side length with "valid".
    Raises ValueError if the skip connection does not fit the upsampled features.

    Source: Ronneberger et al. 2015, section 2 (expansive path).
    """
    up = layers.Conv2DTranspose(
        n_filters, up_kernel_size, strides=2, padding="same", kernel_initializer="he_normal"
    )(expansive_input)
    x = up if contractive_input is None else concat_skip(up, contractive_input, padding)
    if dropout_prob > 0:
        x = layers.Dropout(dropout_prob)(x)
    x = convolution(x, n_filters, padding=padding, batch_norm=batch_norm is True)
    return convolution(x, n_filters, padding=padding, batch_norm=bool(batch_norm))


def concat_skip(up, skip, padding="same"):
    """Concatenate upsampled features and a skip connection, cropped if the padding is "valid".

    Shapes: (batch, H, W, C), (batch, H, W, K) -> (batch, H, W, C + K). Raises ValueError if the
    two do not fit.
    """
    if padding == "valid":
        skip = crop_to(skip, up)
    elif None not in up.shape[1:3] + skip.shape[1:3] and up.shape[1:3] != skip.shape[1:3]:
        raise ValueError(
            f"The skip connection is {skip.shape[1]}x{skip.shape[2]}, but the upsampled features "
            f"are {up.shape[1]}x{up.shape[2]}. Either it belongs to another level, or a side was "
            "odd before a pooling: choose an image size that can be halved at every level."
        )
    return layers.Concatenate()([up, skip])


def crop_to(features, target):
    """Crop features to their centre so that they have the height and width of target.

    Shapes: (batch, H, W, C), (batch, h, w, K) -> (batch, h, w, C). Raises ValueError if target is
    larger.
    Source: Ronneberger et al. 2015, section 2 ("cropping is necessary due to the loss of border
    pixels in every convolution").
    """
    crop = []
    for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True):
        if have is None or want is None:
            raise ValueError(
                "Cropping needs a fixed image size; pass input_size with numbers, not None."
            )
        if want > have:
            raise ValueError(
                f"Cannot crop {features.shape[1]}x{features.shape[2]} to the larger "
                f"{target.shape[1]}x{target.shape[2]}."
            )
        before = (have - want) // 2
        crop.append((before, have - want - before))
    if crop == [(0, 0), (0, 0)]:
        return features
    return layers.Cropping2D(tuple(crop))(features)
