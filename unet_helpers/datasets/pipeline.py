"""From pairs of files to `tf.data` batches."""

import math
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from unet_helpers.datasets import cache as caching
from unet_helpers.datasets.images import resize_image, resize_mask
from unet_helpers.files import full_folder
from unet_helpers.labels import VOID, DataError, check_number, check_size, check_values, note

DARK = 17  # what the whitest pixel of 12 bits in a 16-bit file stays below


def load_pairs(pairs, read_pair, n_classes, image_size, description="images", cache="auto"):
    """Decode, check and resize pairs of files, several at a time, into a data set.

    Args:
        pairs: list of (image path, mask path).
        read_pair: function (image path, mask path) -> (uint8 (H, W, 3), uint8 (H, W)), void 255.
        n_classes: labels must be 0 .. n_classes - 1 or void.
        image_size: (h, w) of all pairs; None keeps each pair's own size.
        description: for the progress bar, and for the name of a cache on disk.
        cache: where the decoded pairs are kept: "memory"; "disk", the folder `cache` beside the
            full data sets; the path of another folder; or "auto", the disk if the pairs would take
            more than a quarter of the free memory. UNET_COURSE_CACHE overrides "auto".

    Returns a tf.data.Dataset of (uint8 (h, w, 3), uint8 (h, w)), in the order of pairs, unbatched.
    Raises DataError for no pairs; image and mask that differ in size; labels outside the classes; a
    file that cannot be read; a cache that cannot be written. The message names the file.
    """
    if not pairs:
        raise DataError(f"There are no {description} to load: the split is empty.")
    if image_size is not None:
        check_size("image_size", image_size, (96, 128))

    def load(pair):
        image, mask = read_pair(*pair)
        if image.dtype != np.uint8 or mask.dtype != np.uint8:
            raise DataError(
                f"{pair[0]} was read as {image.dtype}, {pair[1]} as {mask.dtype}; expected uint8, "
                "0 to 255, which has no nan. Scale and convert it in read_pair."
            )
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{pair[0]} is {image.shape[0]}x{image.shape[1]}, but its mask {pair[1]} is "
                f"{mask.shape[0]}x{mask.shape[1]} (height x width). Do they belong together, or "
                "does EXIF data turn only one of them? Save both as they are shown."
            )
        check_values(mask, n_classes, pair[1])
        if image_size is not None:
            image, mask = resize_image(image, image_size), resize_mask(mask, image_size)
        return image, mask

    def decode(numbers):
        found = in_threads(load, [pairs[number] for number in numbers])
        counts, dark = np.zeros(256, np.int64), 0
        # A progress bar only if there is something to wait for.
        for image, mask in tqdm(found, description, len(numbers), disable=len(numbers) < 1000):
            counts += np.bincount(mask.ravel(), minlength=256)
            dark += image.max(initial=0) < DARK
            yield image, mask
        if len(numbers) == len(pairs):
            remark(description, counts, n_classes, dark / len(pairs))

    n_bytes = None if image_size is None else 4 * image_size[0] * image_size[1] * len(pairs)
    folder = caching.choose(cache, n_bytes, full_folder("cache"))
    if folder is not None:
        settings = (n_classes, tuple(image_size), getattr(read_pair, "keywords", None))
        name = re.sub(r"\W+", "-", description)[:80]
        name += f"-{image_size[0]}x{image_size[1]}-{caching.fingerprint(pairs, load, settings)}"
        return caching.dataset(folder / name, len(pairs), image_size, decode)
    decoded = decode(range(len(pairs)))
    if image_size is None:
        return from_arrays(*zip(*decoded, strict=True))
    images = np.empty((len(pairs), *image_size, 3), np.uint8)
    masks = np.empty((len(pairs), *image_size), np.uint8)
    for i, pair in enumerate(decoded):
        images[i], masks[i] = pair
    return from_arrays(images, masks)


def remark(description, counts, n_classes, dark):
    """Say when most images are nearly black, or void covers what may be a class."""
    if dark > 0.5:
        note(
            f"{dark:.0%} of the {description} are nearly black, below {DARK} of 255. Do 16-bit "
            "files hold 12 bits? Scale all of them alike to the full range."
        )
    void, rarest = counts[VOID], counts[:n_classes].argmin()
    few = 0.1 * void if n_classes == 2 else 0  # of many classes one may well be rare
    if void > 0.9 * counts.sum() or (void and counts[rarest] <= few):
        note(
            f"The {description} have {counts[rarest]:,} pixels of class {rarest} (from 0) and "
            f"{void:,} of void. Does void stand for a class?"
        )


