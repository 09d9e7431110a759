"""The stored networks are small and do what notebooks claim of them; encoders can be built on."""

import keras
import numpy as np
import pytest

from unet_helpers import datasets, evaluation, files, models
from unet_helpers.datasets import carla
from unet_helpers.labels import CARLA, DataError
from unet_helpers.models import pretrained

THIN = [CARLA.classes.index(name) for name in ("Poles", "RoadLines", "TrafficSigns")]


@pytest.fixture(scope="module")
def scores():
    test = datasets.batches(carla.load("test", image_size=pretrained.SIZE))
    names = ("fcn_32s", "unet", "unet_without_skips")
    return {
        name: evaluation.scores(evaluation.evaluate(pretrained.load(name), test, 13))
        for name in names
    }


def test_every_network_is_stored_and_small():
    stored = {path.stem: path for path in files.sample_folder("trained").glob("*.npz")}
    assert set(stored) == {*pretrained.NETWORKS, *pretrained.STARTS}
    assert all(stored[name].stat().st_size < 700_000 for name in pretrained.NETWORKS)
    assert all(stored[name].stat().st_size < 2_100_000 for name in pretrained.STARTS)


def test_compared_networks_have_about_the_same_number_of_parameters():
    counts = [pretrained.build(name).count_params() for name in ("fcn_32s", "fcn_8s", "unet")]
    assert max(counts) < 1.1 * min(counts)


def test_unet_is_clearly_ahead_on_thin_classes(scores):
    unet, fcn = scores["unet"].iou[THIN], scores["fcn_32s"].iou[THIN]
    assert (unet > 1.5 * fcn + 0.03).all()
    assert scores["unet"].mean_iou > scores["fcn_32s"].mean_iou + 0.1


def test_skip_connections_are_worth_something(scores):
    assert scores["unet"].mean_iou > scores["unet_without_skips"].mean_iou


def test_storing_rounds_kernels_to_8_bits_and_nothing_else(tmp_path):
    model = pretrained.build("unet")
    pretrained.store(model, "unet", tmp_path)
    again = pretrained.load("unet", folder=tmp_path)
    for before, after in zip(model.get_weights(), again.get_weights(), strict=True):
        if before.ndim == 4:
            step = np.abs(before).max(axis=(0, 1, 2)) / 127
            assert (np.abs(before - after) <= step / 2 + 1e-6).all()
        else:
            np.testing.assert_array_equal(before, after)


