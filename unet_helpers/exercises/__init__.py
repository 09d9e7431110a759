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

# notebook 00
class_share = images.class_share_exercise
# notebook 01
stack_cost = arithmetic.stack_cost_exercise
dense_as_convolution = arithmetic.dense_as_convolution_exercise
transposed_convolution = arithmetic.transposed_convolution_exercise
# notebook 02
output_size = arithmetic.output_size_exercise
conv_block = encoder.conv_block_exercise
normalised_block = encoder.normalised_block_exercise
receptive_field = arithmetic.receptive_field_exercise
# notebook 03
upsampling_block = decoder.upsampling_block_exercise
transposed_size = arithmetic.transposed_size_exercise
centre_crop = decoder.centre_crop_exercise
# notebook 04
unet_model = whole.unet_model_exercise
pixel_loss = losses.pixel_loss_exercise
# notebook 05
resize_mask = images.resize_mask_exercise
# notebook 06
trimap_to_classes = images.trimap_to_classes_exercise
# notebook 07
cross_entropy_with_void = losses.cross_entropy_with_void_exercise
accuracy_without_void = scores.accuracy_without_void_exercise
median_frequency_weights = losses.median_frequency_weights_exercise
# notebook 08
threshold_for_recall = scores.threshold_for_recall_exercise
# notebook 09
iou_and_dice = scores.iou_and_dice_exercise
mean_per_image = scores.mean_per_image_exercise
calibration_error = scores.calibration_error_exercise
# notebook 10
split_by_recording = images.split_by_recording_exercise
augmentation = images.augmentation_exercise
# notebook 11
tile_starts = images.tile_starts_exercise
# notebook 12
fold = speed.fold_exercise
roofline = speed.roofline_exercise

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Exercise)}
