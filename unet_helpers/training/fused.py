"""TensorFlow's fused kernels for what Keras composes of many: Adam's step, batch normalisation.

Each is set on a single object: the name of a class of our own would be in every saved model.
"""

import warnings

import keras
import tensorflow as tf

from unet_helpers.models.folding import flat_layers

ADAM_NEEDS = ("_get_variable_index", "_momentums", "_velocities")  # private names of Keras


def fuse_adam(adam):
    """Let TensorFlow update every weight by its one kernel for Adam instead of eleven operations.

    Each of Keras's operations reads and writes all weights anew. Returns the optimizer, with the
    same arithmetic, state and saved file; with amsgrad or on another backend it is unchanged.
    Source: Kingma and Ba 2015, end of section 2 (the efficient order of computation).
    """
    if keras.backend.backend() != "tensorflow" or adam.amsgrad:
        return adam
    plain = adam.update_step

    def update_step(gradient, variable, learning_rate):
        if missing := [name for name in ADAM_NEEDS if not hasattr(adam, name)]:
            adam.update_step = plain
            warnings.warn(f"No Adam.{missing[0]}: Keras's own, slower step is used.", stacklevel=2)
            return plain(gradient, variable, learning_rate)
        index = adam._get_variable_index(variable)
        steps = tf.cast(adam.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,  # Keras passes it as a tf.Variable
            m=adam._momentums[index].value.handle,
            v=adam._velocities[index].value.handle,
            beta1_power=adam.beta_1**steps,
            beta2_power=adam.beta_2**steps,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=adam.beta_1,
            beta2=adam.beta_2,
            epsilon=adam.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )

    adam.update_step = update_step
    return adam


def fuse_batch_norm(model):
    """Let TensorFlow's one kernel compute a model's batch normalisations while they train.

    Keras composes them of some thirty operations, and each reads and writes a whole feature map:
    on a CPU they take longer than the convolutions. Returns the model, with the same arithmetic
    and saved file; on other backends it is unchanged.
    Source: Ioffe and Szegedy 2015, algorithm 1.
    """
    if keras.backend.backend() == "tensorflow":
        for layer in flat_layers(model):
            if type(layer) is keras.layers.BatchNormalization and can_fuse(layer):
                layer.call = fused_call(layer)
    return model


def can_fuse(layer):
    """Tell whether the kernel covers a batch normalisation: (B, H, W, C), over the last axis."""
    images = layer.built and layer.input_spec.ndim == 4 and layer.axis in (-1, 3)
    # Keras 3.13 has no renorm
    other = layer.synchronized or getattr(layer, "renorm", False) or layer.dtype != "float32"
    return images and layer.scale and layer.center and not other


def fused_call(layer):
    """Return a function that does what `layer.call` does, in training by the one kernel."""
    plain = layer.call

    def call(inputs, training=None, mask=None):
        if mask is not None or not (training and layer.trainable):
            return plain(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            mean=tf.zeros(0),  # empty in training: they are computed
            variance=tf.zeros(0),
            epsilon=layer.epsilon,
        )
        # The kernel divides the variance by n - 1, Keras by n.
        n = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (n - 1) / n
        keep = layer.momentum
        layer.moving_mean.assign(keep * layer.moving_mean + (1 - keep) * mean)
        layer.moving_variance.assign(keep * layer.moving_variance + (1 - keep) * variance)
        return outputs

    return call
