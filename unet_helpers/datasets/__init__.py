"""Data sets as `tf.data` pairs of (image, mask), and checks of them."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "EncodedImage": "images",
        "augment": "augmentation",
        "batches": "pipeline",
        "from_arrays": "pipeline",
        "image_files": "images",
        "load_pairs": "pipeline",
        "pair_up": "pairs",
        "read_image": "images",
        "read_mask": "images",
        "read_red_channel": "images",
        "resize_image": "images",
        "resize_mask": "images",
        "split_at_random": "pairs",
        "to_arrays": "pipeline",
    },
)
