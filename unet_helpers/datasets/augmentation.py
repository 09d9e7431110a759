"""Random changes of an image and its mask together."""

import tensorflow as tf

from unet_helpers.labels import VOID


def augment(image, mask, seed=None, zoom=0.0):
    """Change a pair at random: mirror, zoom and shift both alike, then change the image's colours.

    Args:
        image: uint8 tensor (H, W, 3).
        mask: uint8 tensor (H, W), classes or void.
        seed: integer tensor (2,); the same seed gives the same change. None draws one.
        zoom: how much to zoom and shift. 0 only mirrors, which suits short training runs: zooming
            blurs thin objects. Long training runs on few images gain from 0.5 to 1.

    Returns (image, mask) of the same shapes and dtypes; pixels from outside the image are void.
    """
    if seed is None:
        seed = tf.random.uniform((2,), maxval=tf.int64.max, dtype=tf.int64)
    random = tf.random.stateless_uniform((9,), seed)
    h, w = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(mask)))

    # One transform for both, from output to input pixels: x' = a x + c, y' = e y + f.
    e = 2.0 ** (zoom * (1.3 * random[0] - 0.9))  # below 1, a part of the image fills the frame
    a = tf.where(random[1] < 0.5, -e, e)  # a negative sign mirrors
    room = tf.abs(1 - e) + 0.1 * zoom
    c = (1 - a) * (w - 1) / 2 + (random[2] - 0.5) * room * w
    f = (1 - e) * (h - 1) / 2 + (random[3] - 0.5) * room * h
    transform = tf.stack([a, 0.0, c, 0.0, e, f, 0.0, 0.0])
    mask = warp(mask[..., None], transform, "NEAREST", float(VOID))[..., 0]
    image = warp(tf.cast(image, tf.float32), transform, "BILINEAR", 0.0)  # uint8 would truncate

    # Light and colour change the image only: a street at dusk has the same classes.
    contrast, brightness = 0.85 + 0.3 * random[4], 40 * (random[5] - 0.5)
    tint = 0.93 + 0.14 * random[6:9]
    mean = tf.reduce_mean(image)
    image = ((image - mean) * contrast + mean + brightness) * tint
    return tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8), mask


def random_crop(image, mask, size, classes=(), seed=None):
    """Cut the same part out of an image and its mask, half of the time around one of some classes.

    Shapes: uint8 (H, W, 3), (H, W) and size (h, w), at most (H, W) -> uint8 (h, w, 3), (h, w).
    Where the mask has none of the classes, such as rare ones, and for every second part, any pixel
    may be in the middle, as near as the border allows. seed is as in `augment`. TensorFlow raises
    InvalidArgumentError for a part that is larger than the image.
    """
    if seed is None:
        seed = tf.random.uniform((2,), maxval=tf.int64.max, dtype=tf.int64)
    seed = tf.convert_to_tensor(seed)
    near = tf.reduce_any(mask[..., None] == tf.constant(classes, tf.uint8), axis=-1)
    anywhere = ~tf.reduce_any(near) | (tf.random.stateless_uniform((), seed + 1) < 0.5)
    pixels = tf.where(near | anywhere)
    # Not with `seed` itself: `augment` may get the same one, and must not follow from the place.
    middle = pixels[tf.random.stateless_uniform((), seed + 2, 0, tf.shape(pixels)[0], tf.int32)]
    shape = tf.shape(mask, tf.int64)
    corner = tf.clip_by_value(middle - tf.constant(size, tf.int64) // 2, 0, shape - size)
    image = tf.slice(image, [*tf.unstack(corner), 0], [*size, 3])
    return image, tf.slice(mask, corner, size)


def warp(image, transform, interpolation, fill):
    """Resample an image (H, W, C) by a transform from output to input pixels."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=tf.shape(image)[:2],
        interpolation=interpolation,
        fill_mode="CONSTANT",
        fill_value=fill,
    )[0]
