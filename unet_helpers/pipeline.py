"""From files to training batches: decode, resize, check, split, augment, batch.

A data set is a `tf.data.Dataset` of (image uint8 (H, W, 3), mask uint8 (H, W)) pairs. Files are
decoded once, when a loader is called; the pairs then stay in memory as uint8, a quarter of the
size of float32. So a broken file is reported before training, by name.

A set that would take more than a quarter of the free memory goes to files instead (`cache.py`),
from which the pairs are read as they are needed; a later call finds them there and decodes nothing.
`cache="memory"` or `cache="disk"` in a loader's call decides it by hand.
"""

import io
import os
import stat
import unicodedata
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from unet_helpers import cache as caching
from unet_helpers import losses
from unet_helpers.labels import VOID, DataError, check_values

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
# The formats of these endings, whatever a file is called. Pillow knows more, and for some of them
# it starts other programs (Ghostscript for EPS).
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
# A file of a few bytes may claim any size. These are 8,192 x 8,192 and need up to 1 GB to read.
MAX_PIXELS = 2**26


# ---------------------------------------------------------------- where data lies


def sample_folder(name):
    """Find the folder of the course's sample data, in the repository or the installed package.

    Returns a Path, for instance .../data/carla. Raises DataError when it is not there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "data" / name, package / "data" / name):
        if folder.is_dir():
            return folder
    raise DataError(
        f"The sample data {name!r} is neither in {package.parent / 'data'} nor in the installed "
        "package. Clone the whole repository, or install the package again."
    )


def full_folder(name):
    """Give the folder for a full data set: UNET_COURSE_DATA_DIR/name, by default data/full/name.

    `data` is the repository's, or, where only the package is installed, one in the working
    folder. The folder need not exist yet.
    """
    repository = Path(__file__).resolve().parent.parent
    here = repository if (repository / "data").is_dir() else Path.cwd()
    return Path(os.environ.get("UNET_COURSE_DATA_DIR") or here / "data" / "full") / name


def choose(data, name, get_full):
    """Turn the line `DATA = "sample"` of a notebook into a folder.

    Args:
        data: "sample", "full", or the path of a folder; None is the sample. The environment
            variable UNET_COURSE_DATA (sample or full) overrides "sample" and "full" only.
        name: folder of the data set below `data/`.
        get_full: function without arguments that finds or downloads the full set and returns
            its folder.

    Returns:
        Path of an existing folder.

    Raises:
        DataError: no such folder, or the download failed.
    """
    if data in ("sample", "full"):
        data = os.environ.get("UNET_COURSE_DATA") or data
        if data not in ("sample", "full"):
            raise DataError(f"UNET_COURSE_DATA is {data!r}; it may be sample or full.")
    if data in (None, "sample"):
        return sample_folder(name)
    if data == "full":
        return get_full()
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. Pass 'sample', 'full', or the path of an existing "
            "folder."
        )
    return folder


# ---------------------------------------------------------------- pairs and splits


def image_files(folder):
    """List the picture files of a folder, sorted by name; raises DataError without the folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; picture files are expected in it.")
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}). May you read it?"
        ) from None
    return [
        file
        for file in files
        if file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".")
    ]


def pair_up(image_folder, mask_folder):
    """Pair images and masks by their names without ending.

    Returns:
        list of (image Path, mask Path), sorted by name.

    Raises:
        DataError: no picture at all, an image without its mask or a mask without its image, or
            two files of one name.
    """
    images, masks = by_name(image_files(image_folder)), by_name(image_files(mask_folder))
    if not images and not masks:
        raise DataError(
            f"No pictures in {image_folder} and {mask_folder}. Expected one file per picture in "
            f"each, with equal names. Endings that are read: {', '.join(IMAGE_ENDINGS)}."
        )
    for have, lack, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(set(have) - set(lack))
        if alone:
            folder = mask_folder if kind == "mask" else image_folder
            raise DataError(
                f"{have[alone[0]]} has no {kind} in {folder}"
                + (f", and {len(alone) - 1} more like it" if len(alone) > 1 else "")
                + ". Is a download incomplete? Delete the picture or add its partner."
            )
    return [(images[name], masks[name]) for name in sorted(images)]


