"""Exercises on sizes, costs and receptive fields, and on convolutions done by hand in NumPy."""

import numpy as np

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array, as_number, as_pair

# ---------------------------------------------------------------- sizes


def output_size(size, kernel, stride, padding):
    """Give the side of a convolution's or pooling's output, as Keras rounds it."""
    if padding == "same":
        return -(-size // stride)  # divided and rounded up
    return (size - kernel) // stride + 1


def judge_output_size(attempt):
    cases = [
        (size, kernel, stride, padding)
        for size, kernel, stride in [(96, 3, 1), (96, 3, 2), (97, 3, 2), (97, 2, 2), (10, 5, 3)]
        for padding in ("valid", "same")
    ]
    mistakes = [
        (
            lambda n, k, s, p: -(-n // s) if p == "same" else (n - k) // s,
            'With padding "valid" the size is one too small: a window that fits exactly still '
            "gives one output, so 1 is added at the end.",
        ),
        (
            lambda n, k, s, p: n if p == "same" else (n - k) // s + 1,
            'With padding "same" the stride is forgotten: only at stride 1 does the size stay.',
        ),
        (
            lambda n, k, s, p: n // s if p == "same" else (n - k) // s + 1,
            'With padding "same" the size is rounded down. Keras rounds up: 97 with stride 2 '
            "gives 49.",
        ),
        (
            lambda n, k, s, p: (n - k) // s + 1,
            'The padding is ignored. With "same" Keras adds zeros so that only the stride counts.',
        ),
        (
            lambda n, k, s, p: -(-n // s),
            'The kernel is ignored. With "valid" the window must lie inside, which costs '
            "kernel - 1 pixels.",
        ),
        (
            lambda n, k, s, p: -(-n // s) if p == "same" else n - k + 1,
            'With padding "valid" the stride is forgotten.',
        ),
        (
            lambda n, k, s, p: -(-n // s) if p == "same" else (n - k) / s + 1,
            'With padding "valid" the result is not a whole number: a window that would stick out '
            "gives no output, so divide with // and not with /.",
        ),
        (
            lambda n, k, s, p: -(-n // s) if p == "same" else -(-(n - k) // s) + 1,
            'With padding "valid" the size is rounded up: a last window that sticks out of the '
            "image gives no output.",
        ),
    ]
    compare(
        attempt,
        cases,
        output_size,
        mistakes,
        lambda n, k, s, p: f'size {n}, kernel {k}, stride {s}, padding "{p}"',
    )


output_size_exercise = Exercise("output_size", judge_output_size, output_size)


def transposed_size(size, kernel, stride, padding):
    """Give the side of a transposed convolution's output; kernel at least the stride."""
    if padding == "same":
        return size * stride
    return (size - 1) * stride + kernel  # the last stamp begins at (size - 1) * stride


def judge_transposed_size(attempt):
    cases = [
        (size, kernel, stride, padding)
        for size, kernel, stride in [(3, 3, 2), (6, 2, 2), (12, 4, 2), (5, 3, 1), (20, 16, 8)]
        for padding in ("valid", "same")
    ]
    mistakes = [
        (
            lambda n, k, s, p: n * s if p == "same" else n * s + k,
            'With padding "valid" one stride too much: the first stamp begins at 0, so the last '
            "of n stamps begins at (n - 1) * stride.",
        ),
        (
            lambda n, k, s, p: n * s,
            'The kernel is ignored: with "valid" the last stamp sticks out by kernel - stride.',
        ),
        (
            lambda n, k, s, p: (n - 1) * s + k,
            'The padding is ignored: with "same" the sheet is cut to exactly stride times the '
            "input.",
        ),
        (
            lambda n, k, s, p: -(-n // s) if p == "same" else (n - k) // s + 1,
            "This is the size of an ordinary convolution. A transposed one goes the other way and "
            "enlarges.",
        ),
        (
            lambda n, k, s, p: n * s if p == "same" else n * k,
            'With padding "valid" each value is given a stamp of its own. Stamps are stride pixels '
            "apart, not kernel, and overlap.",
        ),
        (
            lambda n, k, s, p: n * s if p == "same" else (n - 1) * s,
            'With padding "valid" the last stamp is missing: from its beginning it is kernel '
            "pixels long.",
        ),
        (
            lambda n, k, s, p: n if p == "same" else (n - 1) * s + k,
            '"same" does not mean the same size here: the output is stride times the input.',
        ),
        (
            lambda n, k, s, p: n * s if p == "same" else n + k - 1,
            'With padding "valid" the stride is forgotten: this holds only where it is 1.',
        ),
    ]
    compare(
        attempt,
        cases,
        transposed_size,
        mistakes,
        lambda n, k, s, p: f'size {n}, kernel {k}, stride {s}, padding "{p}"',
    )


transposed_size_exercise = Exercise("transposed_size", judge_transposed_size, transposed_size)


# ---------------------------------------------------------------- receptive field and cost


def receptive_field(layers):
    """Give the side of the square of input pixels that one output value depends on.

    layers is a list of (kernel, stride), first layer first. Source: Araujo et al. 2019, eq. 2.
    """
    field = 1
    step = 1  # how many input pixels lie between neighbouring values
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


def field_with(grow, layers):
    """Compute a field as `receptive_field` does, with another rule for a layer's growth."""
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = grow(field, step, kernel, stride)
    return field


def judge_receptive_field(attempt):
    cases = [
        ([(3, 1)],),
        ([(3, 1), (3, 1)],),
        ([(3, 1), (3, 1), (2, 2), (3, 1), (3, 1)],),
        ([(7, 2), (3, 2), (3, 1)],),
        ([(5, 1), (4, 3)],),
        ([(3, 1), (3, 1), (2, 2)] * 4 + [(3, 1), (3, 1)],),
    ]
    mistakes = [
        (
            lambda layers: field_with(lambda f, j, k, s: (f + k - 1, j), layers),
            "The strides are ignored. After a stride of 2 neighbouring values are two input pixels "
            "apart, so every later kernel reaches twice as far.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + (k - 1) * j * s, j * s), layers),
            "A layer's own stride is counted too early. It spreads the values that come out, so it "
            "counts for the layers after it.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + (k - 1) * j, j * s), layers) - 1,
            "It is one too small throughout: without any layer a value depends on one pixel, "
            "itself, so start at 1.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + k * j, j * s), layers),
            "Each kernel is counted whole. A 3x3 kernel adds only 2 pixels: one of its three "
            "was there already.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + k * j, j * s), layers) - 1,
            "Each kernel is counted whole. A 3x3 kernel adds only 2 pixels: one of its three "
            "was there already. And the start is 1, the pixel itself.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + (k - 1) * s, s), layers),
            "Only a layer's own stride is counted. The strides of all layers before it multiply.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + (k - 1) * j, s), layers),
            "Only the last stride is remembered. The strides of all layers before multiply.",
        ),
        (
            lambda layers: field_with(lambda f, j, k, s: (f + (k - 1) * j, j + s - 1), layers),
            "The strides are added up; they multiply: two poolings of 2 make a step of 4.",
        ),
        (
            lambda layers: receptive_field(layers[::-1]),
            "The layers are gone through from the last to the first, with the rule for first to "
            "last.",
        ),
        (
            lambda layers: receptive_field([(k, s) for k, s in layers if s == 1]),
            "The poolings are left out. They look at 2 pixels, and they spread what comes after.",
        ),
        (
            lambda layers: np.prod([kernel for kernel, _ in layers]),
            "The kernels are multiplied; each one only adds its reach to what was seen before.",
        ),
    ]
    compare(attempt, cases, receptive_field, mistakes, lambda layers: f"layers {layers}")


receptive_field_exercise = Exercise("receptive_field", judge_receptive_field, receptive_field)


def stack_cost(height, width, channels, n_filters, n_layers):
    """Count the parameters and multiply-adds of a stack of 3x3 convolutions at full resolution."""
    parameters, multiply_adds = 0, 0
    for _ in range(n_layers):
        kernel = 3 * 3 * channels * n_filters
        parameters += kernel + n_filters  # and one bias per filter
        multiply_adds += kernel * height * width
        channels = n_filters  # what the next layer takes
    return parameters, multiply_adds


def cost_with(kernel, bias, n_layers, height, width, channels, n_filters):
    """Count as `stack_cost` does, with another kernel or bias."""
    parameters, multiply_adds = 0, 0
    for _ in range(n_layers):
        weights = kernel * channels * n_filters
        parameters += weights + bias * n_filters
        multiply_adds += weights * height * width
        channels = n_filters
    return parameters, multiply_adds


def judge_stack_cost(attempt):
    cases = [(10, 8, 3, 4, 1), (96, 128, 3, 32, 9), (5, 7, 1, 6, 2)]
    right = [stack_cost(*case) for case in cases]

    def convert(value):
        parts = as_pair(value, "parameters", "multiply-adds")
        return tuple(as_number(part) for part in parts)

    answers = [convert(attempt(*case)) for case in cases]
    # Who counts a multiplication and an addition as two is not wrong, but has another unit.
    doubled = [(parameters, 2 * operations) for parameters, operations in right]
    if [tuple(map(float, answer)) for answer in answers] == doubled:
        return (
            "You count multiplications and additions one by one, which many papers do "
            "(FLOPs). This course counts a multiply-add as one, so its numbers are half of yours."
        )
    mistakes = [
        (
            lambda h, w, c, f, n: cost_with(9, 0, n, h, w, c, f),
            "The biases are missing: every filter has one parameter more than its kernel.",
        ),
        (
            lambda h, w, c, f, n: cost_with(9, 1, n, h, w, f, f),
            "The first layer is counted as if its input had n_filters channels; the image has "
            "fewer.",
        ),
        (
            lambda h, w, c, f, n: tuple(n * part for part in stack_cost(h, w, c, f, 1)),
            "All layers are counted like the first. From the second on the input has n_filters "
            "channels.",
        ),
        (
            lambda h, w, c, f, n: cost_with(3, 1, n, h, w, c, f),
            "A 3x3 kernel has 9 weights for each pair of channels, not 3.",
        ),
        (
            lambda h, w, c, f, n: (stack_cost(h, w, c, f, n)[0], cost_with(9, 0, n, 1, 1, c, f)[1]),
            "The multiply-adds are those of one pixel. Each weight is used at every pixel of the "
            "image.",
        ),
        (
            lambda h, w, c, f, n: stack_cost(h, w, c, f, n)[::-1],
            "The two are swapped: first the parameters, then the multiply-adds.",
        ),
        (
            lambda h, w, c, f, n: stack_cost(h, w, c, f, n - 1),
            "One layer is missing.",
        ),
        (
            lambda h, w, c, f, n: (
                stack_cost(h, w, c, f, n)[0],
                stack_cost(h, w, c, f, n)[0] * h * w,
            ),
            "The multiply-adds contain the biases. A bias is only added; it is no multiply-add.",
        ),
        (
            lambda h, w, c, f, n: (
                stack_cost(h, w, c, f, n)[0],
                cost_with(9, 0, n, h - 2, w - 2, c, f)[1],
            ),
            'The multiply-adds are those of padding "valid". With "same" there is an output at '
            "every pixel.",
        ),
    ]
    compare(
        attempt,
        cases,
        stack_cost,
        mistakes,
        lambda h, w, c, f, n: f"a {h}x{w} image of {c} channels, {f} filters, {n} layers",
        convert=convert,
    )


stack_cost_exercise = Exercise("stack_cost", judge_stack_cost, stack_cost)


# ---------------------------------------------------------------- convolutions by hand


def dense_as_convolution(weights, height, width):
    """Fold the weights of a dense layer after Flatten to the kernel of an equal convolution."""
    # Flatten runs through channels fastest, then columns, then rows: NumPy's own order.
    return weights.reshape(height, width, -1, weights.shape[1])


def judge_dense_as_convolution(attempt):
    cases = []
    for height, width, channels, classes in [(2, 3, 4, 5), (3, 2, 1, 2), (4, 4, 2, 3)]:
        count = height * width * channels * classes
        weights = np.arange(count, dtype="float32").reshape(-1, classes)
        cases.append((weights, height, width))

    mistakes = [
        (
            lambda x, h, w: x.reshape(-1, h, w, x.shape[1]).transpose(1, 2, 0, 3),
            "The rows of the matrix are read as channels first. Keras's Flatten runs through the "
            "channels fastest, then the columns, then the rows.",
        ),
        (
            lambda x, h, w: x.reshape(w, h, -1, x.shape[1]).transpose(1, 0, 2, 3),
            "Rows and columns are mixed up: Flatten runs through the columns faster than through "
            "the rows.",
        ),
        (
            lambda x, h, w: x.reshape(w, h, -1, x.shape[1]),
            "Height and width are swapped: the kernel is (height, width, channels, classes).",
        ),
        (
            lambda x, h, w: x.reshape(h, w, -1, x.shape[1])[::-1, ::-1],
            "The kernel is turned by 180 degrees. The textbook's convolution does that; Keras's "
            "Conv2D does not.",
        ),
        (
            lambda x, h, w: x.reshape(h, w, x.shape[1], -1),
            "Channels and classes have changed places in the shape without being moved: the last "
            "axis of the matrix is the classes, and stays the last.",
        ),
        (
            lambda x, h, w: x.reshape(h, w, -1, x.shape[1]).transpose(0, 1, 3, 2),
            "The last two axes are swapped. Conv2D's kernel is (height, width, channels in, "
            "filters); the other order is Conv2DTranspose's.",
        ),
        (
            lambda x, h, w: x.T.reshape(x.shape[1], h, w, -1),
            "The classes come first here. Conv2D's kernel has them last: (height, width, channels, "
            "classes).",
        ),
        (
            lambda x, h, w: x.T.reshape(h, w, -1, x.shape[1]),
            "The matrix was transposed before it was folded. Its rows already run through the "
            "flattened input, as they should.",
        ),
        (
            lambda x, h, w: x,
            "This is still the matrix. Fold its first axis into height, width and channels.",
        ),
        (
            lambda x, h, w: x.reshape(1, 1, -1, x.shape[1]),
            "This is the kernel of a 1x1 convolution on the flattened input. The kernel should be "
            "as large as the map: (height, width, channels, classes).",
        ),
    ]
    compare(
        attempt,
        cases,
        dense_as_convolution,
        mistakes,
        lambda x, h, w: f"weights of shape {x.shape}, height {h}, width {w}",
        convert=as_array,
    )


dense_as_convolution_exercise = Exercise(
    "dense_as_convolution", judge_dense_as_convolution, dense_as_convolution
)


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
    cases = []
    for height, width, channels, side, out, stride in [
        (3, 3, 1, 3, 1, 2),
        (2, 4, 2, 3, 3, 2),
        (3, 2, 3, 4, 2, 2),
        (2, 3, 2, 2, 2, 2),
    ]:
        inputs = random.integers(1, 5, (height, width, channels)).astype("float32")
        kernel = random.integers(1, 5, (side, side, out, channels)).astype("float32")
        cases.append((inputs, kernel, stride))

    def overwritten(x, k, s):
        sheet = np.zeros_like(transposed_convolution(x, k, s))
        for r, c in np.ndindex(x.shape[:2]):
            sheet[r * s : r * s + len(k), c * s : c * s + len(k)] = k @ x[r, c]
        return sheet

    def first_channel(x, k, s):
        return transposed_convolution(x[..., :1], k[..., :1], s)

    def same_padding(x, k, s):
        return transposed_convolution(x, k, s)[: len(x) * s, : x.shape[1] * s]

    def spread(x, k, s):
        # the zeros in between, then an ordinary convolution, which looks through a turned kernel
        return transposed_convolution(x, k[::-1, ::-1], s)

    mistakes = [
        (
            overwritten,
            "Where stamps overlap the later one wins. They add up: += instead of =.",
        ),
        (
            spread,
            "The kernel is turned by 180 degrees. Each value stamps the kernel as it is.",
        ),
        (
            lambda x, k, s: transposed_convolution(x, k, 1),
            "The stride is ignored: stamps lie stride pixels apart.",
        ),
        (
            lambda x, k, s: transposed_convolution(x, k, len(k)),
            "The stamps lie side by side, one kernel apart. They should be stride pixels apart, "
            "and overlap where the kernel is larger.",
        ),
        (
            first_channel,
            "Only the first channel of the input is used. The stamps of all channels add up.",
        ),
        (
            lambda x, k, s: transposed_convolution(x, k, s).sum(-1, keepdims=True),
            "The output channels are summed into one; each has its own kernel and its own sheet.",
        ),
        (
            same_padding,
            'This is what padding="same" leaves of it. The exercise asks for the whole sheet, '
            "(size - 1) * stride + kernel pixels wide.",
        ),
        (
            lambda x, k, s: transposed_convolution(x, k.swapaxes(0, 1), s),
            "Rows and columns of the kernel are swapped.",
        ),
        (
            lambda x, k, s: transposed_convolution(x.swapaxes(0, 1), k, s),
            "Rows and columns of the input are swapped.",
        ),
        (
            lambda x, k, s: transposed_convolution(x, k, s)[..., 0],
            "The sheet of the first output channel alone: the result is (rows, columns, channels "
            "out).",
        ),
    ]
    if makes_swapped_channels(attempt):
        raise Incorrect(
            "The last two axes of the kernel are swapped. For a transposed convolution Keras has "
            "(side, side, channels out, channels in)."
        )
    compare(
        attempt,
        cases,
        transposed_convolution,
        mistakes,
        lambda x, k, s: f"an input {x.shape}, a kernel {k.shape} and stride {s}",
        convert=as_array,
    )


def makes_swapped_channels(attempt):
    """Tell whether an answer reads the kernel as (side, side, channels in, channels out)."""
    inputs = np.array([[[1.0, 10.0]]])
    kernel = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])  # as many channels in as out: both orders run
    return np.allclose(as_array(attempt(inputs, kernel, 1)).ravel(), [31.0, 42.0])


transposed_convolution_exercise = Exercise(
    "transposed_convolution", judge_transposed_convolution, transposed_convolution
)
