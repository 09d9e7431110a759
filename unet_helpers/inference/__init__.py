"""Masks from a trained model: images, tiles, folders, videos, exports."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "blend_weights": "tiles",
        "load_model": "loading",
        "pad_to_multiple": "tiles",
        "predict_folder": "images",
        "predict_image": "images",
        "predict_images": "images",
        "predict_logits": "predict",
        "predict_masks": "predict",
        "predict_video": "video",
        "receptive_field_radius": "tiles",
        "save_mask": "images",
        "tile_logits": "tiles",
        "tile_starts": "tiles",
        "to_mask": "predict",
        "to_probabilities": "predict",
        "total_stride": "tiles",
        "two_logits": "predict",
    },
)
