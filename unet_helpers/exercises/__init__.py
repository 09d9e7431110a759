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

_ARITHMETIC = (output_size,)
_PICTURES = (
    class_share,
    resize_mask,
    trimap_to_classes,
    augmentation,
    split_by_recording,
    tile_starts,
)

ALL = {exercise.name: exercise for exercise in (*_ARITHMETIC, *_PICTURES)}