def by_name(files):
    """Make a dict from `plain_name` to file; raises DataError when two have one name."""
    found = {}
    for file in files:
        name = plain_name(file)
        if name in found:
            raise DataError(
                f"{found[name]} and {file.name!r} have the same name, so it is not clear which one "
                "belongs to the partner of that name. Delete or rename one of them."
            )
        found[name] = file
    return found


def plain_name(file):
    """Give a file's name without ending; a letter with an accent has one spelling in it.

    Unicode has two, which look the same, and computers differ in which one they write.
    """
    return unicodedata.normalize("NFC", Path(file).stem)


def split_at_random(names, shares=(0.7, 0.15, 0.15), seed=0):
    """Split names once, before any shuffling of the training.

    Args:
        names: file names or other strings; their order does not matter, they are sorted first.
        shares: of train, val and test; must sum to 1.
        seed: of the permutation.

    Returns:
        dict with "train", "val" and "test": sorted lists that have no name in common.

    Raises:
        DataError: shares that do not sum to 1, names that repeat, or a split without a name.
    """
    names = sorted(names)
    if abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise DataError(f"The shares of train, val and test are {shares}; they must sum to 1.")
    if len(set(names)) < len(names):
        raise DataError("Some names occur twice; a picture could end up in two splits.")
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(shares) * len(names)).astype(int)
    parts = np.split(order, ends[:2])
    splits = {
        split: [names[i] for i in sorted(part)]
        for split, part in zip(("train", "val", "test"), parts, strict=True)
    }
    for (split, part), share in zip(splits.items(), shares, strict=True):
        if share > 0 and not part:
            raise DataError(
                f"{len(names)} pictures are too few for a {split} split of {share:.0%}: it would "
                "be empty."
            )
    return splits


# ---------------------------------------------------------------- one picture


class EncodedPicture:
    """A picture that is still encoded as PNG or JPEG, with the name to call it by."""

    def __init__(self, name, content):
        self.name, self.content = name, content

    def __str__(self):
        return self.name

    def file(self):
        """Give the bytes as a file to read."""
        return io.BytesIO(self.content)


def read_image(path):
    """Read a picture as RGB, as a viewer shows it.

    Returns uint8 (H, W, 3). Transparency is dropped, a palette looked up, grey repeated, and of
    an animation the first picture taken. 16 bits become 8 by the whole range, 0 to 65535, so all
    pictures of a set change alike. A picture that a phone has marked as turned (EXIF) is turned
    upright. Raises DataError for a file that is no picture, or holds numbers without a range.
    """
    with open_picture(path) as picture, decoding(path):
        picture = turn_upright(picture)
        if picture.mode.startswith(("I", "F")):
            return grey_to_rgb(np.asarray(picture), path)
        if picture.mode == "P" and "transparency" in picture.info:
            picture = picture.convert("RGBA")
        return np.asarray(picture.convert("RGB"))


