"""The check of the input pipeline accepts right answers and tells wrong ones apart."""

import numpy as np
import pytest
import tensorflow as tf

from unet_helpers import exercises


def in_other_words(pairs, augment, batch_size):
    arrays = [np.stack(part) for part in zip(*pairs.as_numpy_iterator(), strict=True)]
    kept = tf.data.Dataset.from_tensor_slices(tuple(arrays))
    order = tf.data.Dataset.range(len(kept)).shuffle(1000, seed=3)
    shuffled = order.map(lambda i: tuple(tf.gather(array, i) for array in arrays))
    return shuffled.map(augment).ragged_batch(batch_size).prefetch(tf.data.AUTOTUNE)


def augmented_in_parallel(pairs, augment, batch_size):
    pairs = pairs.cache().map(lambda x, y: augment(x, y), num_parallel_calls=2)
    return pairs.shuffle(len(pairs)).batch(batch_size).prefetch(1)


@pytest.mark.parametrize("answer", [in_other_words, augmented_in_parallel])
def test_right_answers_pass(answer):
    assert exercises.input_pipeline.verdict(answer) == (True, "right.")


def halves(image, mask):
    return tf.cast(image, tf.float32) / 255, mask


def apart(pairs, augment, batch_size):
    pairs = pairs.cache()
    images, masks = (pairs.map(lambda *pair, i=i: pair[i]).shuffle(24) for i in (0, 1))
    return tf.data.Dataset.zip((images, masks)).map(augment).batch(batch_size).prefetch(2)


WRONG = [
    (lambda p, a, b: list(p), "a list of 24"),
    (lambda p, a, b: p.cache().shuffle(24).map(a).prefetch(2), "single pairs"),
    (
        lambda p, a, b: p.cache().map(a).batch(b).map(lambda x, y: (y, x)),
        "expected images of 4 axes",
    ),
    (lambda p, a, b: p.cache().map(a).batch(b).batch(b), "5 axes of uint8 and 4 axes"),
    (lambda p, a, b: p.map(lambda x, y: x).batch(b), "have 4 axes of uint8;"),
    (lambda p, a, b: p.cache().shuffle(24).map(a).map(halves).batch(b), "float32"),
    (lambda p, a, b: p.cache().shuffle(24).map(a).batch(8).prefetch(2), "Is batch_size used?"),
    (lambda p, a, b: p.cache().shuffle(24).map(a).batch(b, True).prefetch(2), "drop_remainder"),
    (lambda p, a, b: p.cache().shuffle(24).map(a).repeat().batch(b), "Leave .repeat() out"),
    (lambda p, a, b: p.cache().repeat(2).shuffle(48).take(24).map(a).batch(b), "come twice"),
    (apart, "do not belong together"),
    (lambda p, a, b: p.cache().map(a).batch(b).prefetch(2), "order of their files"),
    (lambda p, a, b: p.shuffle(24).cache().map(a).batch(b).prefetch(2), "same order"),
    (
        lambda p, a, b: p.shuffle(24, reshuffle_each_iteration=False).map(a).batch(b).prefetch(2),
        "same order",
    ),
    (lambda p, a, b: p.cache().map(a).batch(b).shuffle(24).prefetch(2), "Shuffle before .batch"),
    (lambda p, a, b: p.cache().shuffle(b).map(a).batch(b).prefetch(2), "is about 5 pairs"),
    (lambda p, a, b: p.cache().shuffle(24).batch(b).prefetch(2), "not augmented"),
    (lambda p, a, b: p.cache().shuffle(24).batch(b).map(a).prefetch(2), "same change"),
    (lambda p, a, b: p.map(a).cache().shuffle(24).batch(b).prefetch(2), "after the cache"),
    (lambda p, a, b: p.shuffle(24).map(a).batch(b).prefetch(2), "decoded 120 pairs"),
]


@pytest.mark.parametrize("answer, told", WRONG)
def test_wrong_answers_hear_the_cause(answer, told):
    passed, sentence = exercises.input_pipeline.verdict(answer)
    assert not passed and told in sentence, sentence
