"""The networks: blocks, U-Net, FCN, and tools to draw, profile and fold them."""

from unet_helpers.lazy import hand_on

__getattr__, __dir__ = hand_on(
    __name__,
    blocks="concat_skip conv_block convolution crop_to upsampling_block",
    diagram="draw_model",
    fcn="bilinear_kernel fcn_model naive_cnn",
    folding="fold_batch_norm in_precision",
    pretrained="pretrained_unet",
    profiling="",
    unet="gated_unet next_multiple paper_unet unet_model",
)
