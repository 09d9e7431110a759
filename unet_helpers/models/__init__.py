"""The networks: blocks, U-Net, FCN, and tools to draw, profile and fold them."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "bilinear_kernel": "fcn",
        "concat_skip": "blocks",
        "conv_block": "blocks",
        "convolution": "blocks",
        "crop_to": "blocks",
        "draw_model": "diagram",
        "fcn_model": "fcn",
        "fold_batch_norm": "folding",
        "in_precision": "folding",
        "naive_cnn": "fcn",
        "next_multiple": "unet",
        "paper_unet": "unet",
        "unet_model": "unet",
        "upsampling_block": "blocks",
    },
)