def turn_upright(picture):
    """Turn a Pillow picture as its EXIF mark says; without a readable mark it stays as it is."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged marks raise errors of many kinds; the pixels are whole
        return picture


def grey_to_rgb(values, path):
    """Turn grey values of 16 bits into RGB of 8, for `read_image`.

    Shapes: integers (H, W), 0 to 65535 -> uint8 (H, W, 3). Raises DataError for other numbers:
    without a known range nobody can say which of them is white.
    """
    if values.dtype.kind == "f" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise DataError(
            f"{path} holds {values.dtype} numbers from {values.min():g} to {values.max():g}; "
            "expected 8 or 16 bits. Scale them to 0 to 255 yourself and save that as PNG."
        )
    grey = (values.astype(np.uint32) * 255 + 32767) // 65535
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def read_mask(path):
    """Read a mask whose pixels are class ids: one grey or palette channel.

    Returns uint8 (H, W), values as in the file. Raises DataError for a file that is no picture
    or has several channels.
    """
    with open_picture(path) as picture:
        if picture.mode not in ("L", "P", "1", "I", "I;16", "I;16B", "I;16L"):
            raise DataError(
                f"{path} is a {picture.mode} picture with {len(picture.getbands())} channels; a "
                "mask has one channel of class ids. If the classes are painted as colours, turn "
                "it into ids with unet_helpers.labels.colour_to_mask and save that as PNG, or "
                "read the folder with unet_helpers.own."
            )
        values = np.asarray(picture)
    wrong = values[(values > 255) | (values < 0)]
    if wrong.size:
        raise DataError(
            f"{path} holds the label {wrong.max()}; labels go from 0 to 255 (void). "
            "Is it a picture of depths, or does it number the objects instead of the classes?"
        )
    return values.astype(np.uint8)


def read_red_channel(path):
    """Read a mask that keeps its class ids in the red channel, as CARLA's do.

    Returns uint8 (H, W). Raises DataError for a file that is no picture or has no red channel.
    """
    with open_picture(path) as picture:
        if picture.mode not in ("RGB", "RGBA"):
            raise DataError(
                f"{path} is a {picture.mode} picture; CARLA keeps the class id in the red channel "
                "of an RGB or RGBA picture. Was the mask converted, or is it of another data set?"
            )
        return np.asarray(picture)[..., 0].copy()


def open_picture(path):
    """Decode a picture with Pillow; path is a file or an `EncodedPicture` with its name.

    Raises DataError with a sentence when that fails, or when the picture has more than MAX_PIXELS.
    """
    with decoding(path):
        if isinstance(path, str | os.PathLike):
            if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for ever
                raise DataError(f"{path} is no file but a folder, a pipe or a device. Remove it.")
            source = path
        else:
            source = path.file()
        picture = Image.open(source, formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        picture.load()
    return picture


@contextmanager
def decoding(path):
    """Turn whatever goes wrong while a picture is decoded into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read. Change its permissions.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is no picture, or of a format that cannot be read. Is a download incomplete? "
            "Delete the file and get it again, or convert it to PNG."
        ) from None
    except (Image.DecompressionBombError, MemoryError):
        raise DataError(
            f"{path} says that it has more than {MAX_PIXELS:,} pixels. That is too large to decode "
            "in one piece, or the file is damaged. Make it smaller or cut it into several files."
        ) from None
    except Exception as error:  # every format lets its own kinds of errors through
        raise DataError(
            f"{path} cannot be decoded ({error or type(error).__name__}). The file is damaged or "
            "cut off: delete it and get it again."
        ) from None


def resize_image(image, size):
    """Resize an image with antialiasing (bilinear weights over all pixels that are covered).

    Shapes: uint8 (H, W, 3) and size (h, w) -> uint8 (h, w, 3).
    """
    if image.shape[:2] == tuple(size):
        return image
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_mask(mask, size):
    """Resize a mask by taking the label at each new pixel's centre; labels are never mixed.

    Shapes: uint8 (H, W) and size (h, w) -> uint8 (h, w). Pixel centres map onto each other
    as in `resize_image`, so both stay aligned.
    """
    if mask.shape == tuple(size):
        return mask
    picture = Image.fromarray(mask)
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))


# ---------------------------------------------------------------- data sets of pairs


