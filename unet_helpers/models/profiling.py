"""What the layers of a live model cost and see: sizes, parameters, MACs and receptive fields."""

import math
from dataclasses import dataclass

import numpy as np
from keras import Model, layers


@dataclass(frozen=True)
class LayerFacts:
    """What one layer of a model takes, gives and costs, for one image.

    Sizes are (height, width, channels), `macs` multiply-accumulates, `values` output values.
    """

    name: str
    kind: str
    inputs: tuple
    output_shape: tuple
    parameters: int
    macs: int
    values: int


def layer_facts(model):
    """List LayerFacts for every layer of a functional model, in the order of its layers.

    Raises ValueError for an open input size, a layer used twice, or a model used as a layer.
    """
    if None in model.input_shape[1:]:
        raise ValueError(
            f"{model.name} takes images of any size (its input is {model.input_shape[1:]}), and "
            "its layers have no sizes to count with. Build it with numbers as input_size."
        )
    producer = {id(tensor): None for tensor in model.inputs}  # a Sequential hides its input layer
    producer |= {id(layer.output): layer.name for layer in model.layers}
    facts = []
    for layer in model.layers:
        tensors = input_tensors(layer)
        if any(id(tensor) not in producer for tensor in tensors):
            raise ValueError(
                f"{layer.name} or a layer before it is used more than once, in {model.name} or in "
                "another model. keras.models.clone_model makes a copy with layers of its own."
            )
        names = [producer[id(tensor)] for tensor in tensors]
        shape = layer.output.shape[1:]
        facts.append(
            LayerFacts(
                name=layer.name,
                kind=type(layer).__name__,
                inputs=tuple(name for name in names if name),
                output_shape=tuple(shape),
                parameters=layer.count_params(),
                macs=macs(layer),
                values=math.prod(shape),
            )
        )
    return facts


def input_tensors(layer):
    """List the tensors a layer takes, none for an input layer; refuses a model used as a layer."""
    if isinstance(layer, layers.InputLayer):
        return []
    if isinstance(layer, Model):
        raise ValueError(
            f"{layer.name} is a model used as a layer, so its layers cannot be followed. Build on "
            f"its output instead: keras.Model({layer.name}.input, head({layer.name}.output))."
        )
    return layer.input if isinstance(layer.input, list) else [layer.input]


def macs(layer):
    """Count a layer's multiply-accumulates for one image; 0 for all but convolutions and dense.

    A convolution needs kernel height * kernel width * channels in * filters of them per output
    pixel, a transposed one as many per input pixel.
    """
    if isinstance(layer, (layers.Conv2D, layers.Conv2DTranspose, layers.Dense)):
        transposed = isinstance(layer, layers.Conv2DTranspose)
        tensor = layer.input if transposed else layer.output
        return math.prod(tensor.shape[1:-1]) * math.prod(layer.kernel.shape)
    return 0


def bytes_moved(layer, bytes_each=4):
    """Count the bytes that a layer must read and write for one image, each value once.

    Its inputs, its parameters and its output, with bytes_each per value: 4 in float32, 2 in half
    precision. Real machines move more, where a value is evicted from the cache before its reuse.
    """
    tensors = [*input_tensors(layer), layer.output]
    values = sum(math.prod(tensor.shape[1:]) for tensor in tensors)
    return bytes_each * (values + layer.count_params())


def totals(model):
    """Sum up the costs of a model for one image: dict with parameters, macs and megabytes.

    The megabytes are the outputs of all layers in float32; training keeps them for the gradients.
    """
    facts = layer_facts(model)
    return {
        "parameters": model.count_params(),
        "macs": sum(fact.macs for fact in facts),
        "megabytes": sum(fact.values for fact in facts) * 4 / 1e6,
    }


def levels(model):
    """Count for every layer, by its name, how often its input has been halved, from the strides."""
    strides = {}  # layer name -> how many input pixels lie between neighbours in its output
    for layer, fact in zip(model.layers, layer_facts(model), strict=True):
        before = max((strides[name] for name in fact.inputs), default=1)
        strides[layer.name] = before * stride_of(layer)
    return {name: round(math.log2(stride)) for name, stride in strides.items()}


