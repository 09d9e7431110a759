"""Masks laid over the frames of a video."""

import contextlib
from pathlib import Path

import imageio.v2 as imageio
from tqdm.auto import tqdm

from unet_helpers.datasets.images import image_files
from unet_helpers.files import atomic_write, explained
from unet_helpers.inference.images import predict_images
from unet_helpers.inference.tiles import pad_to_multiple
from unet_helpers.labels import DataError, overlay


def predict_video(model, source, target, labels, opacity=0.5, fps=10, **options):
    """Predict every frame of a video or folder and write a video with the masks laid over them.

    Args:
        model, options: as for `predict_image`.
        source: video or GIF that imageio can read, or a folder of frames, in the order of names.
        target: file to write; it appears once it is complete. Its ending chooses the format: .gif,
            or .mp4 with the package imageio-ffmpeg. Sound is not copied.
        labels: Labels of the model's classes.
        opacity: of the masks, 0 to 1.
        fps: frames per second of the target.

    Returns:
        number of frames written.

    Raises:
        DataError: the source cannot be read, its frames differ in size, or the target cannot be
            written.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise DataError(f"There is no video {source}. Correct the path.")
    gif = target.suffix.lower() == ".gif"
    # H.264 stores colours at half the size, so sides must be even; imageio would resize to
    # multiples of 16
    timing = {"duration": 1000 / fps, "loop": 0} if gif else {"fps": fps, "macro_block_size": 1}
    count, size = 0, None
    advice = (
        "imageio reads and writes GIF by itself; for MP4 it needs the package imageio-ffmpeg: "
        "pip install imageio-ffmpeg"
    )
    errors = (OSError, ValueError, ImportError, RuntimeError, SyntaxError)
    with (
        explained(f"{source} could not be converted to {target}", advice, errors),
        atomic_write(target) as part,
        contextlib.ExitStack() as closing,
    ):
        if source.is_dir():
            frames = image_files(source)
        else:  # an iterator, because some videos do not tell their length
            frames = iter(closing.enter_context(imageio.get_reader(source)))
        writer = closing.enter_context(imageio.get_writer(part, mode="I", **timing))
        for image, mask in predict_images(model, tqdm(frames, source.name), **options):
            size = size or image.shape
            if image.shape != size:
                raise DataError(
                    f"Frame {count + 1} of {source} is {image.shape[0]}x{image.shape[1]}, the "
                    f"first is {size[0]}x{size[1]}. All frames of a video must have one size."
                )
            frame = overlay(image, mask, labels, opacity)
            writer.append_data(frame if gif else pad_to_multiple(frame, 2))
            count += 1
        if not count:
            raise DataError(f"{source} contains no images.")
    return count
