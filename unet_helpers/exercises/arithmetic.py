"""Exercises on sizes, costs and receptive fields, and on convolutions done by hand in NumPy."""

from unet_helpers.exercises.exercise import Exercise, compare

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
            "picture gives no output.",
        ),
    ]
    compare(
        attempt,
        cases,
        output_size,
        mistakes,
        lambda n, k, s, p: f'size {n}, kernel {k}, stride {s}, padding "{p}"',
    )


output_size_exercise = Exercise(
    judge_output_size,
    output_size,
    task="Give the side of a convolution's output from the side of its input, the kernel's side, "
    'the stride and the padding ("valid" or "same").',
    call="my_output_size(size, kernel, stride, padding)",
    minutes=5,
    hints=(
        "Draw a row of 7 pixels and slide a window of 3 over it. How many places are there with "
        "stride 1? With stride 2?",
        'With "valid" the first window begins at 0 and the last may begin at size - kernel. With '
        '"same" every stride-th pixel is the centre of a window.',
        '"valid": (size - kernel) // stride + 1. "same": size / stride, rounded up.',
    ),
)
