"""Decoded pairs in files, for data sets that would not fit into memory.

A cache is a folder with one small file for every pair, 0, 1, 2 ... in their order:

    image, uint8 (H, W, 3) | mask, uint8 (H, W) | checksum of both, 8 bytes

The folder's name ends in the fingerprint of what was decoded. It changes with the list of
images, with a file's size or time, with the size of the images and with the loader, so pairs
that have become old are not found; the folder of new ones takes their place. The folder has its
name only when it is whole.

One file for each pair, because TensorFlow then reads them by itself in any order, several at once
and without Python, which could do one at a time only.
"""

import hashlib
import inspect
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import tensorflow as tf

from unet_helpers.files import check_space
from unet_helpers.labels import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


# A number to raise when images are decoded or kept in another way than before.
VERSION = 1
CHECKSUM_BYTES = 8


def choose(cache, n_bytes, folder):
    """Decide where decoded pairs are kept.

    Args:
        cache: "memory", "disk", "auto", or a folder, which means the disk. "auto" is the disk when
            the pairs would take more than a quarter of the memory that is free: while they are
            loaded they lie there three times, decoded and twice on their way into TensorFlow.
            The environment variable UNET_COURSE_CACHE overrides "auto".
        n_bytes: size of the pairs, or None when it is not known before they are decoded.
        folder: for caches on the disk.

    Returns:
        Path of the folder for the cache, or None for memory.

    Raises:
        DataError: the disk is asked for where it cannot be had.
    """
    if cache == "auto":
        cache = os.environ.get("UNET_COURSE_CACHE") or "auto"
    if cache == "memory":
        return None
    if cache == "auto":
        large = n_bytes is not None and n_bytes > free_memory() / 4
        return Path(folder) if large else None
    if n_bytes is None:
        raise DataError(
            "A cache on the disk holds images of one size: give the loader an image_size, such "
            "as (96, 128), or cache='memory'."
        )
    return Path(folder) if cache == "disk" else Path(cache).expanduser()


def free_memory():
    """Give the bytes of memory that are free for this process, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):  # not Linux
        try:  # what is free is not known, so half of all
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (AttributeError, ValueError):  # Windows
            free = 4_000_000_000
    try:  # a container may be given less than the machine has
        return min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return free


def fingerprint(pairs, read_pair, settings):
    """Compute 16 letters that change when decoding would give something else.

    Args:
        pairs: list of (image, mask), each the path of a file or an encoded image.
        read_pair: the function that decodes a pair; its source counts and, of a `partial`, the
            arguments.
        settings: anything else that matters, with a repr that is the same in every process.
    """
    digest = hashlib.sha256(repr((VERSION, settings)).encode())
    digest.update(repr(getattr(read_pair, "keywords", None)).encode("utf-8", "replace"))
    with suppress(OSError, TypeError):  # typed at a prompt: there is no source to look at
        digest.update(inspect.getsource(getattr(read_pair, "func", read_pair)).encode())
    for pair in pairs:
        for source in pair:
            digest.update(os.fsencode(str(source)) + b"\0" + state(source))
    return digest.hexdigest()[:16]


def state(source):
    """Give bytes that change with an image: of a file its size and time, else its content."""
    if not isinstance(source, str | os.PathLike):
        return hashlib.sha256(source.content).digest()
    try:
        now = os.stat(source)
    except OSError:
        return b"gone"  # whoever decodes it says so, with its name
    return b"%d %d\0" % (now.st_size, now.st_mtime_ns)


def folder_name(description, variant, pairs, image_size):
    """Name a cache by the split, the size and the images' folder, without its fingerprint."""
    words = re.sub(r"\W+", "-", description)[:80]
    place = os.path.dirname(os.path.abspath(str(pairs[0][0])))
    what = hashlib.sha256(os.fsencode(f"{place} {variant!r}")).hexdigest()[:8]
    return f"{words}-{image_size[0]}x{image_size[1]}-{what}"


