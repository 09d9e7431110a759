"""The networks: blocks, U-Net, FCN, and tools to draw, measure and fold them."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    {
        "bilinear_kernel": "fcn",
        "conv_block": "blocks",
        "convolution": "blocks",
        "crop_to": "blocks",
        "fcn_model": "fcn",
        "concat_skip": "blocks",
        "naive_cnn": "fcn",
        "next_multiple": "unet",
        "paper_unet": "unet",
        "unet_model": "unet",
        "upsampling_block": "blocks",
    },
)