def test_a_missing_a_broken_and_another_file_are_named(tmp_path):
    with pytest.raises(DataError, match=r"unet\.npz cannot be loaded \(FileNotFoundError"):
        pretrained.load("unet", folder=tmp_path)
    (tmp_path / "unet.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"train_nets\.py unet"):
        pretrained.load("unet", folder=tmp_path)
    pretrained.store(pretrained.build("fcn_8s"), "fcn_8s", tmp_path)
    (tmp_path / "fcn_8s.npz").rename(tmp_path / "unet.npz")
    with pytest.raises(DataError, match="cannot be loaded"):
        pretrained.load("unet", folder=tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="no network 'resnet'; there are fcn_32s"):
        pretrained.build("resnet")


# Where each backbone halves the image next, its last features of that size: the usual skips.
SKIPS = {
    "MobileNetV2": [f"block_{block}_expand_relu" for block in (13, 6, 3, 1)],
    "EfficientNetV2B0": [
        "block6a_expand_activation",
        "block4a_expand_activation",
        "block2b_add",
        "block1a_project_activation",
    ],
    "ResNet50": ["conv4_block6_out", "conv3_block4_out", "conv2_block3_out", "conv1_relu"],
}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype("uint8")


@pytest.fixture(scope="module", params=SKIPS)
def built(request):
    return request.param, models.pretrained_unet(request.param, None, (64, 96, 3), n_classes=4)


def test_a_backbone_hands_its_last_features_of_each_size_to_the_decoder(built):
    encoder, model = built
    joins = [layer for layer in model.layers if layer.name.startswith("concatenate")]
    assert [layer.input[1]._keras_history.operation.name for layer in joins] == SKIPS[encoder]
    assert model.output.shape == (None, 64, 96, 4)
    decoder = model.layers[model.layers.index(joins[0]) - 1 :]
    assert {id(weight) for weight in model.trainable_weights} == {
        id(weight) for layer in decoder for weight in layer.trainable_weights
    }


def test_its_preprocessing_is_part_of_it(built):
    """uint8 images go in; ImageNet's mean or scale is applied once."""
    encoder, model = built
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    seen = np.asarray(keras.Model(model.input, first.input)(IMAGES))
    if encoder == "MobileNetV2":
        np.testing.assert_allclose(seen, IMAGES / 127.5 - 1, atol=1e-5)
    elif encoder == "ResNet50":
        expected = IMAGES[..., ::-1] - np.array([103.939, 116.779, 123.68])
        np.testing.assert_allclose(seen[:, 3:-3, 3:-3], expected, atol=1e-3)
    else:
        expected = (IMAGES / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        np.testing.assert_allclose(seen, expected, atol=1e-4)


def test_it_is_saved_and_folded_as_other_models_are(tmp_path):
    model = models.pretrained_unet("MobileNetV2", None, (64, 96, 3), n_classes=4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")  # without objects of the course
    logits = np.asarray(model(IMAGES))
    np.testing.assert_allclose(again(IMAGES), logits, atol=1e-5)
    np.testing.assert_allclose(models.fold_batch_norm(model)(IMAGES), logits, atol=1e-5)


def test_a_backbone_is_loaded_from_a_file_and_from_keras(tmp_path, monkeypatch):
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None)
    path = tmp_path / "mobile.weights.h5"
    backbone.save_weights(path)
    fetched = []

    def get_file(name, origin, **_):  # stands in for the download
        fetched.append(origin)
        return str(path)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    for weights in (path, "default"):
        model = models.pretrained_unet("MobileNetV2", weights, (64, 96, 3))
        for layer in backbone.layers[1:]:
            for one, other in zip(
                layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(one, other)
    assert len(fetched) == 1 and "mobilenet_v2_weights" in fetched[0] and "no_top" in fetched[0]


@pytest.mark.parametrize("weights", pretrained.STARTS)
def test_the_course_encoder_brings_all_but_its_logits(weights):
    model = models.pretrained_unet(weights=weights, input_size=(64, 96, 3), n_classes=4)
    stored = pretrained.load(weights)
    for one, other in zip(stored.layers[1:-1], model.layers[1:-1], strict=True):
        for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, same)
    kinds = [type(layer).__name__ for layer in model.layers if layer.trainable_weights]
    assert kinds[0] == "Conv2DTranspose" and model.output.shape[-1] == 4
    new, old = (net.layers[-1].get_weights()[0][..., :3] for net in (model, stored))
    assert not (new == old).all()


def test_fine_tuning_moves_the_encoder_but_not_its_normalisations():
    frozen = models.pretrained_unet(input_size=(64, 96, 3), n_classes=3)
    model = models.pretrained_unet(weights=None, input_size=(64, 96, 3), n_classes=3, frozen=False)
    model.set_weights(frozen.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for each in (frozen, model):
        each.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
        each.train_on_batch(IMAGES, np.zeros((2, 64, 96), "uint8"))
    stored = pretrained.load("streets")
    n_encoder = [type(layer).__name__ for layer in stored.layers].index("Conv2DTranspose")
    for number, layer in enumerate(stored.layers[:n_encoder]):
        for weight, before in enumerate(layer.get_weights()):
            assert (frozen.layers[number].get_weights()[weight] == before).all()
            moved = (model.layers[number].get_weights()[weight] != before).any()
            assert moved == isinstance(layer, keras.layers.Conv2D)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(encoder="resnet"), "no encoder 'resnet'; there are course, MobileNetV2, Eff"),
        (
            dict(weights="imagenet"),
            "course has the weights streets and pets, not 'imagenet'",
        ),
        (dict(encoder="ResNet50", weights="pets"), "ResNet50 has the weights imagenet, not 'pets'"),
        (dict(weights="my.weights.h5"), "course has the weights streets and pets, not 'my.we"),
        (dict(n_filters=8), "has n_filters=16, not 8"),
        (dict(input_size=(None, None, 3)), r"expected \(H, W, 3\)"),
        (dict(input_size=(64, 64, 1)), r"expected \(H, W, 3\)"),
        (dict(input_size=(100, 128, 3)), "100x128 is not divisible by 16; .* 112x128"),
        (dict(encoder="ResNet50", weights=None, input_size=(112, 96, 3)), "is: 128x96"),
    ],
)
def test_what_does_not_fit_is_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        models.pretrained_unet(**arguments)


@pytest.mark.parametrize("weights", ["missing.weights.h5", "text.weights.h5", "imagenet"])
def test_weights_that_cannot_be_had_are_named(tmp_path, weights, monkeypatch):
    def get_file(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    (tmp_path / "text.weights.h5").write_text("no weights")
    weights = weights if weights == "imagenet" else tmp_path / weights
    with pytest.raises(DataError, match=r"of MobileNetV2 cannot be loaded .*Without a network"):
        models.pretrained_unet("MobileNetV2", weights)