def load_pairs(
    pairs, read_pair, n_classes, image_size, description="pictures", cache="auto", variant=()
):
    """Decode, check and resize pairs of files, several at a time, into a data set.

    Args:
        pairs: list of (image path, mask path).
        read_pair: function (image path, mask path) -> (uint8 (H, W, 3), uint8 (H, W)), void 255.
        n_classes: labels must be 0 .. n_classes - 1 or void.
        image_size: (h, w) of all pairs; None keeps each pair's own size.
        description: for the progress bar, and for the name of a cache on the disk.
        cache: "memory"; "disk", which is the folder `cache` beside the full data sets; the path of
            another folder; or "auto": the disk when the pairs would take more than a quarter of the
            free memory. UNET_COURSE_CACHE overrides "auto".
        variant: what else tells this split from others of its description, such as a seed; a
            cache on the disk replaces an older one of the same description, size and variant.

    Returns:
        tf.data.Dataset of (uint8 (h, w, 3), uint8 (h, w)), in the order of pairs, unbatched.

    Raises:
        DataError: no pairs; image and mask differ in size; labels outside the classes; a file
            that cannot be read; a cache that cannot be written. The message names the file.
    """
    if not pairs:
        raise DataError(f"There are no {description} to load: the split is empty.")

    def load(pair):
        image, mask = read_pair(*pair)
        check_pair(image, mask, n_classes, *pair)
        if image_size is not None:
            image, mask = resize_image(image, image_size), resize_mask(mask, image_size)
        return image, mask

    def decoded():
        # A bar only for work one would wait for.
        return tqdm(in_threads(load, pairs), description, len(pairs), disable=len(pairs) < 1000)

    n_bytes = None if image_size is None else 4 * image_size[0] * image_size[1] * len(pairs)
    folder = caching.choose(cache, n_bytes, full_folder("cache"))
    if folder is not None:
        name = caching.folder_name(description, variant, pairs, image_size)
        mark = caching.fingerprint(pairs, read_pair, (description, n_classes, tuple(image_size)))
        return caching.dataset(folder, name, mark, len(pairs), image_size, decoded)
    if image_size is None:
        return from_arrays(*zip(*decoded(), strict=True))
    images = np.empty((len(pairs), *image_size, 3), np.uint8)
    masks = np.empty((len(pairs), *image_size), np.uint8)
    for i, pair in enumerate(decoded()):
        images[i], masks[i] = pair
    return from_arrays(images, masks)


def in_threads(function, items):
    """Call a function for every item, several at once, and yield the results in order.

    Pillow decodes outside Python's lock, so threads help. Only a few results wait to be taken.
    """
    workers = os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def from_arrays(images, masks):
    """Make a data set of (image, mask) pairs from two sequences of uint8 arrays."""
    if len({image.shape for image in images}) == 1:
        # Kept on the CPU: a GPU's memory is for the model.
        with tf.device("CPU:0"):
            return tf.data.Dataset.from_tensor_slices((np.asarray(images), np.asarray(masks)))
    signature = (
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((None, None), tf.uint8),
    )
    dataset = tf.data.Dataset.from_generator(
        lambda: zip(images, masks, strict=True), output_signature=signature
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(images)))


def check_pair(image, mask, n_classes, image_name="image", mask_name="mask"):
    """Raise DataError unless image and mask fit each other and the classes; names the file."""
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{image_name} is {image.shape[0]}x{image.shape[1]}, but its mask {mask_name} is "
            f"{mask.shape[0]}x{mask.shape[1]} (height x width). Do the two belong together?"
        )
    check_values(mask, n_classes, mask_name)


def to_arrays(dataset):
    """Collect a data set of equally sized pairs into two arrays.

    Returns (uint8 (N, H, W, 3), uint8 (N, H, W)).
    """
    images, masks = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(masks)


# ---------------------------------------------------------------- training batches


