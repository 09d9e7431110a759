"""Masks from a trained model: images, tiles, folders, videos, exports."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    export="",
    images="earlier_masks predict_folder predict_image predict_images save_mask save_masks",
    loading="load_model",
    predict="predict_logits predict_masks to_mask to_probabilities two_logits",
    tiles="blend_weights pad_to_multiple receptive_field_radius tile_logits tile_starts",
    video="predict_video",
)
