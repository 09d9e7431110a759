"""Models changed for prediction: batch normalisation folded into convolutions, other precisions."""

from collections import Counter

import keras
import numpy as np
from keras import layers

# Only a normalisation directly AFTER one of these can be folded. One BEFORE a convolution adds a
# constant to every channel of its input. With "same" padding the convolution then sees that
# constant inside the image and zeros outside, and no single bias can do that along the margin.
CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose)


def folded_kernel(kernel, gamma, beta, mean, variance, epsilon):
    """Fold a normalisation into the convolution without bias before it.

    Shapes: kernel (h, w, channels in, channels out), gamma, beta, mean and variance (channels
    out,), the moving ones that prediction uses -> (kernel, bias) of the one convolution that
    replaces both.

    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", section 3.2, equation 14.
    """
    # gamma * (kernel * x - mean) / sqrt(variance + epsilon) + beta, the terms with x apart
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta - mean * factor


def fold_batch_norm(model):
    """Copy a model for prediction, its batch normalisations folded into convolutions.

    A BatchNormalization is folded into the Conv2D or Conv2DTranspose directly before it, if nothing
    else uses the convolution's output and there is no activation between them. The others stay.
    Dropout, which does nothing in prediction, is left out. Models used as layers are folded as
    well. A line is printed with both numbers.

    Returns a keras.Model, not compiled, of Keras's own layers under their old names, with weights
    of its own. In float32 its logits equal those of `model` to rounding. Raises ValueError for a
    subclassed model, whose layers cannot be followed.
    """
    folded = fold(model)
    before, stay = (
        sum(isinstance(layer, layers.BatchNormalization) for layer in flat_layers(each))
        for each in (model, folded)
    )
    print(f"{before - stay} normalisations folded into the convolutions before them, {stay} stay.")
    return folded


def fold(model):
    """Fold a model for `fold_batch_norm`, without a printed line."""
    graph = as_graph(model)
    pairs, idle = find_pairs(graph)
    folded = set(pairs.values())

    def copy(layer):
        if isinstance(layer, keras.Model):
            return fold(layer)
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, *inputs, **options):
        if layer.name in folded | idle:
            return inputs[0]
        return layer(*inputs, **options)

    result = keras.models.clone_model(graph, clone_function=copy, call_function=call)
    for layer in result.layers:
        if layer.name in pairs:
            normalisation = graph.get_layer(pairs[layer.name])
            layer.set_weights(fold_layers(graph.get_layer(layer.name), normalisation))
        elif layer.weights and not isinstance(layer, keras.Model):  # which has its weights already
            layer.set_weights(graph.get_layer(layer.name).get_weights())
    return result


def as_graph(model):
    """Return a model as a functional one that is not compiled; refuses a subclassed model."""
    try:
        if isinstance(model, keras.Sequential):
            return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
        return keras.Model(model.input, model.output, name=model.name)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{model.name} is a {type(model).__name__} whose layers cannot be followed from input "
            "to output. Build it with keras.Model(inputs, outputs)."
        ) from error


def find_pairs(graph):
    """Map names of convolutions to those of normalisations to fold; return also idle dropouts."""
    calls = []  # (layer, input tensors, output, whether called with training=True), in a clone

    def note(layer, *inputs, **options):
        output = layer(*inputs, **options)
        tensors = keras.tree.flatten((inputs, options))
        calls.append((layer, tensors, output, bool(options.get("training"))))
        return output

    clone = keras.models.clone_model(graph, call_function=note)
    users = Counter(id(tensor) for _, inputs, _, _ in calls for tensor in inputs)
    users.update(id(tensor) for tensor in clone.outputs)
    times = Counter(layer.name for layer, _, _, _ in calls)
    # A layer that is used twice has one set of weights for two places and stays as it is. So does
    # one that is called with training=True.
    once = [call for call in calls if times[call[0].name] == 1 and not call[3]]
    convolutions = {id(made): layer for layer, _, made, _ in once if type(layer) in CONVOLUTIONS}
    pairs, idle = {}, set()
    for layer, inputs, _, _ in once:
        if type(layer) is layers.Dropout:  # a subclass may drop in prediction as well
            idle.add(layer.name)
        before = convolutions.get(id(inputs[0]))
        if (
            type(layer) is layers.BatchNormalization
            and before is not None
            and users[id(inputs[0])] == 1
            and before.activation is keras.activations.linear
            and before.compute_dtype == layer.compute_dtype
            and layer.axis % 4 == (3 if before.data_format == "channels_last" else 1)
        ):
            pairs[before.name] = layer.name
    return pairs, idle


def fold_layers(convolution, normalisation):
    """Return the weights [kernel, bias] that replace a convolution and its normalisation."""
    kernel, *bias = (weight.astype(np.float64) for weight in convolution.get_weights())
    mean = np.float64(normalisation.moving_mean)
    variance = np.float64(normalisation.moving_variance)
    gamma = np.ones_like(mean) if normalisation.gamma is None else np.float64(normalisation.gamma)
    beta = np.zeros_like(mean) if normalisation.beta is None else np.float64(normalisation.beta)
    if bias:
        mean = mean - bias[0]  # the convolution adds the bias, the normalisation subtracts the mean
    if isinstance(convolution, layers.Conv2DTranspose):
        kernel = kernel.swapaxes(2, 3)  # Keras keeps it as (h, w, channels out, channels in)
    kernel, bias = folded_kernel(kernel, gamma, beta, mean, variance, normalisation.epsilon)
    if isinstance(convolution, layers.Conv2DTranspose):
        kernel = kernel.swapaxes(2, 3)
    return [kernel.astype(np.float32), bias.astype(np.float32)]


def flat_layers(model):
    """List a model's layers; a model used as a layer is replaced by its own layers."""
    found = []
    for layer in model.layers:
        found += flat_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def in_precision(model, policy):
    """Give a model's twin in another precision, or the model itself if it computes in this one.

    policy is the name of a Keras policy, such as "mixed_bfloat16" or "float32". Models used as
    layers are converted as well. Half precision is too coarse for logits: the layers that give the
    outputs change to float32 only.

    Returns a keras.Model, not compiled, with float32 weights. Raises ValueError for an unknown
    policy, or a model as in `fold_batch_norm`.
    """
    wanted = keras.dtype_policies.get(policy).compute_dtype
    inside = (layer for layer in flat_layers(model) if not isinstance(layer, layers.InputLayer))
    if all(layer.compute_dtype == wanted for layer in inside):
        return model
    return convert(model, policy)


def convert(model, policy):
    """Copy a model for `in_precision`, whatever it computes in."""
    graph = as_graph(model)

    def copy(layer):
        if isinstance(layer, keras.Model):
            return convert(layer, policy)
        config = layer.get_config()
        if layer.name not in graph.output_names or policy == "float32":
            config["dtype"] = policy
        return type(layer).from_config(config)

    result = keras.models.clone_model(graph, clone_function=copy)
    result.set_weights(graph.get_weights())
    return result
