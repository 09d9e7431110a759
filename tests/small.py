"""Models for tests: small enough to build and run in a moment."""

import keras
from keras import layers

from unet_helpers.models import conv_block, unet, upsampling_block


def small_unet(input_size, n_filters, n_classes, dropout_prob=0.3, batch_norm=False):
    """Build a U-Net of two levels, with all of its kinds of layers; arguments as `unet_model`."""
    inputs = keras.Input(input_size)
    x = layers.Rescaling(1 / 255)(inputs)
    x, skip = conv_block(x, n_filters, batch_norm=batch_norm)
    x, _ = conv_block(x, 2 * n_filters, dropout_prob, max_pooling=False, batch_norm=batch_norm)
    x = upsampling_block(x, skip, n_filters, batch_norm=batch_norm)
    return keras.Model(inputs, unet.logits_layer(x, n_classes))


def pointwise(n_classes=5, size=(None, None), seed=0):
    """Build a model that looks at every pixel by itself."""
    start = keras.initializers.RandomNormal(0, 3, seed=seed)
    inputs = keras.Input((*size, 3))
    x = layers.Rescaling(1 / 255, offset=-0.5)(inputs)
    return keras.Model(inputs, layers.Conv2D(n_classes, 1, kernel_initializer=start)(x))
