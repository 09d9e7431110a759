"""The course's exercises: `exercises.<name>.check(answer)`, `.hint()` and `.solution()`.

An exercise of a new notebook needs a judge, a reference and hints in one of the modules here, a
line below, a family of wrong answers in tests/, and a cell tagged "exercise" in the notebook.
"""

from unet_helpers.exercises.arithmetic import (
    dense_as_convolution_exercise as dense_as_convolution,
)
from unet_helpers.exercises.arithmetic import output_size_exercise as output_size
from unet_helpers.exercises.arithmetic import receptive_field_exercise as receptive_field
from unet_helpers.exercises.arithmetic import stack_cost_exercise as stack_cost
from unet_helpers.exercises.arithmetic import (
    transposed_convolution_exercise as transposed_convolution,
)
from unet_helpers.exercises.arithmetic import transposed_size_exercise as transposed_size
from unet_helpers.exercises.decoder import centre_crop_exercise as centre_crop
from unet_helpers.exercises.decoder import upsampling_block_exercise as upsampling_block
from unet_helpers.exercises.encoder import conv_block_exercise as conv_block
from unet_helpers.exercises.encoder import normalised_block_exercise as normalised_block
from unet_helpers.exercises.whole import unet_model_exercise as unet_model

ALL = {
    exercise.name: exercise
    for exercise in (
        dense_as_convolution,
        stack_cost,
        transposed_convolution,
        output_size,
        receptive_field,
        conv_block,
        normalised_block,
        transposed_size,
        upsampling_block,
        centre_crop,
        unet_model,
    )
}