def batches(dataset, batch_size=8, training=False, augmentation=None, seed=0):
    """Turn a data set of pairs into batches, ready for `model.fit` or `model.predict`.

    Args:
        dataset: tf.data.Dataset of (image, mask) pairs of one size.
        batch_size: pairs per batch; the last batch may be smaller and is never dropped.
        training: shuffle (each epoch anew) and augment.
        augmentation: function (image, mask, seed) -> (image, mask), used only when training.
        seed: of shuffling and augmentation.

    Returns:
        tf.data.Dataset of (uint8 (B, H, W, 3), uint8 (B, H, W)).
    """
    if training:
        dataset = caching.shuffle(dataset, seed)
        if augmentation is not None:
            # After decoding and caching: otherwise every epoch would see the same "random" crop.
            seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
            dataset = tf.data.Dataset.zip(dataset, seeds).map(
                lambda pair, pair_seed: augmentation(*pair, pair_seed),
                num_parallel_calls=os.cpu_count(),
            )
    return without_autotuning(dataset.batch(batch_size).prefetch(2))


def without_autotuning(dataset):
    """Switch tf.data's autotuner off for a data set.

    Its thread sleeps for 10, 20, 40 ... ms, and an iterator that ends may wait until it wakes: an
    epoch of 6 s could take 10 s. These pipelines read from memory; two batches ahead are enough.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def with_class_weights(dataset, class_weights):
    """Add to every batch the weight of each pixel's class, which the loss multiplies by.

    Args:
        dataset: tf.data.Dataset of (images, masks uint8 (B, H, W)) batches, as `batches` gives.
        class_weights: float array (C,), for instance `losses.median_frequency_weights`.

    Returns:
        tf.data.Dataset of (images, masks, float32 (B, H, W)), the weights 0 where void.
    """
    return dataset.map(
        lambda images, masks: (images, masks, losses.pixel_weights(masks, class_weights))
    )


def augment(image, mask, seed, zoom=0.0):
    """Change a pair at random: mirror, zoom and shift both alike, then the image's colours.

    Args:
        image: uint8 tensor (H, W, 3).
        mask: uint8 tensor (H, W), classes or void.
        seed: integer tensor (2,); the same seed gives the same change.
        zoom: how much to zoom and shift. 0 only mirrors, which suits short trainings: a zoomed
            picture is blurred, and thin things take longer to learn. Long trainings on few
            pictures gain from 0.5 to 1.

    Returns:
        (image, mask) of the same shapes and dtypes. Where a zoom brings in pixels from outside
        the picture, the mask is void, so no loss or score counts them.
    """
    random = tf.random.stateless_uniform((9,), seed)
    h, w = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(mask)))

    # One transform for both, from output to input pixels: x' = a x + c, y' = e y + f.
    e = 2.0 ** (zoom * (1.3 * random[0] - 0.9))  # below 1 enlarges: a part fills the frame
    a = tf.where(random[1] < 0.5, -e, e)  # a negative sign mirrors
    room = tf.abs(1 - e) + 0.1 * zoom
    c = (1 - a) * (w - 1) / 2 + (random[2] - 0.5) * room * w
    f = (1 - e) * (h - 1) / 2 + (random[3] - 0.5) * room * h
    transform = tf.stack([a, 0.0, c, 0.0, e, f, 0.0, 0.0])
    mask = warp(mask[..., None], transform, "NEAREST", float(VOID))[..., 0]
    image = tf.cast(warp(image, transform, "BILINEAR", 0.0), tf.float32)

    # Light and colour change the image only: a street at dusk has the same classes.
    contrast, brightness = 0.85 + 0.3 * random[4], 40 * (random[5] - 0.5)
    tint = 0.93 + 0.14 * random[6:9]
    mean = tf.reduce_mean(image)
    image = ((image - mean) * contrast + mean + brightness) * tint
    return tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8), mask


def warp(picture, transform, interpolation, fill):
    """Resample a uint8 picture (H, W, C) by a transform from output to input pixels."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=picture[None],
        transforms=transform[None],
        output_shape=tf.shape(picture)[:2],
        interpolation=interpolation,
        fill_mode="CONSTANT",
        fill_value=fill,
    )[0]
