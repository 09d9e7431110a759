"""The course's exercises: `exercises.<name>.check(answer)`, `.hint()` and `.solution()`.

An exercise of a new notebook needs its texts in `tasks`, a judge and a reference in one of the
modules here, a line below, a family of wrong answers in tests/, and a cell tagged "exercise" in
the notebook.
"""

from unet_helpers.exercises import (
    arithmetic,
    decoder,
    encoder,
    images,
    losses,
    scores,
    speed,
    whole,
)
from unet_helpers.exercises.exercise import Exercise

class_share = images.class_share_exercise  # notebook 00
stack_cost = arithmetic.stack_cost_exercise  # notebook 01
dense_as_convolution = arithmetic.dense_as_convolution_exercise
transposed_convolution = arithmetic.transposed_convolution_exercise
output_size = arithmetic.output_size_exercise  # notebook 02
conv_block = encoder.conv_block_exercise
normalised_block = encoder.normalised_block_exercise
receptive_field = arithmetic.receptive_field_exercise
upsampling_block = decoder.upsampling_block_exercise  # notebook 03
transposed_size = arithmetic.transposed_size_exercise
centre_crop = decoder.centre_crop_exercise
unet_model = whole.unet_model_exercise  # notebook 04
pixel_loss = losses.pixel_loss_exercise
resize_mask = images.resize_mask_exercise  # notebook 05
cross_entropy_with_void = losses.cross_entropy_with_void_exercise  # notebook 07
median_frequency_weights = losses.median_frequency_weights_exercise
threshold_for_recall = scores.threshold_for_recall_exercise  # notebook 08
iou_and_dice = scores.iou_and_dice_exercise  # notebook 09
mean_per_image = scores.mean_per_image_exercise
calibration_error = scores.calibration_error_exercise
split_by_recording = images.split_by_recording_exercise  # notebook 10
augmentation = images.augmentation_exercise
tile_starts = images.tile_starts_exercise  # notebook 11
fold = speed.fold_exercise  # notebook 12
roofline = speed.roofline_exercise

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Exercise)}
