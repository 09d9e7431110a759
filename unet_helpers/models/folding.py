"""Batch normalisation folded into the convolutions before it, for prediction.

After training a normalisation multiplies each channel by a fixed number and adds another one. So
does a convolution, with its kernel and bias; one layer can do both.
"""

from collections import Counter

import keras
import numpy as np
from keras import layers

# Only what lies directly AFTER one of these can be folded. A normalisation BEFORE a convolution
# adds a constant to every channel of its input. With "same" padding the convolution then sees that
# constant inside the image and zeros outside, and no single bias gives both: along the margin the
# result would differ.
CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose, layers.DepthwiseConv2D)
DROPOUTS = (layers.Dropout, layers.SpatialDropout2D)


def folded_kernel(kernel, gamma, beta, mean, variance, epsilon):
    """Fold a normalisation into the convolution without a bias that lies before it.

    Args:
        kernel: (h, w, channels in, channels out), of the convolution.
        gamma, beta, mean, variance: (channels out,), of the normalisation; mean and variance are
            the moving ones that prediction uses.
        epsilon: small number that the normalisation adds to the variance.

    Returns:
        (kernel, bias): arrays (h, w, channels in, channels out) and (channels out,) of the one
        convolution that does the same as both.

    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", section 3.2, equation 14; the normalisation is algorithm 1
    of Ioffe and Szegedy 2015.
    """
    # gamma * (kernel * x - mean) / sqrt(variance + epsilon) + beta, sorted by what x is in
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta - mean * factor


def fold_batch_norm(model, report=True):
    """Copy a model for prediction, its batch normalisations folded into convolutions.

    A BatchNormalization goes into the Conv2D, Conv2DTranspose or DepthwiseConv2D directly before
    it, if nothing else uses what the convolution gives and no activation lies between. Others
    stay. Dropout, which does nothing in prediction, is left out.

    Args:
        model: functional or sequential keras.Model, of any input size and precision.
        report: print how many normalisations were folded, and how many stay.

    Returns:
        keras.Model, not compiled, of Keras's own layers with the names they had. In float32 its
        logits equal those of `model` to rounding. Its weights are its own: training `model`
        afterwards does not change it.

    Raises:
        ValueError: a model of a class of its own, whose layers cannot be followed.
    """
    graph = as_graph(model)
    pairs, idle = find_pairs(graph)
    folded = set(pairs.values())

    def copy(layer):
        if isinstance(layer, keras.Model):  # a model used as a layer
            return fold_batch_norm(layer, report=False)
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, *inputs, **options):
        if layer.name in folded | idle:
            return inputs[0]
        return layer(*inputs, **options)

    result = keras.models.clone_model(graph, new_inputs(graph), copy, call)
    for layer in result.layers:
        original = graph.get_layer(layer.name)
        if layer.name in pairs:
            layer.set_weights(fold_layers(original, graph.get_layer(pairs[layer.name])))
        elif not isinstance(layer, keras.Model):  # which came with its weights
            layer.set_weights(original.get_weights())
    if report:
        stay = count_normalisations(result)
        done = count_normalisations(model) - stay
        print(f"{done} normalisations folded into the convolutions before them, {stay} stay.")
    return result


def as_graph(model):
    """Give a model's graph as a functional model that is not compiled, with the same layers.

    Raises ValueError when it has none.
    """
    try:
        if isinstance(model, keras.Sequential):
            return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
        return keras.Model(model.input, model.output, name=model.name)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{model.name} is a {type(model).__name__} whose layers cannot be followed from input "
            "to output. Build it with keras.Model(inputs, outputs)."
        ) from error


def new_inputs(graph):
    """Make inputs like those of a graph, with the names of their layers."""
    names = {id(layer.output): layer.name for layer in graph.layers if is_input(layer)}
    return keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=names[id(x)]), graph.input
    )


def is_input(layer):
    """Tell whether a layer is the place of an input."""
    return isinstance(layer, layers.InputLayer)


