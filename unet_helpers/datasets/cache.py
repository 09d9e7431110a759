"""Decoded pairs in files, for data sets that would not fit into memory.

A cache is a folder with one file per pair, named 0, 1, 2 ... in their order: uint8 (H, W, 4), the
image and its mask, and 8 bytes of checksum. A file gets its name once it is complete. Nothing is
deleted, because another data set may be reading it.
"""

import hashlib
import itertools
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf

from unet_helpers.files import check_space, explained
from unet_helpers.labels import DataError


def choose(cache, n_bytes, folder):
    """Return the folder for n_bytes of decoded pairs, or None for memory; see `load_pairs`."""
    if cache == "auto":
        cache = os.environ.get("UNET_COURSE_CACHE") or "auto"
    if cache == "auto":  # while they are loaded, pairs occupy three times their size
        cache = "disk" if n_bytes and n_bytes > free_memory() / 4 else "memory"
    if cache == "memory":
        return None
    if n_bytes is None:
        raise DataError("A cache on disk needs an image_size, such as (96, 128), to resize to.")
    place = Path(folder) if cache == "disk" else Path(cache).expanduser()
    if len(place.parts) < 2 and not place.is_dir():  # a word that was misspelt makes no folder
        raise DataError(f"The cache is {str(cache)!r}; expected auto, memory, disk or a full path.")
    return place


def free_memory():
    """Return the bytes of memory available to this process."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # not in a container, or "max": no limit
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free


def fingerprint(pairs, load, settings):
    """Return 16 letters that change when `load` would decode something else from the pairs.

    They depend on the settings, every file's name, size and time, and three decoded pairs.
    """
    digest = hashlib.sha256(repr(settings).encode("utf-8", "backslashreplace"))
    for source in itertools.chain(*pairs):
        digest.update(os.fsencode(str(source)) + getattr(source, "content", b""))
        if os.path.exists(str(source)):  # an EncodedImage has its content instead of a file
            digest.update(b"%d %d" % (os.stat(source).st_size, os.stat(source).st_mtime_ns))
    for number in (0, len(pairs) // 2, -1):
        digest.update(np.dstack(load(pairs[number])))
    return digest.hexdigest()[:16]


def dataset(place, count, image_size, decode):
    """Return the pairs of a cache as a data set that reads each pair when it is needed.

    `place` is the cache's folder; `decode` yields the pairs whose numbers the folder lacks.
    """
    n_bytes = 4 * image_size[0] * image_size[1] + 8
    advice = "Make space, name another folder in UNET_COURSE_CACHE, or load with cache='memory'."
    with explained(f"The cache {place} could not be written", advice, OSError):
        place.mkdir(parents=True, exist_ok=True)
        sizes = {file.name: file.stat().st_size for file in os.scandir(place)}
        missing = [number for number in range(count) if sizes.get(str(number)) != n_bytes]
        check_space(place, len(missing) * n_bytes)
        for number, pair in zip(missing, decode(missing), strict=True):
            values = np.dstack(pair).ravel()
            part = place / f"part-{os.getpid()}"  # another process may write the same pair
            part.write_bytes(np.append(values, tf.fingerprint(values[None])[0]))
            part.replace(place / str(number))

    def read(number):
        file = tf.strings.join([str(place), tf.strings.as_string(number)], os.sep)
        values = tf.io.decode_raw(tf.io.read_file(file), tf.uint8)
        cure = f"The cache {place} is damaged. Delete this folder; the images are decoded anew."
        wanted = tf.fingerprint(values[None, :-8])[0]
        with tf.control_dependencies([tf.debugging.assert_equal(values[-8:], wanted, cure)]):
            pair = tf.reshape(values[:-8], (*image_size, 4))
        return pair[..., :3], pair[..., 3]

    pairs = tf.data.Dataset.range(count).map(read, num_parallel_calls=os.cpu_count())
    pairs.read = read  # for `batches`, which shuffles the numbers before any image is read
    return pairs
