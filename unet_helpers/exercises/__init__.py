"""The course's exercises: `exercises.<name>.check(answer)`, `.hint()` and `.solution()`.

An exercise of a new notebook needs a judge, a reference and hints in one of the modules here, a
line below, a family of wrong answers in tests/, and a cell tagged "exercise" in the notebook.
"""

from unet_helpers.exercises.arithmetic import output_size_exercise as output_size
from unet_helpers.exercises.pictures import augmentation_exercise as augmentation
from unet_helpers.exercises.pictures import class_share_exercise as class_share
from unet_helpers.exercises.pictures import resize_mask_exercise as resize_mask
from unet_helpers.exercises.pictures import split_by_recording_exercise as split_by_recording
from unet_helpers.exercises.pictures import tile_starts_exercise as tile_starts
from unet_helpers.exercises.pictures import trimap_to_classes_exercise as trimap_to_classes
from unet_helpers.exercises.scores import accuracy_without_void_exercise as accuracy_without_void
from unet_helpers.exercises.scores import calibration_error_exercise as calibration_error
from unet_helpers.exercises.scores import (
    cross_entropy_with_void_exercise as cross_entropy_with_void,
)
from unet_helpers.exercises.scores import iou_and_dice_exercise as iou_and_dice
from unet_helpers.exercises.scores import mean_per_picture_exercise as mean_per_picture
from unet_helpers.exercises.scores import (
    median_frequency_weights_exercise as median_frequency_weights,
)
from unet_helpers.exercises.scores import pixel_loss_exercise as pixel_loss
from unet_helpers.exercises.scores import threshold_for_recall_exercise as threshold_for_recall

_ARITHMETIC = (output_size,)
_PICTURES = (
    class_share,
    resize_mask,
    trimap_to_classes,
    augmentation,
    split_by_recording,
    tile_starts,
)
_SCORES = (
    pixel_loss,
    accuracy_without_void,
    cross_entropy_with_void,
    median_frequency_weights,
    threshold_for_recall,
    iou_and_dice,
    mean_per_picture,
    calibration_error,
)

ALL = {exercise.name: exercise for exercise in (*_ARITHMETIC, *_PICTURES, *_SCORES)}
