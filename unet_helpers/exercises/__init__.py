"""The course's exercises: `exercises.<name>.check(answer)`, `.hint()` and `.solution()`.

An exercise of a new notebook needs its texts in `tasks`, in one of the modules here `judge_NAME`
and the reference NAME, a line below, a family of wrong answers in tests/, and a cell tagged
"exercise" in the notebook.
"""

from unet_helpers.exercises import (
    arithmetic,
    decoder,
    encoder,
    hunt,
    images,
    losses,
    pipeline,
    scores,
    whole,
)
from unet_helpers.exercises.exercise import Exercise
from unet_helpers.models import blocks, pretrained, unet


def of(module, name, *shown):
    """Make the exercise of a module's judge and reference; shown as for `Exercise`.

    Where the module has no reference, the first that is shown is the reference.
    """
    reference = getattr(module, name, None) or shown[0]
    return Exercise(name, getattr(module, f"judge_{name}"), reference, shown)


class_share = of(images, "class_share")  # notebook 00
stack_cost = of(arithmetic, "stack_cost")  # notebook 01
dense_as_convolution = of(arithmetic, "dense_as_convolution")
transposed_convolution = of(arithmetic, "transposed_convolution")
output_size = of(arithmetic, "output_size")  # notebook 02
conv_block = of(encoder, "conv_block", blocks.conv_block, blocks.convolution)
receptive_field = of(arithmetic, "receptive_field")
upsampling_block = of(  # notebook 03
    decoder, "upsampling_block", blocks.upsampling_block, blocks.concat_skip, blocks.convolution
)
transposed_size = of(arithmetic, "transposed_size")
centre_crop = of(decoder, "centre_crop", blocks.crop_to)
cut_skip = of(whole, "cut_skip")
unet_model = of(whole, "unet_model", unet.unet_model, unet.logits_layer)  # notebook 04
pixel_loss = of(losses, "pixel_loss")
resize_mask = of(images, "resize_mask")  # notebook 05
input_pipeline = of(pipeline, "input_pipeline")
paired_flip = of(images, "paired_flip")  # notebook 06
iou_from_confusion = of(scores, "iou_from_confusion")
cross_entropy_with_void = of(losses, "cross_entropy_with_void")  # notebook 07
median_frequency_weights = of(losses, "median_frequency_weights")
soft_dice = of(losses, "soft_dice")  # notebook 08
threshold_for_recall = of(scores, "threshold_for_recall")
border_weights = of(losses, "border_weights")  # notebook 09
iou_and_dice = of(scores, "iou_and_dice")  # notebook 10
mean_per_image = of(scores, "mean_per_image")
calibration_error = of(scores, "calibration_error")  # notebook 11
split_by_recording = of(images, "split_by_recording")  # notebook 12
augmentation = of(images, "augmentation")
bug_hunt = of(hunt, "bug_hunt")
backbone_skips = of(  # notebook 13
    whole, "backbone_skips", whole.backbone_skips, pretrained.last_features
)
tile_starts = of(images, "tile_starts")  # notebook 14
acceptance_test = of(scores, "acceptance_test")
fold = of(arithmetic, "fold")  # notebook 16
roofline = of(arithmetic, "roofline")

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Exercise)}
count_pixels = of(images, "count_pixels")  # shows in notebook 00 how exercises work: not in ALL
