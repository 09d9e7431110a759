"""Exercise on the whole U-Net, judged with the weights copied into the course's own."""

import keras
import numpy as np

from unet_helpers.exercises.exercise import Exercise, Incorrect, describe
from unet_helpers.exercises.running import fill, numbers, weights_of
from unet_helpers.models import unet


def run(model, images):
    """Run a learner's model, whether functional or subclassed; returns an array."""
    try:
        return numbers(model(images, training=False))
    except Exception as error:
        raise Incorrect(
            f"The model cannot be run on images {images.shape} ({type(error).__name__})."
        ) from None


def judge_unet_model(attempt):
    n_filters, n_classes, image = 4, 5, (32, 48, 3)
    model = built(attempt, image, n_filters, n_classes)
    images = np.random.default_rng(4).uniform(0, 255, (1, *image)).astype("float32")
    explain_logits(run(model, images), image, n_filters, n_classes)

    fill(model)
    logits = run(model, images)
    explain_last_activation(logits)
    note, reference = find_variant(model, image, n_filters, n_classes)
    copy_weights(model, reference)
    explain_numbers(logits, reference, images)
    small = (16, 16, 1)
    other = built(attempt, small, 2, 3)
    explain_logits(run(other, np.zeros((2, *small), "float32")), small, 2, 3)
    return note or note_on_precision(attempt, image, n_filters, n_classes)


def built(attempt, image, n_filters, n_classes):
    """Let a learner build a model; adds the likely cause where a join fails."""
    try:
        model = attempt(image, n_filters, n_classes)
    except Incorrect as error:
        if "oncat" in str(error) or "skip connection" in str(error):
            raise Incorrect(
                f"{error} Are the skips in the right order of depth? The last encoder block's goes "
                "to the first decoder block, and it is the second tensor that conv_block returns."
            ) from None
        raise
    if isinstance(model, keras.KerasTensor):
        raise Incorrect(
            "It returns the last tensor. Make a model of it: keras.Model(inputs, outputs)."
        )
    if not isinstance(model, keras.Model):
        raise Incorrect(f"It returns {describe(model)}; expected a keras.Model.")
    return model


def explain_logits(logits, image, n_filters, n_classes):
    """Raise Incorrect when a network's output has the wrong shape."""
    height, width = image[:2]
    if logits.ndim != 4:
        raise Incorrect(
            f"The output has the shape {logits.shape}; expected (batch, {height}, {width}, "
            f"{n_classes}): no Flatten and no Dense, they forget where things are."
        )
    if logits.shape[1:3] != (height, width):
        raise Incorrect(
            f"The output is {logits.shape[1]}x{logits.shape[2]} for an image of {height}x{width}. "
            "Four encoder blocks halve it four times, so four decoder blocks must double it."
        )
    if logits.shape[-1] == n_filters != n_classes:
        raise Incorrect(
            f"The output has {n_filters} channels, the features of the last decoder block. A 1x1 "
            "convolution with n_classes filters turns them into logits."
        )
    if logits.shape[-1] != n_classes:
        raise Incorrect(
            f"The output has {logits.shape[-1]} channels instead of n_classes={n_classes}."
        )


def explain_last_activation(logits):
    """Raise Incorrect when the outputs are not logits."""
    if np.allclose(logits.sum(-1), 1, atol=1e-3) and (logits >= 0).all():
        raise Incorrect(
            "The outputs of a pixel sum to one: there is a softmax at the end. The loss applies it "
            "itself (from_logits=True), so the network ends in logits."
        )
    if ((logits > 0) & (logits < 1)).all():
        raise Incorrect(
            "All outputs lie between 0 and 1: there is a sigmoid at the end. The network ends in "
            "logits; the loss does the rest."
        )
    if (logits >= 0).all():
        raise Incorrect(
            "No output is negative: there is a ReLU at the end. Logits have both signs, or no "
            "class could ever be unlikely."
        )


