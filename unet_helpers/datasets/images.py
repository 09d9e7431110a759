"""Read and resize one image or one mask."""

import io
import os
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from unet_helpers.files import explained
from unet_helpers.labels import CARLA, DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif")
# The formats of these endings. For some others, such as EPS, Pillow would start another program.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
# A file of a few bytes can claim any size. 8,192 x 8,192 pixels need up to 1 GB to decode.
MAX_PIXELS = 2**26


def image_files(folder):
    """List the image files in a folder, sorted by name; raises DataError if it cannot be read."""
    problem = f"There is no folder {folder} to read images from"
    with explained(problem, "Check its name and permissions.", OSError):
        files = sorted(Path(folder).iterdir())
    return [f for f in files if f.suffix.lower() in IMAGE_ENDINGS and not f.name.startswith(".")]


class EncodedImage:
    """An image that is still encoded as PNG or JPEG, with a name for error messages."""

    def __init__(self, name, content):
        self.name, self.content = name, content

    def __str__(self):
        return self.name


def read_image(path):
    """Read an image as RGB, the way a viewer shows it, rotated as its EXIF data says.

    Returns uint8 (H, W, 3). Transparency is dropped, and only the first frame of an animation is
    read. 16 bits are scaled to 8 by the full range, 0 to 65535, so that all images of a set change
    alike. Raises DataError for a file that is not an image or whose values have no known range.
    """
    with open_image(path) as image, decoding(path):
        if image.mode.startswith(("I", "F")):  # one channel of more than 8 bits
            values = np.asarray(image)
            if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
                raise DataError(
                    f"{path} holds {values.dtype} numbers from {values.min():g} to {values.max():g}"
                    "; expected 8 or 16 bits. Scale them to 0 .. 255 and save them as PNG."
                )
            grey = (values.astype(np.uint32) * 255 + 32767) // 65535
            image = Image.fromarray(grey.astype(np.uint8))
        elif image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))


def read_mask(path):
    """Read a mask whose pixels are class ids: one grey or palette channel.

    Returns uint8 (H, W), values as in the file, turned as its EXIF data says. Raises DataError for
    a file that is not an image, is a JPEG, or has several channels.
    """
    with open_image(path) as image:
        if image.mode not in ("L", "P", "1", "I", "I;16", "I;16B", "I;16L"):
            raise DataError(
                f"{path} is a {image.mode} image with {len(image.getbands())} channels; a mask has "
                "one channel of class ids. If its classes are colours, convert it to a PNG of ids "
                "by labels.colour_to_mask, or read its folder by datasets.folder."
            )
        check_lossless(image, path)
        values = np.asarray(image)
    wrong = values[(values > 255) | (values < 0)]
    if wrong.size:
        raise DataError(
            f"{path} holds the label {wrong.max()}; labels go from 0 to 255 (void). "
            "Is it a depth image, or does it number objects instead of classes?"
        )
    return values.astype(np.uint8)


def read_red_channel(path):
    """Read a mask whose class ids are in the red channel, as CARLA's are.

    Returns uint8 (H, W), turned as its EXIF data says. Raises DataError for a file that is not an
    image, is a JPEG, has no red channel, or has its ids in the blue one.
    """
    with open_image(path) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise DataError(
                f"{path} is a {image.mode} image; CARLA keeps the class id in the red channel "
                "of an RGB or RGBA image. Was it converted, or is it from another data set?"
            )
        check_lossless(image, path)
        channels = np.asarray(image)
    red, blue = channels[..., 0], channels[..., 2]
    if not red.any() and 0 < blue.max(initial=0) < CARLA.n_classes:
        raise DataError(
            f"{path} has its class ids in the blue channel, and red is 0 everywhere. Was it saved "
            "by OpenCV, which swaps the two? Swap them back: image[..., ::-1]."
        )
    return red.copy()


def is_lossy(image):
    """Tell whether a file that Pillow opened was compressed as JPEG."""
    return image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg"


def check_lossless(image, path):
    """Raise DataError for a mask that was compressed as JPEG."""
    if is_lossy(image):
        raise DataError(
            f"{path} is a JPEG, which changes values along every border, so that no mask of ids "
            "survives it. Export the masks again as PNG, from the original."
        )


def open_image(path):
    """Decode a file or an `EncodedImage`, up to MAX_PIXELS, upright by EXIF; raises DataError."""
    with decoding(path):
        if isinstance(path, EncodedImage):
            source = io.BytesIO(path.content)
        elif os.path.isfile(path) or not os.path.exists(path):
            source = path
        else:  # opening a pipe would never return
            raise DataError(f"{path} is not a file but a folder, pipe or device. Remove it.")
        image = Image.open(source, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        image.load()
        with suppress(Exception):  # damaged EXIF data; the pixels are intact
            ImageOps.exif_transpose(image, in_place=True)
    return image


@contextmanager
def decoding(path):
    """Turn any error raised while decoding an image into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except PermissionError:
        raise DataError(f"{path} cannot be opened. Check its permissions.") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not an image, or its format cannot be read. Is a download incomplete? "
            "Delete the file and get it again, or convert it to PNG."
        ) from None
    except (Image.DecompressionBombError, MemoryError):
        raise DataError(
            f"{path} claims more than {MAX_PIXELS:,} pixels, which is too large to decode in one "
            "piece; or the file is damaged. Make it smaller or cut it into several files."
        ) from None
    except Exception as error:  # each format raises its own kinds of errors
        raise DataError(
            f"{path} cannot be decoded ({error or type(error).__name__}). The file is damaged or "
            "cut off: delete it and get it again."
        ) from None


def resize_image(image, size):
    """Resize an image with antialiasing (bilinear weights over all the pixels it covers).

    Shapes: uint8 (H, W, 3) and size (h, w) -> uint8 (h, w, 3).
    """
    if image.shape[:2] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_mask(mask, size):
    """Resize a mask by taking the label at each new pixel's centre; labels are never mixed.

    Shapes: uint8 (H, W) and size (h, w) -> uint8 (h, w), aligned as by `resize_image`.
    """
    if mask.shape == tuple(size):
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
