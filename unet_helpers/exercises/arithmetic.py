"""Exercises on sizes, costs and speed, and on convolutions done by hand in NumPy."""

import math

import numpy as np

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array, as_number, as_pair, describe
from unet_helpers.exercises.slips import edited
from unet_helpers.models.folding import folded_kernel as fold


def output_size(size, kernel, stride, padding):
    """Return the side of a convolution's or pooling's output, as Keras rounds it."""
    if padding == "same":
        return math.ceil(size / stride)
    return (size - kernel) // stride + 1


def judge_output_size(attempt):
    sizes = [(96, 3, 1), (96, 3, 2), (97, 3, 2), (97, 2, 2), (10, 5, 3), (64, 4, 2), (11, 4, 3)]
    sizes += [(12, 2, 1), (30, 6, 2)]
    cases = [(*size, padding) for size in sizes for padding in ("valid", "same")]
    mistakes = {
        'With padding "valid" the size is rounded up: a last window that sticks out of the image '
        "gives no output.": "(size - kernel) // stride -> math.ceil((size - kernel) / stride)",
    }
    compare(attempt, cases, output_size, mistakes)


def transposed_size(size, kernel, stride, padding):
    """Return the side of a transposed convolution's output; kernel at least the stride."""
    if padding == "same":
        return size * stride
    return (size - 1) * stride + kernel  # the last stamp begins at (size - 1) * stride


def judge_transposed_size(attempt):
    sizes = [(3, 3, 2), (6, 2, 2), (12, 4, 2), (5, 3, 1), (20, 16, 8), (7, 5, 3)]
    cases = [(*size, padding) for size in sizes for padding in ("valid", "same")]
    mistakes = {"This is the size of an ordinary convolution.": output_size}
    compare(attempt, cases, transposed_size, mistakes)


def receptive_field(layers):
    """Return the side of the square of input pixels that one output value depends on.

    layers is a list of (kernel, stride), first layer first. Source: Araujo et al. 2019, eq. 2.
    """
    field = 1
    step = 1  # how many input pixels lie between neighbouring values
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


def judge_receptive_field(attempt):
    block, pooling = [(3, 1), (3, 1)], (2, 2)
    chains = [[(3, 1)], block, [*block, pooling, *block], [(7, 2), (3, 2), (3, 1)]]
    chains += [[*block, pooling] * 4 + block, [(5, 1), (4, 3), (3, 1)], [(4, 2), (2, 1), (6, 3)]]
    chains += [[(3, 3), (2, 2), (5, 3), (3, 1)]]
    growth = "field += (kernel - 1) * step"
    mistakes = {
        "A layer's stride is counted too early, in itself.": f"{growth} -> {growth} * stride",
        "The whole field is multiplied by the stride. A stride only spreads what the layers after "
        "it add.": f"{growth} -> field = (field + kernel - 1) * stride; step = 1 / stride",
        "Each kernel is counted whole. A 3x3 kernel adds 2 pixels; the start is 1, the pixel "
        "itself.": edited(receptive_field, "field = 1 -> field = 0", "(kernel - 1) -> kernel"),
        "Each kernel is counted by half; a 3x3 adds 2 pixels.": "(kernel - 1) -> kernel // 2",
        "The poolings are left out. They look at 2 pixels, and they spread what comes after.": (
            lambda layers: receptive_field([(k, s) for k, s in layers if s == 1])
        ),
        "Kernel and stride are swapped.": "kernel, stride in -> stride, kernel in",
    }
    compare(attempt, [(layers,) for layers in chains], receptive_field, mistakes)


def stack_cost(height, width, channels, n_filters, n_layers):
    """Count the parameters and multiply-adds of a stack of 3x3 convolutions at full resolution."""
    parameters, multiply_adds = 0, 0
    for _ in range(n_layers):
        kernel = 3 * 3 * channels * n_filters
        parameters += kernel + n_filters  # and one bias per filter
        multiply_adds += kernel * height * width
        channels = n_filters  # what the next layer takes
    return parameters, multiply_adds


def judge_stack_cost(attempt):
    parts = ("parameters", "multiply-adds")

    def two_numbers(value):
        return tuple(as_number(part) for part in as_pair(value, *parts))

    cases = [(10, 8, 3, 4, 1), (96, 128, 3, 32, 9), (5, 7, 1, 6, 2), (6, 9, 2, 5, 3)]
    # Who counts a multiplication and an addition as two is not wrong, but has another unit.
    twice = edited(stack_cost, "height * width -> height * width * 2")
    if [two_numbers(attempt(*case)) for case in cases] == [twice(*case) for case in cases]:
        told = "You count multiplications and additions one by one, as many papers do (FLOPs)."
        return f"{told} This course counts a multiply-add as one: its numbers are half of yours."
    mistakes = {
        "A layer has one bias for each filter, not one for all.": "+ n_filters -> + 1",
        "The multiply-adds are those of one pixel.": " * height * width -> ",
        "The multiply-adds contain biases.": "kernel * height -> (kernel + n_filters) * height",
        'The multiply-adds are those of padding "valid". With "same" there is an output at every '
        "pixel.": "height * width -> (height - 2) * (width - 2)",
    }
    compare(attempt, cases, stack_cost, mistakes, convert=two_numbers, parts=parts)