def find_pairs(graph):
    """Find the normalisations that can be folded, and the dropouts that do nothing.

    Returns (dict name of a convolution -> name of the normalisation after it, set of names of
    dropouts).
    """
    calls, ends = calls_of(graph)
    users = Counter(id(tensor) for _, inputs, _, _ in calls for tensor in inputs)
    users.update(id(tensor) for tensor in ends)
    times = Counter(name for name, _, _, _ in calls)
    # A layer that is used twice has one set of weights for two places: it stays as it is. So does
    # one that is told to behave as in training wherever it is called.
    once = [call for call in calls if times[call[0]] == 1 and not call[3]]
    convolutions = {
        id(output): graph.get_layer(name)
        for name, _, output, _ in once
        if type(graph.get_layer(name)) in CONVOLUTIONS
    }
    pairs, idle = {}, set()
    for name, inputs, _, _ in once:
        layer = graph.get_layer(name)
        if type(layer) in DROPOUTS:  # a class derived from them may drop in prediction, too
            idle.add(name)
        before = convolutions.get(id(inputs[0]))
        if (
            type(layer) is layers.BatchNormalization
            and before is not None
            and users[id(inputs[0])] == 1
            and before.activation is keras.activations.linear
            and before.compute_dtype == layer.compute_dtype
            and layer.axis % 4 == (3 if before.data_format == "channels_last" else 1)
        ):
            pairs[before.name] = name
    return pairs, idle


def calls_of(graph):
    """List who is called on what, by calling copies of all layers once more.

    Returns (list of (name, input tensors, output, whether training=True was asked for),
    list of the model's outputs); all are tensors of the copy.
    """
    calls = []

    def note(layer, *inputs, **options):
        output = layer(*inputs, **options)
        tensors = keras.tree.flatten((inputs, options))
        calls.append((layer.name, tensors, output, bool(options.get("training"))))
        return output

    copy = keras.models.clone_model(graph, call_function=note)
    return calls, copy.outputs


def fold_layers(convolution, normalisation):
    """Give the weights [kernel, bias] that replace a convolution and its normalisation."""
    kernel, *bias = (weight.astype(np.float64) for weight in convolution.get_weights())
    mean = np.float64(normalisation.moving_mean)
    variance = np.float64(normalisation.moving_variance)
    gamma = np.ones_like(mean) if normalisation.gamma is None else np.float64(normalisation.gamma)
    beta = np.zeros_like(mean) if normalisation.beta is None else np.float64(normalisation.beta)
    if bias:
        mean = mean - bias[0]  # the normalisation subtracts the one and adds the other
    shape = kernel.shape
    if isinstance(convolution, layers.Conv2DTranspose):
        kernel = kernel.swapaxes(2, 3)  # Keras keeps it as (h, w, channels out, channels in)
    elif isinstance(convolution, layers.DepthwiseConv2D):
        # (h, w, channels in, filters of each): all filters side by side, as they come out
        kernel = kernel.reshape(*shape[:2], 1, -1)
    kernel, bias = folded_kernel(kernel, gamma, beta, mean, variance, normalisation.epsilon)
    if isinstance(convolution, layers.Conv2DTranspose):
        kernel = kernel.swapaxes(2, 3)
    return [kernel.reshape(shape).astype(np.float32), bias.astype(np.float32)]


def flat_layers(model):
    """List a model's layers, with those of models used as layers in place of these models."""
    return [
        layer
        for outer in model.layers
        for layer in (flat_layers(outer) if isinstance(outer, keras.Model) else [outer])
    ]


def count_normalisations(model):
    """Count the batch normalisations of a model, including those in models used as layers."""
    return sum(isinstance(layer, layers.BatchNormalization) for layer in flat_layers(model))


def in_precision(model, policy):
    """Return a model with the same weights that computes in another precision.

    Args:
        model: functional or sequential keras.Model; models used as layers are converted as well.
        policy: name of a Keras policy, such as "mixed_bfloat16" or "float32". A processor is fast
            only in what it multiplies in hardware; see `training.describe_machine`.

    Returns:
        keras.Model, not compiled, with float32 weights of its own; `model` itself if every layer
        computes in this precision already. Half precision is too coarse for logits: the layers
        that give the outputs change to float32 only.

    Raises:
        ValueError: an unknown policy, or a model as in `fold_batch_norm`.
    """
    wanted = keras.dtype_policies.get(policy).compute_dtype
    if all(layer.compute_dtype == wanted for layer in flat_layers(model) if not is_input(layer)):
        return model
    return convert(model, policy)


def convert(model, policy):
    """Copy a model for `in_precision`, whatever it computes in."""
    graph = as_graph(model)
    calls, ends = calls_of(graph)
    last = {name for name, _, output, _ in calls if any(output is end for end in ends)}

    def copy(layer):
        if isinstance(layer, keras.Model):
            return convert(layer, policy)
        config = layer.get_config()
        if layer.name not in last or policy == "float32":
            config["dtype"] = policy
        return type(layer).from_config(config)

    result = keras.models.clone_model(graph, new_inputs(graph), copy)
    result.set_weights(graph.get_weights())
    return result
