"""Read and resize one image or one mask."""

import io
import os
import stat
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from unet_helpers.labels import DataError, check_values

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
# The formats of these endings, whatever a file is called. Pillow knows more, and for some of them
# it starts other programs (Ghostscript for EPS).
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
# A file of a few bytes may claim any size. These are 8,192 x 8,192 and need up to 1 GB to read.
MAX_PIXELS = 2**26


def image_files(folder):
    """List the image files of a folder, sorted by name; raises DataError without the folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; image files are expected in it.")
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


class EncodedImage:
    """An image that is still encoded as PNG or JPEG, with the name to call it by."""

    def __init__(self, name, content):
        self.name, self.content = name, content

    def __str__(self):
        return self.name

    def file(self):
        """Give the bytes as a file to read."""
        return io.BytesIO(self.content)


def read_image(path):
    """Read an image as RGB, as a viewer shows it.

    Returns uint8 (H, W, 3). Transparency is dropped, a palette looked up, grey repeated, and of
    an animation the first image taken. 16 bits become 8 by the whole range, 0 to 65535, so all
    images of a set change alike. An image that a phone has marked as turned (EXIF) is turned
    upright. Raises DataError for a file that is no image, or holds numbers without a range.
    """
    with open_image(path) as image, decoding(path):
        image = turn_upright(image)
        if image.mode.startswith(("I", "F")):
            return grey_to_rgb(np.asarray(image), path)
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))


def turn_upright(image):
    """Turn a Pillow image as its EXIF mark says; without a readable mark it stays as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged marks raise errors of many kinds; the pixels are whole
        return image


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

    Returns uint8 (H, W), values as in the file. Raises DataError for a file that is no image
    or has several channels.
    """
    with open_image(path) as image:
        if image.mode not in ("L", "P", "1", "I", "I;16", "I;16B", "I;16L"):
            raise DataError(
                f"{path} is a {image.mode} image with {len(image.getbands())} channels; a "
                "mask has one channel of class ids. If the classes are painted as colours, turn "
                "it into ids with unet_helpers.labels.colour_to_mask and save that as PNG, or "
                "read the folder with unet_helpers.own."
            )
        values = np.asarray(image)
    wrong = values[(values > 255) | (values < 0)]
    if wrong.size:
        raise DataError(
            f"{path} holds the label {wrong.max()}; labels go from 0 to 255 (void). "
            "Is it an image of depths, or does it number the objects instead of the classes?"
        )
    return values.astype(np.uint8)


def read_red_channel(path):
    """Read a mask that keeps its class ids in the red channel, as CARLA's do.

    Returns uint8 (H, W). Raises DataError for a file that is no image or has no red channel.
    """
    with open_image(path) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise DataError(
                f"{path} is a {image.mode} image; CARLA keeps the class id in the red channel "
                "of an RGB or RGBA image. Was the mask converted, or is it of another data set?"
            )
        return np.asarray(image)[..., 0].copy()


def open_image(path):
    """Decode an image with Pillow; path is a file or an `EncodedImage` with its name.

    Raises DataError with a sentence when that fails, or when the image has more than MAX_PIXELS.
    """
    with decoding(path):
        if isinstance(path, str | os.PathLike):
            if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for ever
                raise DataError(f"{path} is no file but a folder, a pipe or a device. Remove it.")
            source = path
        else:
            source = path.file()
        image = Image.open(source, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        image.load()
    return image


@contextmanager
def decoding(path):
    """Turn whatever goes wrong while an image is decoded into a DataError that names it."""
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
            f"{path} is no image, or of a format that cannot be read. Is a download incomplete? "
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
    image = Image.fromarray(image)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_mask(mask, size):
    """Resize a mask by taking the label at each new pixel's centre; labels are never mixed.

    Shapes: uint8 (H, W) and size (h, w) -> uint8 (h, w). Pixel centres map onto each other
    as in `resize_image`, so both stay aligned.
    """
    if mask.shape == tuple(size):
        return mask
    image = Image.fromarray(mask)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.NEAREST))


def check_pair(image, mask, n_classes, image_name="image", mask_name="mask"):
    """Raise DataError unless image and mask fit each other and the classes; names the file."""
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{image_name} is {image.shape[0]}x{image.shape[1]}, but its mask {mask_name} is "
            f"{mask.shape[0]}x{mask.shape[1]} (height x width). Do the two belong together?"
        )
    check_values(mask, n_classes, mask_name)
