"""Masks laid over the frames of a video."""

from pathlib import Path

import imageio.v2 as imageio
from tqdm.auto import tqdm

from unet_helpers.datasets.images import IMAGE_ENDINGS, image_files
from unet_helpers.files import atomic_write, explained
from unet_helpers.inference.images import predict_images
from unet_helpers.inference.tiles import pad_to_multiple
from unet_helpers.labels import DataError, check_number, overlay

FFMPEG = (
    "imageio reads and writes GIF by itself; for other videos it needs the package "
    "imageio-ffmpeg: pip install imageio-ffmpeg"
)


def predict_video(model, source, target, labels, opacity=0.5, fps=10, **options):
    """Predict every frame of a video or folder and write a video with the masks laid over them.

    source is a video or GIF that imageio can read, or a folder of frames in the order of names. The
    ending of target chooses the format: .gif, of at most 50 frames per second, or .mp4 with the
    package imageio-ffmpeg. Sound is not copied. model and options are as for `predict_image`.

    Returns the number of frames written. Raises DataError when the target is the source or in its
    folder, the source cannot be read, its frames differ in size, or the target cannot be written.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise DataError(f"There is no video {source}. Correct the path.")
    replaced = target.parent if source.is_dir() else target
    if replaced.exists() and replaced.samefile(source):
        raise DataError(f"{target} would replace {source} or a part of it: choose another target.")
    gif = target.suffix.lower() == ".gif"
    if not gif and target.suffix.lower() in IMAGE_ENDINGS:
        raise DataError(f"{target} would be a single image: let it end in .gif or .mp4.")
    check_number("opacity", opacity, 0, 1)
    # GIF counts in hundredths of a second, and viewers slow down what lasts less than two
    check_number("fps", fps, 0.01, 50 if gif else 1000)
    # H.264 stores colours at half the size, so sides must be even; imageio would resize to
    # multiples of 16
    timing = {"duration": 1000 / fps, "loop": 0} if gif else {"fps": fps, "macro_block_size": 1}
    size = None
    errors = (OSError, ValueError, ImportError, RuntimeError, SyntaxError)
    frames = image_files(source) if source.is_dir() else read_video(source)
    with (
        explained(f"{target} could not be written as a video", FFMPEG, errors),
        atomic_write(target) as part,
        imageio.get_writer(part, mode="I", **timing) as writer,
    ):
        predicted = predict_images(model, tqdm(frames, source.name), **options)
        for count, (image, mask) in enumerate(predicted, start=1):
            size = size or image.shape
            if image.shape != size:
                raise DataError(
                    f"Frame {count} of {source} is {image.shape[0]}x{image.shape[1]}, the "
                    f"first is {size[0]}x{size[1]}. All frames of a video must have one size."
                )
            frame = overlay(image, mask, labels, opacity)
            writer.append_data(frame if gif else pad_to_multiple(frame, 2))
        if not size:
            raise DataError(f"{source} contains no images.")
    return count


def read_video(path):
    """Yield the frames of a video or GIF, uint8 (H, W, 3); raises DataError for a damaged one."""
    advice = "It is damaged, cut off or not a video: get it again."
    if path.suffix.lower() != ".gif":
        advice += f" Or it needs more: {FFMPEG}"
    with explained(f"{path} cannot be read as a video", advice):
        yield from imageio.get_reader(path)