def stride_of(layer):
    """Return by how much a layer shrinks its input: 2 for pooling, 1/2 for stride-2 upsampling."""
    if isinstance(layer, layers.Conv2DTranspose):
        return 1 / layer.strides[0]
    if isinstance(layer, layers.UpSampling2D):
        return 1 / layer.size[0]
    return getattr(layer, "strides", (1,))[0]


def receptive_field(model, name, row=None, column=None):
    """Compute which input pixels one value of a layer can depend on, from kernels and strides.

    name is the layer's in a model as for `layer_facts`; row and column are the value's place in its
    output, None the middle. Returns (top, bottom, left, right), all inclusive, in pixels of the
    input. They may lie outside the image, in the padding. Raises ValueError as `layer_facts`.

    Source: Araujo et al. 2019, "Computing receptive fields of convolutional neural networks"; here
    by walking back from the value, so that branches and upsampling need no formula.
    """
    layer_facts(model)  # raises where layers cannot be followed
    shape = model.get_layer(name).output.shape
    borders = []
    for axis, place in enumerate((row, column)):
        place = shape[1 + axis] // 2 if place is None else place
        spans = {id(model.get_layer(name).output): (place, place)}
        for layer in reversed(model.layers):
            if id(layer.output) not in spans:
                continue
            first, last = spans[id(layer.output)]
            for tensor in input_tensors(layer):
                a = needed(layer, first, axis)[0]
                b = needed(layer, last, axis)[1]
                known = spans.get(id(tensor), (a, b))
                spans[id(tensor)] = (min(a, known[0]), max(b, known[1]))
        borders += spans[id(model.input)]
    return tuple(borders)


def needed(layer, place, axis):
    """Return (first, last) input of a layer that its output at a place sees, along one axis."""
    if isinstance(layer, layers.Cropping2D):
        place += layer.cropping[axis][0]
        return place, place
    if isinstance(layer, layers.UpSampling2D):
        place = (place + 0.5) / layer.size[axis] - 0.5  # the same point, in pixels of the input
        if layer.interpolation == "bilinear":
            return math.floor(place), math.ceil(place)
        return round(place), round(place)
    kernel = getattr(layer, "kernel_size", getattr(layer, "pool_size", (1, 1)))[axis]
    stride = getattr(layer, "strides", (1, 1))[axis]
    if kernel == stride == 1:
        return place, place
    taken, given = layer.input.shape[1 + axis], layer.output.shape[1 + axis]
    if isinstance(layer, layers.Conv2DTranspose):
        before = max((taken - 1) * stride + kernel - given, 0) // 2  # of padding
        return -((kernel - 1 - place - before) // stride), (place + before) // stride
    before = max((given - 1) * stride + kernel - taken, 0) // 2
    return place * stride - before, place * stride - before + kernel - 1


def effective_receptive_field(model, name, images):
    """Measure how strongly each input pixel changes the middle of a layer's output, by gradients.

    Shapes: images (N, H, W, channels), 0 to 255 -> float32 (H, W): the absolute gradient of the
    value's strongest channels, at most four, summed over the image's, averaged over both.

    Source: Luo et al. 2016, "Understanding the effective receptive field in deep convolutional
    neural networks", section 3.
    """
    import tensorflow as tf  # for this function only, so that the rest counts without it

    part = Model(model.input, model.get_layer(name).output)
    _, height, width, _ = part.output.shape
    total = 0.0
    for image in images:
        image = tf.constant(image[None], tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(image)
            value = part(image, training=False)[0, height // 2, width // 2]
            # A few channels are enough. The most active ones: a silent one has no gradient.
            strongest = np.argsort(-np.abs(value), kind="stable")[:4]
            chosen = [value[int(c)] for c in strongest]
        for one in chosen:
            total = total + np.abs(tape.gradient(one, image)[0]).sum(axis=-1) / len(chosen)
    return np.asarray(total / len(images), np.float32)


def effective_side(field, row, column, share=0.95):
    """Return the odd side of the smallest square around a pixel with a share of a field (H, W)."""
    height, width = field.shape
    for radius in range(max(height, width)):
        top, left = max(0, row - radius), max(0, column - radius)
        inside = field[top : row + radius + 1, left : column + radius + 1]
        if inside.sum() >= share * field.sum():
            break
    return 2 * radius + 1
