"""A U-Net of two levels: all of its kinds of layers, in a fraction of the time."""

import keras
from keras import layers

from unet_helpers.models import conv_block, unet, upsampling_block


def small_unet(input_size, n_filters, n_classes, dropout_prob=0.3, batch_norm=False):
    """Build it; the arguments are those of `models.unet_model`."""
    inputs = keras.Input(input_size)
    x = layers.Rescaling(1 / 255)(inputs)
    x, skip = conv_block(x, n_filters, batch_norm=batch_norm)
    x, _ = conv_block(x, 2 * n_filters, dropout_prob, max_pooling=False, batch_norm=batch_norm)
    x = upsampling_block(x, skip, n_filters, batch_norm=batch_norm)
    return keras.Model(inputs, unet.logits_layer(x, n_classes))
