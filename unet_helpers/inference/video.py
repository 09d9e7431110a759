"""Masks laid over the frames of a video."""

import contextlib
from pathlib import Path

import imageio.v2 as imageio
from tqdm.auto import tqdm

from unet_helpers.datasets.images import image_files, read_image
from unet_helpers.files import atomic_write
from unet_helpers.inference.images import as_image, predict_images
from unet_helpers.inference.tiles import pad_to_multiple
from unet_helpers.labels import DataError, overlay


def predict_video(model, source, target, labels, opacity=0.5, fps=10, **options):
    """Write a film of a video's or a folder's images with the predicted masks laid over them.

    Args:
        model: as for `predict_image`.
        source: video or GIF that imageio can read, or a folder of frames, taken by their names.
        target: file to write; appears only when complete. Its ending chooses the format: .gif,
            or .mp4 with the package imageio-ffmpeg. Sound is not copied.
        labels: Labels of the model's classes.
        opacity: share of the mask's colours.
        fps: images per second of the target.
        options: as for `predict_image`.

    Returns:
        number of images written.

    Raises:
        DataError: the source cannot be read, its frames differ in size, or the target cannot be
            written.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise DataError(f"There is no video {source}.")
    gif = target.suffix.lower() == ".gif"
    # H.264 stores colours at half the size, so sides must be even; no other change to them
    timing = {"duration": 1000 / fps, "loop": 0} if gif else {"fps": fps, "macro_block_size": 1}
    count = 0
    try:
        with atomic_write(target) as part, contextlib.ExitStack() as closing:
            frames, total = read_frames(source, closing)
            writer = closing.enter_context(imageio.get_writer(part, mode="I", **timing))
            frames = of_one_size(tqdm(frames, source.name, total), source)
            for image, mask in predict_images(model, frames, **options):
                frame = overlay(image, mask, labels, opacity)
                writer.append_data(frame if gif else pad_to_multiple(frame, 2))
                count += 1
            if not count:
                raise DataError(f"{source} holds no images.")
    except DataError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, SyntaxError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{source} could not be turned into {target} ({reason}). imageio reads and writes GIF "
            "by itself; for MP4 it needs the package imageio-ffmpeg: pip install imageio-ffmpeg"
        ) from error
    return count


def of_one_size(frames, source):
    """Give the images on, and raise DataError at one that has not the size of the first."""
    size = None
    for number, image in enumerate(frames, 1):
        size = size or image.shape
        if image.shape != size:
            raise DataError(
                f"Image {number} of {source} is {image.shape[0]}x{image.shape[1]}, the first "
                f"is {size[0]}x{size[1]}. A film needs one size."
            )
        yield image


def read_frames(source, closing):
    """Give the images of a video or of a folder's files one after the other, uint8 (H, W, 3).

    closing: ExitStack that closes the video. Returns (iterator, number of images; None where a
    video does not say it).
    """
    if source.is_dir():
        files = image_files(source)
        return map(read_image, files), len(files)
    return map(as_image, closing.enter_context(imageio.get_reader(source))), None
