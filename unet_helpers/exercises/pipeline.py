"""Exercise on the way from pairs to batches, judged by what the batches of some epochs hold."""

import itertools

import numpy as np
import tensorflow as tf

from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.running import raise_first

N_PAIRS, BATCH_SIZE = 24, 5


def input_pipeline(pairs, augment, batch_size):
    """Turn pairs of image and mask into batches, shuffled and augmented anew in every epoch."""
    pairs = pairs.cache()  # after decoding, before anything random
    pairs = pairs.shuffle(len(pairs))
    pairs = pairs.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return pairs.batch(batch_size).prefetch(2)


def judge_input_pipeline(attempt):
    decoded, calls = [], itertools.count(1)

    def decode():  # red and mask hold the number of the pair
        for number in range(N_PAIRS):
            decoded.append(number)
            image = np.full((4, 4, 3), (number, 0, 0), np.uint8)
            yield image, image[..., 0]

    def augment(image, mask):  # green and blue get the number of the call
        call = lambda: np.array([0, *divmod(next(calls), 256)], np.uint8)  # noqa: E731
        number = tf.ensure_shape(tf.numpy_function(call, (), tf.uint8), (3,))
        return image + number, mask

    specs = tf.TensorSpec((4, 4, 3), tf.uint8), tf.TensorSpec((4, 4), tf.uint8)
    pairs = tf.data.Dataset.from_generator(decode, output_signature=specs)
    pairs = pairs.apply(tf.data.experimental.assert_cardinality(N_PAIRS))
    batches = attempt(pairs, augment, BATCH_SIZE)
    if not isinstance(batches, tf.data.Dataset):
        raise Incorrect(f"It returns {describe(batches)}; expected a tf.data.Dataset.")
    specs = tf.nest.flatten(batches.element_spec)
    ranks, dtypes = [spec.shape.rank for spec in specs], [spec.dtype.name for spec in specs]
    told = " and ".join(f"{n} axes of {dtype}" for n, dtype in zip(ranks, dtypes, strict=True))
    faults = {
        "It yields single pairs. .batch(batch_size) joins them.": ranks == [3, 2],
        f"Its elements have {told}; expected images of 4 axes and masks of 3, both uint8: the "
        "model's first layer divides by 255.": (ranks, dtypes) != ([4, 3], ["uint8"] * 2),
    }
    raise_first(faults)
    check_epochs([list(itertools.islice(batches.as_numpy_iterator(), 30)) for _ in range(5)])
    if len(decoded) > N_PAIRS:
        raise Incorrect(f"Five epochs decoded {len(decoded)} pairs. .cache() keeps them.")


def check_epochs(epochs):
    """Raise Incorrect unless all pairs are in every epoch, in a new order and newly augmented."""
    sizes = [len(masks) for _, masks in epochs[0]]
    told = f"{N_PAIRS} pairs in batches of {BATCH_SIZE} give batches of {sizes[:8]}"
    faults = {
        "An epoch shows pairs several times, or never ends. Leave .repeat() out: fit begins every "
        "epoch itself.": sum(sizes) > N_PAIRS,
        f"{told}: some pairs are in no batch. Leave drop_remainder out.": sum(sizes) < N_PAIRS,
        f"{told}. Is batch_size used?": sorted(sizes) != [4, 5, 5, 5, 5],
    }
    raise_first(faults)
    groups = [{frozenset(masks[:, 0, 0]) for _, masks in epoch} for epoch in epochs]
    joined = [[np.concatenate(part).astype(int) for part in zip(*e, strict=True)] for e in epochs]
    numbers = np.array([masks[:, 0, 0] for _, masks in joined])
    calls = np.array([images[:, 0, 0, 1:] @ (256, 1) for images, _ in joined])
    ahead = (numbers - np.arange(N_PAIRS)).max()  # a buffer of k moves a pair up by at most k - 1
    apart = any((images[:, 0, 0, 0] != masks[:, 0, 0]).any() for images, masks in joined)
    twice = any(len(set(epoch)) < N_PAIRS for epoch in numbers)
    together = all(group == groups[0] for group in groups)
    by_batch = "All images of a batch get the same change. .map(augment) belongs before .batch."
    faults = {
        "Images and masks do not belong together any more: shuffle pairs.": apart,
        "Some pairs are missing from an epoch, and others come twice.": twice,
        "The pairs come in the order of their files. Shuffle.": (np.diff(numbers) == 1).all(),
        "Every epoch has the same order. Cache before you shuffle, and let shuffle draw anew "
        "(reshuffle_each_iteration=True, the default).": (numbers == numbers[0]).all(),
        "The same pairs meet in a batch in every epoch. Shuffle before .batch.": together,
        f"The first batches hold early pairs only: the shuffle buffer is about {ahead + 1} pairs. "
        "Give it all of them, len(pairs).": ahead < N_PAIRS // 2,
        "The images are not augmented: .map(augment) calls it with every pair.": not calls.any(),
        by_batch: len(set(calls[0])) < N_PAIRS,
        "A pair looks the same in every epoch: what .cache() keeps has been augmented. "
        ".map(augment) belongs after the cache.": set(calls[0]) == set(calls[1]),
    }
    raise_first(faults)