VARIANTS = {
    "": {},
    "no extra convolution before the last layer, as the paper": {"extra_convolution": False},
    "batch normalisation": {"batch_norm": True},
    "batch normalisation and no extra convolution": {
        "batch_norm": True,
        "extra_convolution": False,
    },
    "2x2 transposed convolutions, as the paper": {"up_kernel_size": 2},
    "2x2 transposed convolutions and no extra convolution, as the paper": {
        "up_kernel_size": 2,
        "extra_convolution": False,
    },
    "a 3x3 convolution as last layer": {"last_kernel_size": 3},
    "a 3x3 convolution as last layer and none before it": {
        "last_kernel_size": 3,
        "extra_convolution": False,
    },
}


def find_variant(model, image, n_filters, n_classes):
    """Find the U-Net whose kernels a learner's model has: (note or None, that U-Net).

    Raises Incorrect, with the likely cause, when there is none.
    """
    shapes = sorted(tuple(kernel.shape) for kernel in weights_of(model)[0])
    for name, options in VARIANTS.items():
        reference = unet.unet_model(image, n_filters, n_classes, **options)
        if shapes == sorted(tuple(kernel.shape) for kernel in weights_of(reference)[0]):
            note = f"Yours has {name}, a choice that is as good." if name else None
            return note, reference
    f = n_filters
    widths = {shape[3] for shape in shapes}
    if widths <= {f, n_classes}:
        raise Incorrect(
            f"All blocks have {f} filters. They double with every level down: f, 2f, 4f, 8f, and "
            "16f in the bottleneck; and halve on the way up."
        )
    if 16 * f not in widths and 8 * f in widths:
        raise Incorrect(
            "The bottleneck is missing or has too few filters: below the four encoder blocks lies "
            "one block of 16 n_filters without pooling."
        )
    if 16 * f not in widths:
        raise Incorrect(
            f"The widest layer has {max(widths)} filters; with four levels below {f} it is the "
            f"bottleneck's {16 * f}."
        )
    joined = {shape[2] for shape in shapes if shape[3] == f}
    if 2 * f not in joined or (3, 3, 16 * f, 8 * f) not in shapes:
        raise Incorrect(
            "The first convolution of a decoder block takes too few channels: no skip connection "
            "is joined there."
        )
    raise Incorrect(
        f"It has {len(shapes)} layers with kernels, and not those of U-Net: two in each of four "
        "encoder blocks and in the bottleneck, three in each of four decoder blocks, and the last."
    )


def copy_weights(model, reference):
    """Copy a model's kernels and vectors into the reference, in their order of depth."""
    for here, there in zip(weights_of(model), weights_of(reference), strict=True):
        if [tuple(w.shape) for w in here] != [tuple(w.shape) for w in there]:
            raise Incorrect(
                "It has U-Net's kernels, but in another order or with other biases, so it cannot "
                "be compared. Build it from the top: encoder, bottleneck, decoder."
            )
        for source, target in zip(here, there, strict=True):
            target.assign(source)


def explain_numbers(logits, reference, images):
    """Raise Incorrect when a network with the reference's weights gives other logits."""
    if close_logits(logits, run(reference, images)):
        return
    if close_logits(logits, run(reference, 255 * images)):
        raise Incorrect(
            "The image goes in as it is, 0 to 255. The course's networks divide by 255 in their "
            "first layer: layers.Rescaling(1 / 255)."
        )
    if close_logits(logits, run(reference, images / 255)):
        raise Incorrect("The image is divided by 255 twice; once is right.")
    raise Incorrect(
        "With the same weights as the course's U-Net it gives other logits. Does each decoder "
        "block get the result of the one before, and the skip connection of its own level?"
    )


def close_logits(a, b):
    """Tell whether two networks agree to rounding, measured against the size of the logits."""
    return np.abs(a - b).max() <= 1e-3 * max(1e-6, np.abs(b).max())


def note_on_precision(attempt, image, n_filters, n_classes):
    """Give a note when the logits would not be float32 in half precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        dtype = attempt(image, n_filters, n_classes).outputs[0].dtype
    except (Incorrect, AttributeError):  # a subclassed model has no outputs to look at
        return None
    finally:
        keras.config.set_dtype_policy(policy)
    if dtype == "float32":
        return None
    return (
        f'In half precision your logits would be {dtype}: give the last layer dtype="float32", or '
        "the loss becomes coarse."
    )


unet_model_exercise = Exercise(
    "unet_model", judge_unet_model, unet.unet_model, shown=(unet.unet_model, unet.logits_layer)
)
