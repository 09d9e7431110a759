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
from unet_helpers.exercises.tasks import CALLS, TEXTS, Task
from unet_helpers.models import blocks, pretrained, unet


def of(module, name, minutes, *shown):
    """Make the exercise of a module's judge and reference, by default the first that is shown."""
    reference = getattr(module, name, None) or shown[0]
    texts = Task(minutes, *TEXTS[name], call=CALLS.get(name))
    return Exercise(name, getattr(module, f"judge_{name}"), reference, texts, shown)


class_share = of(images, "class_share", 5)  # notebook 00
stack_cost = of(arithmetic, "stack_cost", 10)  # notebook 01
dense_as_convolution = of(arithmetic, "dense_as_convolution", 5)
transposed_convolution = of(arithmetic, "transposed_convolution", 15)
output_size = of(arithmetic, "output_size", 5)  # notebook 02
conv_block = of(encoder, "conv_block", 20, blocks.conv_block, blocks.convolution)
receptive_field = of(arithmetic, "receptive_field", 10)
upsampling_block = of(  # notebook 03
    decoder, "upsampling_block", 15, blocks.upsampling_block, blocks.concat_skip, blocks.convolution
)
transposed_size = of(arithmetic, "transposed_size", 5)
centre_crop = of(decoder, "centre_crop", 10, blocks.crop_to)
cut_skip = of(whole, "cut_skip", 15)
unet_model = of(whole, "unet_model", 20, unet.unet_model, unet.logits_layer)  # notebook 04
pixel_loss = of(losses, "pixel_loss", 10)
resize_mask = of(images, "resize_mask", 15)  # notebook 05
input_pipeline = of(pipeline, "input_pipeline", 15)
paired_flip = of(images, "paired_flip", 10)  # notebook 06
iou_from_confusion = of(scores, "iou_from_confusion", 10)
cross_entropy_with_void = of(losses, "cross_entropy_with_void", 20)  # notebook 07
median_frequency_weights = of(losses, "median_frequency_weights", 20)
soft_dice = of(losses, "soft_dice", 10)  # notebook 08
threshold_for_recall = of(scores, "threshold_for_recall", 15)
border_weights = of(losses, "border_weights", 20)  # notebook 09
iou_and_dice = of(scores, "iou_and_dice", 15)  # notebook 10
mean_per_image = of(scores, "mean_per_image", 10)
calibration_error = of(scores, "calibration_error", 15)  # notebook 11
split_by_recording = of(images, "split_by_recording", 15)  # notebook 12
augmentation = of(images, "augmentation", 20)
bug_hunt = of(hunt, "bug_hunt", 20)
backbone_skips = of(  # notebook 13
    whole, "backbone_skips", 15, whole.backbone_skips, pretrained.last_features
)
tile_starts = of(images, "tile_starts", 15)  # notebook 14
acceptance_test = of(scores, "acceptance_test", 15)
fold = of(arithmetic, "fold", 10)  # notebook 16
roofline = of(arithmetic, "roofline", 10)

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Exercise)}
count_pixels = of(images, "count_pixels", 1)  # shows in notebook 00 how exercises work: not in ALL