def in_threads(function, items):
    """Call a function for every item, several at once, and yield the results in order."""
    workers = os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), 4 * workers):  # all at once, they would fill the memory
            yield from pool.map(function, items[start : start + 4 * workers])


def from_arrays(images, masks):
    """Return a data set of (image, mask) pairs from two sequences of uint8 arrays."""
    if len({image.shape for image in images}) == 1:
        # Kept on the CPU: a GPU's memory is for the model.
        with tf.device("CPU:0"):
            return tf.data.Dataset.from_tensor_slices((np.asarray(images), np.asarray(masks)))
    specs = tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((None, None), tf.uint8)
    dataset = tf.data.Dataset.from_generator(
        lambda: zip(images, masks, strict=True), output_signature=specs
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(images)))


def to_arrays(dataset):
    """Collect pairs of one size into two arrays, uint8 (N, H, W, 3) and uint8 (N, H, W)."""
    images, masks = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(masks)


def batches(dataset, batch_size=8, epochs=None, augmentation=None, seed=0):
    """Turn a data set of pairs into batches, for one pass in order or for several epochs.

    The order and the augmentation depend only on the seed, the epoch and a pair's index in it. So
    `batches.skip(k * steps)`, with `steps = len(batches) // epochs`, resumes after k epochs.

    Args:
        dataset: tf.data.Dataset of (image, mask) pairs of one size.
        batch_size: pairs per batch; the last batch of an epoch may be smaller.
        epochs: None yields the pairs once, in order; a number so many epochs, each shuffled anew.
        augmentation: function (image, mask, seed) -> (image, mask), seed int64 (2,); needs epochs.
        seed: integer, of shuffling and augmentation.

    Returns a tf.data.Dataset of (uint8 (B, H, W, 3), uint8 (B, H, W)). Raises DataError for
    augmentation without epochs, a data set of unknown length, images of another dtype or of several
    sizes, or numbers that are not whole and positive.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    specs = tf.nest.flatten(dataset.element_spec)
    of_one_size = batch_size == 1 or all(spec.shape.is_fully_defined() for spec in specs)
    if specs[0].dtype != tf.uint8 or not of_one_size:
        raise DataError(
            f"The images are {specs[0].dtype.name} {specs[0].shape}; expected uint8, 0 to 255 "
            "without nan, of one size. Scale and convert them, and load them with an image_size "
            "such as (96, 128), or take batches of 1."
        )
    if epochs is None:
        if augmentation is not None:
            raise DataError("Augmentation is for training: pass epochs as well, or neither.")
        return without_autotuning(dataset.batch(batch_size).prefetch(2))
    check_number("epochs", epochs, 1, whole=True)
    count = int(dataset.cardinality())
    if count < 0:
        raise DataError(
            "A data set of unknown length cannot be shuffled as a whole. If it has n pairs, add "
            ".apply(tf.data.experimental.assert_cardinality(n))."
        )

    def one_epoch(epoch):
        epoch_seed = tf.random.stateless_uniform((), (seed, epoch), None, None, tf.int64)
        # Only in this traced function, so that the order does not depend on Keras's seed as well.
        tf.random.set_seed(1)
        # A cache on disk is shuffled by number, so that images do not fill the memory.
        cached = hasattr(dataset, "read")
        pairs = tf.data.Dataset.range(count) if cached else dataset
        pairs = pairs.shuffle(max(count, 1), seed=epoch_seed, reshuffle_each_iteration=False)
        if cached:
            pairs = pairs.map(dataset.read, num_parallel_calls=os.cpu_count())
        if augmentation is not None:
            # After decoding and caching, or every epoch would see the same "random" change.
            pairs = pairs.enumerate().map(
                lambda index, pair: augmentation(*pair, tf.stack([epoch_seed, index])),
                num_parallel_calls=os.cpu_count(),
            )
        return pairs.batch(batch_size)

    batched = tf.data.Dataset.range(epochs).flat_map(one_epoch).prefetch(2)
    length = tf.data.experimental.assert_cardinality(epochs * math.ceil(count / batch_size))
    return without_autotuning(batched.apply(length))


def without_autotuning(dataset):
    """Switch tf.data's autotuner off for a data set, as prefetching two batches is enough here.

    An iterator that ends may wait for its thread to wake: an epoch of 6 s could take 10 s.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