def dense_as_convolution(weights, height, width):
    """Fold the weights of a dense layer after Flatten to the kernel of an equal convolution."""
    # Flatten runs through channels fastest, then columns, then rows: NumPy's own order.
    return weights.reshape(height, width, -1, weights.shape[1])


def judge_dense_as_convolution(attempt):
    sizes = [(2, 3, 4, 5), (3, 2, 1, 2), (4, 4, 2, 3)]  # height, width, channels, classes
    weights = [np.arange(math.prod(size), dtype="float32").reshape(-1, size[3]) for size in sizes]
    cases = [(array, *size[:2]) for array, size in zip(weights, sizes, strict=True)]
    mistakes = {
        "The weights are read in another order. Flatten runs over channels, columns, then rows.": [
            lambda x, h, w: x.reshape(-1, h, w, x.shape[1]).transpose(1, 2, 0, 3),
            lambda x, h, w: x.reshape(w, h, -1, x.shape[1]).transpose(1, 0, 2, 3),
            lambda x, h, w: x.reshape(h, -1, w, x.shape[1]).transpose(0, 2, 1, 3),
            lambda x, h, w: x.reshape((h, w, -1, x.shape[1]), order="F"),
        ],
        "The matrix was transposed before it was folded. Its rows already run through the "
        "flattened input, as they should.": "weights.reshape -> weights.T.reshape",
    }
    compare(attempt, cases, dense_as_convolution, mistakes, convert=as_array)


def transposed_convolution(inputs, kernel, stride):
    """Add up stamps: each input value lays a scaled kernel on a larger sheet, stride pixels apart.

    inputs (h, w, channels in), kernel (k, k, channels out, channels in) as Keras has it.
    """
    height, width, _ = inputs.shape
    side, _, channels_out, _ = kernel.shape
    sheet = np.zeros(((height - 1) * stride + side, (width - 1) * stride + side, channels_out))
    for row in range(height):
        for column in range(width):
            # (k, k, out, in) @ (in,): the stamp of this place, summed over the channels in
            stamp = kernel @ inputs[row, column]
            top, left = row * stride, column * stride
            sheet[top : top + side, left : left + side] += stamp
    return sheet


def judge_transposed_convolution(attempt):
    random = np.random.default_rng(0)
    # First as many channels in as out, so that a kernel read in either order runs.
    sizes = [(3, 3, 2, 3, 2, 2), (2, 3, 2, 2, 2, 2), (4, 3, 2, 4, 2, 3)]
    sizes += [(3, 3, 1, 3, 1, 2), (2, 4, 2, 3, 3, 2), (3, 2, 3, 4, 2, 2)]
    cases = []
    for height, width, channels, side, out, stride in sizes:
        inputs = random.integers(1, 5, (height, width, channels)).astype("float32")
        kernel = random.integers(1, 5, (side, side, out, channels)).astype("float32")
        cases.append((inputs, kernel, stride))
    stamps, add = transposed_convolution, "sheet[top : top + side, left : left + side] += stamp"
    mistakes = {
        "The stamps lie side by side, one kernel apart. They should be stride pixels apart, and "
        "overlap where the kernel is larger.": lambda x, k, s: stamps(x, k, len(k)),
        "Only the first channel of the input is used. The stamps of all channels add up.": (
            lambda x, k, s: stamps(x[..., :1], k[..., :1], s)
        ),
        "The first or the last row and column are left out. range(n) goes from 0 to n - 1.": [
            f"{add} -> if row and column: {add}",
            f"{add} -> if row < height - 1 and column < width - 1: {add}",
        ],
        "Where stamps overlap, the largest value is taken. They add up.": (
            f"{add} -> {add.replace('+= stamp', '= np.maximum(')}{add.replace('+=', ',')})"
        ),
        'This is what padding="same" leaves of it. The exercise asks for the whole sheet.': (
            "return sheet -> return sheet[: height * stride, : width * stride]"
        ),
        "The sheet is too large: the last stamp begins at (size - 1) * stride.": (
            lambda x, k, s: np.pad(stamps(x, k, s), ((0, s), (0, s), (0, 0)))
        ),
    }
    compare(attempt, cases, stamps, mistakes, convert=as_array)


