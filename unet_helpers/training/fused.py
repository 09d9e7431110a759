"""TensorFlow's single kernels for what Keras composes of many: Adam's step, batch normalisation.

Both are set on single objects. Classes of our own would be named in every saved model, and Keras
alone could not load it.
"""

import keras
import tensorflow as tf


def update(adam):
    """Let TensorFlow update every weight by its one kernel for Adam, in place of eleven operations.

    Each of Keras's operations reads and writes all weights anew. The arithmetic is the same, and
    so are the optimizer's state and what is saved: a `keras.optimizers.Adam`.

    Returns the optimizer; on other backends than TensorFlow it is left as it is.
    Source: Kingma and Ba 2015, end of section 2 (the efficient order of computation).
    """
    if keras.backend.backend() != "tensorflow":
        return adam

    def update_step(gradient, variable, learning_rate):
        index = adam._get_variable_index(variable)
        steps = tf.cast(adam.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=handle(variable),
            m=handle(adam._momentums[index]),
            v=handle(adam._velocities[index]),
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


def normalise(model):
    """Let a model's batch normalisations use TensorFlow's one kernel for it while they train.

    Keras composes them of some thirty operations on float32, forward and backward, and each reads
    and writes a whole feature map: on a CPU they take longer than the convolutions. The arithmetic
    is the same, and so is the layer: what is saved is a `keras.layers.BatchNormalization`, and
    prediction is Keras's own.

    Returns the model; on other backends than TensorFlow it is left as it is.
    Source: Ioffe and Szegedy 2015, algorithm 1.
    """
    if keras.backend.backend() == "tensorflow":
        for layer in model.layers:
            if type(layer) is keras.layers.BatchNormalization and is_plain(layer):
                layer.call = one_pass_of(layer)
    return model


def is_plain(layer):
    """Tell whether a normalisation is over the last axis of (B, H, W, C), by mean and variance."""
    last = layer.axis in (-1, 3) and len(layer.input.shape) == 4
    other = layer.synchronized or getattr(layer, "renorm", False)  # older Keras knows no renorm
    return last and layer.scale and layer.center and not other


def one_pass_of(layer):
    """Make a function that does what `layer.call` does, in training by the one kernel."""
    plain = type(layer).call

    def call(inputs, training=None, mask=None):
        if not (training and layer.trainable):
            return plain(layer, inputs, training=False, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            mean=tf.zeros(0),  # empty in training: they are computed
            variance=tf.zeros(0),
            epsilon=layer.epsilon,
        )
        # The kernel's variance is that of a sample, divided by n - 1; Keras keeps the one by n.
        n = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (n - 1) / n
        keep = layer.momentum
        layer.moving_mean.assign(keep * layer.moving_mean + (1 - keep) * mean)
        layer.moving_variance.assign(keep * layer.moving_variance + (1 - keep) * variance)
        return outputs

    return call


def handle(variable):
    """Give TensorFlow's handle of a variable, Keras's or its own."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle
