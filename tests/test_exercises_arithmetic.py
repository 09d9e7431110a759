"""The checks of the arithmetic exercises accept right answers and tell wrong ones apart.

The wrong answers are written here as a learner would write them, not taken from the package.
"""

import math

import pytest

from unet_helpers import exercises


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


def size_by_counting(size, kernel, stride, padding):
    if padding == "valid":
        return len([start for start in range(0, size, stride) if start + kernel <= size])
    return len(range(0, size, stride))


RIGHT = [
    ("output_size", size_by_counting),
    ("output_size", lambda n, k, s, p: math.ceil((n - k + 1) / s if p == "valid" else n / s)),
]


@pytest.mark.parametrize("name, answer", RIGHT)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def size_without_one(size, kernel, stride, padding):
    return (size - kernel) // stride if padding == "valid" else math.ceil(size / stride)


WRONG = [
    ("output_size", size_without_one, "one too small"),
    ("output_size", lambda n, k, s, p: (n - k) // s + 1, "padding is ignored"),
]


@pytest.mark.parametrize("name, answer, told", WRONG)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence
