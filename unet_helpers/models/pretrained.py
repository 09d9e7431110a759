"""Networks trained before: those stored by `data/train_nets.py`, and encoders to start from."""

import warnings
import zipfile
from functools import partial
from pathlib import Path

import keras
import numpy as np

from unet_helpers.files import atomic_write, explained, sample_folder
from unet_helpers.labels import PETS
from unet_helpers.models import blocks, fcn, unet

SIZE = (160, 192)  # near the sample's own 150 x 200, and divisible by 32
EPOCHS = 24
WEIGHT_POWER = 0.75  # of the median-frequency weights
UNET = partial(unet.unet_model, n_filters=8, n_classes=13, dropout_prob=0, batch_norm=True)
FCN = partial(fcn.fcn_model, n_filters=11, n_classes=13, batch_norm=True)
NETWORKS = {
    "fcn_32s": partial(FCN, stride=32),
    "fcn_16s": partial(FCN, stride=16),
    "fcn_8s": partial(FCN, stride=8),
    "unet": UNET,
    "unet_without_skip_1": partial(UNET, skips=(2, 3, 4)),
    "unet_without_skips": partial(UNET, skips=()),
}
# To start from: trained by experiments/pretrain.py on images drawn for the purpose.
START = partial(UNET, n_filters=16)
STARTS = {"streets": START, "pets": partial(START, n_classes=PETS.n_classes)}


def build(name):
    """Build one of NETWORKS or STARTS, untrained; raises ValueError for an unknown name."""
    known = NETWORKS | STARTS
    if name not in known:
        raise ValueError(f"There is no network {name!r}; there are {', '.join(known)}.")
    return known[name]((*SIZE, 3), name=name)


def load(name, folder=None):
    """Load one of NETWORKS or STARTS as `build` makes it; folder=None takes data/trained.

    Raises ValueError as `build`, and DataError for a missing, broken or wrong file.
    """
    model = build(name)
    path = Path(folder or sample_folder("trained")) / f"{name}.npz"
    script = "experiments/pretrain.py" if name in STARTS else "data/train_nets.py"
    advice = f"Train it again: python {script} {name}."
    with explained(f"The trained network {path} cannot be loaded", advice):
        if not path.is_file():  # reading a pipe or a device might never end
            raise FileNotFoundError(path)
        with zipfile.ZipFile(path) as archive:  # so that a small file cannot fill the memory
            if sum(entry.file_size for entry in archive.infolist()) > 8 * model.count_params():
                raise ValueError("larger than the network")
        with np.load(path, allow_pickle=False) as kept:
            weights = [kept[f"{i}"] * kept[f"{i} scale"] for i in range(len(model.weights))]
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError("not finite")
        model.set_weights(weights)
    return model


def store(model, name, folder):
    """Write a network's weights to folder/NAME.npz, kernels in 8 bits; returns the path.

    Kernels are int8 with one float32 scale a filter; published scores are those after rounding.
    """
    arrays = {}
    for i, weight in enumerate(model.get_weights()):
        scale = np.float32(1)
        if weight.ndim == 4:
            scale = np.maximum(np.abs(weight).max(axis=(0, 1, 2)), 1e-12) / 127
            weight = np.round(weight / scale).astype(np.int8)
        arrays[f"{i}"], arrays[f"{i} scale"] = weight, np.float32(scale)
    path = Path(folder) / f"{name}.npz"
    with atomic_write(path) as part:
        np.savez_compressed(part, **arrays)
    return path


ENCODERS = {  # backbones of keras.applications, with the modules that hold their preprocessing
    "MobileNetV2": keras.applications.mobilenet_v2,
    "EfficientNetV2B0": keras.applications.efficientnet_v2,
    "ResNet50": keras.applications.resnet50,
}


def pretrained_unet(
    encoder="course",
    weights="default",
    input_size=(96, 128, 3),
    n_filters=None,
    n_classes=13,
    frozen=True,
):
    """Build a U-Net whose encoder has been trained before, for classes of your own.

    Args:
        encoder: "course", a stored U-Net with its decoder; or one of ENCODERS, with a new decoder.
        weights: of the course "streets" or "pets", drawn images; of the others "imagenet" (Keras
            downloads these once) or a backbone's file, written by its `save_weights` without the
            classifier (`include_top=False`). "default" is the first of these, None random weights.
        input_size: (H, W, 3), H and W divisible by 16 for "course" and by 32 for the others.
        n_filters: filters of the decoder's last block: 16 for "course"; None is 8 for the others.
        n_classes: number of logits per pixel.
        frozen: whether training leaves the encoder's weights as they are.

    Returns a keras.Model: images (batch, H, W, 3), 0 to 255, uint8 or float -> float32 logits
    (batch, H, W, n_classes); the encoder's preprocessing is part of it. To fine-tune, build it
    again with frozen=False, `set_weights` to those of the frozen one, and train at a small learning
    rate. The encoder's batch normalisations stay frozen: averages of a few small batches would undo
    what it has learned. Raises ValueError for an unknown encoder, weights that are not its own and
    sizes that do not fit, and DataError where weights cannot be loaded.
    """
    encoders = ["course", *ENCODERS]
    if encoder not in encoders:
        raise ValueError(f"There is no encoder {encoder!r}; there are {', '.join(encoders)}.")
    own = list(STARTS) if encoder == "course" else ["imagenet"]
    weights = own[0] if weights == "default" else weights
    if weights not in (*own, None) and (encoder == "course" or weights in STARTS):
        known = " and ".join(own)
        raise ValueError(f"The encoder {encoder} has the weights {known}, not {str(weights)!r}.")
    unet.check_input_size(input_size)
    if None in input_size or input_size[2] != 3:
        raise ValueError(f"input_size is {input_size}; expected (H, W, 3), such as (96, 128, 3).")
    if encoder == "course":
        if n_filters not in (None, 16):
            raise ValueError(f"The course's encoder has n_filters=16, not {n_filters}.")
        image, x, trained = course_unet(weights, input_size)
    else:
        image, x, trained = backbone_unet(encoder, weights, input_size, n_filters or 8)
    for layer in trained:
        layer.trainable = not frozen and not isinstance(layer, keras.layers.BatchNormalization)
    return keras.Model(image, unet.logits_layer(x, n_classes), name="pretrained_unet")


def course_unet(weights, input_size):
    """Return the image, the last features and the encoder's layers of a stored U-Net."""
    model = START(input_size, n_classes=1)
    features = model.layers[:-1]  # all but the logits
    if weights is not None:
        for layer, stored in zip(features, load(weights).layers[:-1], strict=True):
            layer.set_weights(stored.get_weights())
    kinds = [type(layer) for layer in features]
    return model.input, features[-1].output, features[: kinds.index(keras.layers.Conv2DTranspose)]


def backbone_unet(encoder, weights, input_size, n_filters):
    """Return the image, the last features and the encoder's layers of a U-Net on a backbone."""
    unet.check_divisible(input_size, 32)
    module = ENCODERS[encoder]
    image = keras.Input(input_size, name="image")
    advice = 'Without a network, give the file that a machine with one has downloaded, or "course".'
    problem = f"The weights {weights} of {encoder} cannot be loaded"
    # Keras warns of images that are not square, which they need not be.
    with explained(problem, advice), warnings.catch_warnings(action="ignore"):
        backbone = getattr(module, encoder)(
            include_top=False, weights=weights, input_tensor=module.preprocess_input(image)
        )
    x = backbone.output
    for stride in (16, 8, 4, 2):
        skip = last_features(backbone, [side // stride for side in input_size[:2]])
        x = blocks.upsampling_block(x, skip, stride * n_filters, batch_norm=True)
    x = blocks.upsampling_block(x, None, n_filters, batch_norm=True)
    return image, x, backbone.layers


def last_features(backbone, size):
    """Return the backbone's last tensor (batch, *size, channels) before the size is halved."""
    outputs = [layer.output for layer in backbone.layers]
    return [output for output in outputs if list(output.shape[1:3]) == size][-1]
