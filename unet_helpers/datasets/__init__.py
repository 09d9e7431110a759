"""Data sets as `tf.data` pairs of (image, mask), and checks of them."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    augmentation="augment random_crop",
    cache="",
    camvid="",
    carla="",
    checks="",
    download="",
    folder="",
    images="image_files read_image read_mask read_red_channel resize_image resize_mask",
    pairs="pair_up split_at_random",
    pets="",
    pipeline="batches from_arrays load_pairs to_arrays",
)
