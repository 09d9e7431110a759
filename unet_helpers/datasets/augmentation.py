"""Random changes of an image and its mask together."""

import tensorflow as tf

from unet_helpers.labels import VOID


def augment(image, mask, seed=None, zoom=0.0, colour=1.0, size=None):
    """Change a pair at random: mirror, zoom and shift both alike, then change the image's colours.

    Args:
        image: uint8 tensor (H, W, 3).
        mask: uint8 tensor (H, W), classes or void.
        seed: integer tensor (2,); the same seed gives the same change. None draws one.
        zoom: how much to zoom and shift. 0 only mirrors, which suits short training runs: zooming
            blurs, and thin objects then take longer to learn. Long training runs on few images
            gain from 0.5 to 1.
        colour: how much to change light and colours; 0 not at all.
        size: (h, w) of a window that is cut out at random; None keeps all of the image.

    Returns:
        (image, mask) of the same dtypes, of the size given. Pixels from outside the image are void
        in the mask, so that no loss or score counts them.
    """
    if seed is None:
        seed = tf.random.uniform((2,), maxval=tf.int64.max, dtype=tf.int64)
    random = tf.random.stateless_uniform((9,), seed)
    height, width = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(mask)))
    h, w = (height, width) if size is None else map(float, size)

    # One transform for both, from output to input pixels: x' = a x + c, y' = e y + f.
    e = 2.0 ** (zoom * (1.3 * random[0] - 0.9))  # below 1, a part of the image fills the frame
    a = tf.where(random[1] < 0.5, -e, e)  # a negative sign mirrors
    shift_x = (random[2] - 0.5) * (tf.abs(width - e * w) + 0.1 * zoom * width)
    shift_y = (random[3] - 0.5) * (tf.abs(height - e * h) + 0.1 * zoom * height)
    # By whole pixels, or a window without zoom would be blurred.
    c = tf.round((width - 1 - a * (w - 1)) / 2 + shift_x)
    f = tf.round((height - 1 - e * (h - 1)) / 2 + shift_y)
    transform = tf.stack([a, 0.0, c, 0.0, e, f, 0.0, 0.0])
    size = tf.shape(mask) if size is None else size
    mask = warp(mask[..., None], transform, size, "NEAREST", float(VOID))[..., 0]
    image = tf.cast(image, tf.float32)  # uint8 would truncate
    image = warp(image, transform, size, "BILINEAR", 0.0)

    # Light and colour change the image only: a street at dusk has the same classes.
    contrast, brightness = 1 + 0.3 * colour * (random[4] - 0.5), 40 * colour * (random[5] - 0.5)
    tint = 1 + 0.14 * colour * (random[6:9] - 0.5)
    mean = tf.reduce_mean(image)
    image = ((image - mean) * contrast + mean + brightness) * tint
    return tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8), mask


def warp(image, transform, size, interpolation, fill):
    """Resample an image (H, W, C) to a size (h, w) by a transform from output to input pixels."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=size,
        interpolation=interpolation,
        fill_mode="CONSTANT",
        fill_value=fill,
    )[0]