def judge_fold(attempt):
    random = np.random.default_rng(12)
    # First as many channels in as out, or a factor on the wrong axis could not even be multiplied;
    # and an epsilon large enough to be missed.
    shapes = {(1, 1, 2, 2): 0.1, (3, 3, 4, 4): 0.3, (2, 3, 5, 5): 0.001}
    shapes |= {(3, 3, 2, 6): 0.01, (1, 1, 7, 1): 0.01}
    cases = []
    for shape, epsilon in shapes.items():
        gamma, beta = random.normal(1, 1, (2, shape[-1]))
        # both above 0: a learner who swaps them gets numbers, and a sentence about them
        mean, variance = random.uniform(0.2, 3, (2, shape[-1]))
        cases.append((random.normal(0, 1, shape), gamma, beta, mean, variance, epsilon))
    mistakes = {
        "epsilon is added after the root. It belongs to the variance, under the root.": [
            "np.sqrt(variance + epsilon) -> (np.sqrt(variance) + epsilon)",
            "np.sqrt(variance + epsilon) -> np.sqrt(variance) + epsilon",
        ],
        "The factor lies on the channels that come in. The normalisation scales what comes out, "
        "the kernel's last axis.": "kernel * factor -> kernel * factor[:, None]",
        "The mean is subtracted from the kernel. It is one of what the kernel gives, so it goes "
        "into the bias alone.": "kernel * factor -> (kernel - mean) * factor",
    }
    compare(attempt, cases, fold, mistakes, parts=("kernel", "bias"))


def roofline(operations, bytes_moved, peak_operations, bandwidth):
    """Return the shortest time that some work can take on a machine, and what limits it.

    Source: Williams et al. 2009, "Roofline: an insightful visual performance model".
    """
    computing, moving = operations / peak_operations, bytes_moved / bandwidth
    # a machine does both at the same time, so the longer one counts
    return max(computing, moving), "compute" if computing >= moving else "memory"


def as_limit(value):
    """Take (seconds, "compute" or "memory"); raises Incorrect for anything else."""
    wanted = 'expected two things, the seconds and "compute" or "memory"'
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; {wanted}.")
    seconds, limit = value
    if isinstance(seconds, str) and not isinstance(limit, str):
        raise Incorrect("The two results are swapped: first the seconds, then what limits.")
    if not isinstance(limit, str) or limit not in ("compute", "memory"):
        raise Incorrect(f"Its second result is {describe(limit)}; {wanted}.")
    return as_number(seconds), np.array(limit)


def judge_roofline(attempt):
    # operations, bytes, operations a second, bytes a second
    cases = [(800.0, 10.0, 100.0, 20.0), (30.0, 60.0, 100.0, 20.0), (50.0, 40.0, 100.0, 20.0)]
    cases += [(6e9, 8e8, 2e9, 1e9), (100.0, 300.0, 5.0, 40.0), (900.0, 45.0, 60.0, 2.0)]
    cases += [(70.0, 90.0, 20.0, 30.0), (40.0, 70.0, 9.0, 4.0), (500.0, 30.0, 3.0, 7.0)]
    cases += [(64.0, 800.0, 50.0, 100.0), (3e6, 2e5, 8e5, 4e5), (7e6, 9e5, 8e6, 4e5)]
    cases += [(100.0, 45.0, 50.0, 25.0), (66.0, 63.0, 20.0, 21.0)]  # nearly balanced
    longer, is_compute = "max(computing, moving)", "computing >= moving"
    mistakes = {
        "The two times are added up. A machine computes while it loads, so at best the longer of "
        "the two is all it takes.": f"{longer} -> computing + moving",
        "It is the mean of the two times, not the longer.": f"{longer} -> (computing + moving) / 2",
        "The memory is left out of the seconds.": f"{longer} -> computing",
        "The computing is left out of the seconds.": f"{longer} -> moving",
        "The divisions stand on their heads: seconds are operations divided by operations a "
        "second.": f"{longer} -> max(1 / computing, 1 / moving)",
        "Bytes are turned into bits: convert nothing.": f"{longer} -> max(computing, 8 * moving)",
        "This is the speed that can be reached, in operations a second. The seconds are the "
        "operations divided by it.": f"{longer} -> operations / {longer}",
        'It always says "compute". Which of the two times is longer?': f"{is_compute} -> True",
        'It always says "memory". Which of the two times is longer?': f"{is_compute} -> False",
        "Operations are compared with bytes, as if the machine were equally fast at both. Compare "
        "their times.": f"{is_compute} -> operations > bytes_moved",
        "The intensity is compared with one of the two speeds. Compare it with their ratio.": [
            f"{is_compute} -> operations / bytes_moved > bandwidth",
            f"{is_compute} -> operations / bytes_moved > peak_operations",
        ],
    }
    compare(attempt, cases, roofline, mistakes, convert=as_limit, parts=("seconds", "limit"))