def dataset(folder, name, mark, count, image_size, decoded):
    """Give the pairs of a cache as a data set; where there is none, it is written first.

    Args:
        folder: of all caches.
        name: what `folder_name` gave; caches of this name with another fingerprint are removed.
        mark: what `fingerprint` gave.
        count: number of pairs.
        image_size: (h, w) of all pairs.
        decoded: function without arguments that gives an iterator of decoded pairs. It is called
            only when they are not in the cache.

    Returns:
        tf.data.Dataset of (uint8 (h, w, 3), uint8 (h, w)), unbatched, in the order of decoded. It
        reads a pair when it is asked for it, and keeps none.

    Raises:
        DataError: no space, or a folder that cannot be written to. What was there before is kept.
    """
    folder = Path(folder)
    place = folder / f"{name}-{mark}"
    n_bytes = 4 * image_size[0] * image_size[1] + CHECKSUM_BYTES
    if not is_whole(place, count, n_bytes):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with one_process_at_a_time(folder):
                # another process may have written it while this one waited
                if not is_whole(place, count, n_bytes):
                    check_space(folder, count * n_bytes)
                    write(place, decoded())
                    remove(old for old in folder.glob(f"{name}-*") if old != place)
        except OSError as error:
            raise DataError(
                f"The cache {place} could not be written ({error.strerror or error}). Make space, "
                "name another folder in UNET_COURSE_CACHE, or load with cache='memory'; what was "
                "there before is kept."
            ) from None

    def read(number):
        return read_pair(str(place), number, image_size)

    numbers = tf.data.Dataset.range(count)
    pairs = numbers.map(read, num_parallel_calls=os.cpu_count())
    pairs.numbers, pairs.read = numbers, read  # for `shuffle`
    return pairs


def shuffle(pairs, count, seed):
    """Shuffle a whole data set of count pairs; called while a function of tf.data is traced.

    The pairs of a cache on the disk are shuffled by their numbers, before they are read, so that
    the memory does not fill with images. The order is the one that they would get in memory.
    """
    # The seed of the traced function only: without it, Keras's seed would change the order too.
    tf.random.set_seed(1)
    numbers = getattr(pairs, "numbers", pairs)
    numbers = numbers.shuffle(max(count, 1), seed=seed, reshuffle_each_iteration=False)
    if not hasattr(pairs, "read"):
        return numbers
    return numbers.map(pairs.read, num_parallel_calls=os.cpu_count())


def is_whole(place, count, n_bytes):
    """Tell whether a cache's folder has so many files of so many bytes and nothing else."""
    try:
        with os.scandir(place) as files:
            sizes = {file.name: file.stat().st_size for file in files}
    except OSError:
        return False
    return sizes == {str(number): n_bytes for number in range(count)}


def write(place, pairs):
    """Write decoded pairs to a folder, which gets its name when it is whole."""
    part = place.with_name(f"part-{place.name}")
    remove(place.parent.glob("part-*"))  # of processes that were killed
    try:
        part.mkdir()
        for number, (image, mask) in enumerate(pairs):
            values = np.concatenate([image.ravel(), mask.ravel()])
            (part / str(number)).write_bytes(values.tobytes() + checksum(values).numpy().tobytes())
        remove([place])  # one that is not whole
        part.replace(place)
    except BaseException:
        remove([part])
        raise


def remove(places):
    """Delete folders with all that is in them, and whatever else has their names."""
    for place in places:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


@contextmanager
def one_process_at_a_time(folder):
    """Wait until no other process writes a cache in a folder; a killed one does not count."""
    with open(folder / "lock", "w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Waiting for another process that writes to {folder}.", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield  # the system takes the lock away when the file is closed, or the process killed


def read_pair(place, number, image_size):
    """Read a pair of a cache in TensorFlow.

    Args:
        place: the cache's folder, a string.
        number: of the pair, an integer tensor.
        image_size: (h, w) of all pairs.

    Returns:
        (uint8 (h, w, 3), uint8 (h, w)). The iteration ends with an error that names the folder
        when the bytes are not those that were written.
    """
    h, w = image_size
    file = tf.strings.join([place, tf.strings.as_string(number)], os.sep)
    values = tf.io.decode_raw(tf.io.read_file(file), tf.uint8)
    pair, kept = values[:-CHECKSUM_BYTES], values[-CHECKSUM_BYTES:]
    same = tf.reduce_all(tf.equal(kept, checksum(pair)))
    cure = "This file of a cache is damaged. Delete its folder; the images are decoded anew:"
    with tf.control_dependencies([tf.debugging.Assert(same, [cure, file])]):
        image, mask = tf.split(pair, [3 * h * w, h * w])
    return tf.reshape(image, (h, w, 3)), tf.reshape(mask, (h, w))


def checksum(values):
    """Compute a checksum of bytes in TensorFlow: uint8 (N) -> uint8 (8)."""
    return tf.fingerprint(values[None])[0]
