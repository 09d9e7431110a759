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

class_share = Exercise("class_share", images.judge_class_share, images.class_share)  # notebook 00
stack_cost = Exercise(
    "stack_cost", arithmetic.judge_stack_cost, arithmetic.stack_cost
)  # notebook 01
dense_as_convolution = Exercise(
    "dense_as_convolution", arithmetic.judge_dense_as_convolution, arithmetic.dense_as_convolution
)
transposed_convolution = Exercise(
    "transposed_convolution",
    arithmetic.judge_transposed_convolution,
    arithmetic.transposed_convolution,
)
output_size = Exercise(
    "output_size", arithmetic.judge_output_size, arithmetic.output_size
)  # notebook 02
conv_block = encoder.conv_block_exercise
normalised_block = encoder.normalised_block_exercise
receptive_field = Exercise(
    "receptive_field", arithmetic.judge_receptive_field, arithmetic.receptive_field
)
upsampling_block = decoder.upsampling_block_exercise  # notebook 03
transposed_size = Exercise(
    "transposed_size", arithmetic.judge_transposed_size, arithmetic.transposed_size
)
centre_crop = decoder.centre_crop_exercise
unet_model = whole.unet_model_exercise  # notebook 04
pixel_loss = Exercise("pixel_loss", losses.judge_pixel_loss, losses.pixel_loss)
resize_mask = Exercise("resize_mask", images.judge_resize_mask, images.resize_mask)  # notebook 05
cross_entropy_with_void = Exercise(
    "cross_entropy_with_void", losses.judge_cross_entropy_with_void, losses.cross_entropy_with_void
)  # notebook 07
median_frequency_weights = Exercise(
    "median_frequency_weights",
    losses.judge_median_frequency_weights,
    losses.median_frequency_weights,
)
threshold_for_recall = Exercise(
    "threshold_for_recall", scores.judge_threshold_for_recall, scores.threshold_for_recall
)  # notebook 08
iou_and_dice = Exercise(
    "iou_and_dice", scores.judge_iou_and_dice, scores.iou_and_dice
)  # notebook 09
mean_per_image = Exercise("mean_per_image", scores.judge_mean_per_image, scores.mean_per_image)
calibration_error = Exercise(
    "calibration_error", scores.judge_calibration_error, scores.calibration_error
)
split_by_recording = Exercise(
    "split_by_recording", images.judge_split_by_recording, images.split_by_recording
)  # notebook 10
augmentation = Exercise("augmentation", images.judge_augmentation, images.augmentation)
tile_starts = Exercise("tile_starts", images.judge_tile_starts, images.tile_starts)  # notebook 11
fold = Exercise("fold", speed.judge_fold, speed.fold)  # notebook 12
roofline = Exercise("roofline", speed.judge_roofline, speed.roofline)

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Exercise)}
