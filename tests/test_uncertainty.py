"""Errors by place and image, calibration and uncertainty, against cases counted by hand."""

import keras
import numpy as np
import pytest
from keras import layers
from small import small_unet

from unet_helpers import evaluation, inference
from unet_helpers.evaluation import uncertainty
from unet_helpers.models import unet_model

TRUTH = np.array([[0, 0, 1], [1, 2, 255], [0, 255, 1]], np.uint8)
PREDICTION = np.array([[0, 1, 1], [1, 2, 2], [0, 1, 1]], np.uint8)


def certain(classes, n_classes=3, top=0.8):
    """Make probabilities whose largest one is `top`, for the given classes."""
    rest = (1 - top) / (n_classes - 1)
    return np.where(np.arange(n_classes) == np.asarray(classes)[..., None], top, rest)


# ---------------------------------------------------------------- distance to the boundary


def test_boundary_distance_by_hand():
    mask = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 1]])
    # the upper right pixel touches the 1 below it
    expected = [[1, 1, 0], [1, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(evaluation.boundary_distance(mask[None])[0], expected)


def test_void_makes_no_boundary():
    mask = np.array([[0, 255, 1], [0, 255, 1], [0, 255, 1]])
    assert (evaluation.boundary_distance(mask[None], maximum=9) == 9).all()
    mask[2, 1] = 0  # now 0 and 1 meet in the last row
    expected = [[2, 2, 2], [1, 1, 1], [1, 0, 0]]
    np.testing.assert_array_equal(evaluation.boundary_distance(mask[None])[0], expected)


def test_boundary_distance_needs_a_batch():
    with pytest.raises(ValueError, match=r"shape \(3, 3\); expected \(N, H, W\)"):
        evaluation.boundary_distance(TRUTH)


# ---------------------------------------------------------------- error rates


def test_error_rates_by_hand():
    groups = np.array([[0, 0, 0], [1, 1, 1], [3, 3, 3]])
    rates, pixels = evaluation.error_rates(TRUTH, PREDICTION, groups, 4)
    # one wrong of three; none of two (one is void); nothing in group 2; none of two
    np.testing.assert_allclose(rates, [1 / 3, 0, np.nan, 0])
    assert pixels.tolist() == [3, 2, 0, 2]


def test_error_rates_refuse_different_shapes():
    with pytest.raises(ValueError, match=r"\(3, 3\), \(3, 3\), \(2, 3\)"):
        evaluation.error_rates(TRUTH, PREDICTION, TRUTH[:2], 3)


def test_image_ious_by_hand():
    truth = np.stack([TRUTH, np.full((3, 3), 255)])
    ious = evaluation.image_ious(truth, np.stack([PREDICTION, PREDICTION]), 4)
    np.testing.assert_allclose(ious, [[2 / 3, 3 / 4, 1, np.nan], [np.nan] * 4])


# ---------------------------------------------------------------- calibration


def test_to_probabilities_by_hand():
    logits = np.log([[1, 2, 5], [2, 2, 4]])
    probabilities = inference.to_probabilities(logits)
    np.testing.assert_allclose(probabilities, [[1 / 8, 2 / 8, 5 / 8], [1 / 4, 1 / 4, 1 / 2]], 1e-6)
    assert probabilities.dtype == np.float32


def test_to_probabilities_of_huge_logits_and_of_a_single_one():
    np.testing.assert_array_equal(inference.to_probabilities([[1000.0, -1000.0]]), [[1, 0]])
    single = inference.to_probabilities(np.log([[3.0], [1.0]]))
    np.testing.assert_allclose(single, [[1 / 4, 3 / 4], [1 / 2, 1 / 2]], 1e-6)


def test_reliability_by_hand_leaves_void_out():
    said = np.array([[0.8, 0.8, 0.8], [0.8, 0.6, 0.6], [0.6, 0.6, 1.0]])
    probabilities = np.stack(
        [
            certain(*pair, top=top)
            for pair, top in zip([(c,) for c in PREDICTION.ravel()], said.ravel(), strict=True)
        ]
    ).reshape(3, 3, 3)
    result = evaluation.reliability(TRUTH, probabilities, n_bins=5)
    # 0.8 belongs to the bin that ends there: four pixels, three right; 0.6 likewise: two
    # pixels that are not void, both right; 1.0: one pixel, right
    assert result.pixels.tolist() == [0, 0, 2, 4, 1]
    np.testing.assert_allclose(result.confidence, [np.nan, np.nan, 0.6, 0.8, 1])
    np.testing.assert_allclose(result.accuracy, [np.nan, np.nan, 1, 0.75, 1])
    expected = (2 * 0.4 + 4 * 0.05 + 1 * 0) / 7
    assert result.expected_calibration_error == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        (TRUTH, np.zeros((3, 3)), r"shape \(3, 3\), the probabilities \(3, 3\)"),
        (TRUTH, np.ones((3, 3, 3)), "Are they logits"),
        (TRUTH, certain(PREDICTION) * np.nan, "These are not probabilities"),
        (TRUTH, certain(PREDICTION) - [0.5, 0, -0.5], "Are they logits"),
        (np.full((3, 3), 255), certain(PREDICTION), "all is void"),
    ],
)
def test_reliability_refuses_what_has_no_meaning(truth, probabilities, message):
    with pytest.raises(ValueError, match=message):
        evaluation.reliability(truth, probabilities)


# ---------------------------------------------------------------- uncertainty


def test_entropy_by_hand():
    found = evaluation.entropy([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(found, [0, np.log(2), np.log(4)], atol=1e-9)


def test_predictions_that_agree_and_predictions_that_do_not():
    sure = np.array([[[[20.0, -20.0]]]])
    agree = uncertainty.average_predictions([sure, sure])
    np.testing.assert_allclose(agree.probabilities, [[[[1, 0]]]], atol=1e-6)
    np.testing.assert_allclose(agree.mutual_information, [[[0]]], atol=1e-6)
    # each is certain, together they know nothing: all of the entropy is mutual information
    against = uncertainty.average_predictions(iter([sure, -sure]))
    np.testing.assert_allclose(against.probabilities, [[[[0.5, 0.5]]]], atol=1e-6)
    np.testing.assert_allclose(against.mutual_information, [[[np.log(2)]]], atol=1e-6)
    # both unsure in the same way: entropy, but no mutual information
    np.testing.assert_array_equal(
        uncertainty.average_predictions([sure * 0] * 3).mutual_information, [[[0]]]
    )


def test_flip_tta_mirrors_the_flipped_prediction_back(rng):
    # a model that looks at single pixels does not care which way round they stand
    inputs = keras.Input((None, None, 3))
    start = keras.initializers.RandomNormal(0, 3, seed=0)
    model = keras.Model(inputs, layers.Conv2D(4, 1, kernel_initializer=start)(inputs))
    images = rng.integers(0, 3, (2, 5, 7, 3)).astype(np.uint8)
    ensemble = evaluation.flip_tta(model, images)
    once = inference.to_probabilities(inference.predict_logits(model, images))
    np.testing.assert_allclose(ensemble.probabilities, once, atol=1e-6)
    assert ensemble.mutual_information.shape == (2, 5, 7)
    assert ensemble.mutual_information.max() < 1e-5


@pytest.fixture(scope="module")
def dropout_net():
    """A small network with dropout, and batch normalisation that has seen other data."""
    keras.utils.set_random_seed(0)
    net = small_unet((16, 32, 3), 2, 3, 0.5, batch_norm=True)
    rng = np.random.default_rng(0)
    moved = [w if w.ndim == 4 else rng.uniform(0.5, 1.5, w.shape) for w in net.get_weights()]
    net.set_weights(moved)
    return net


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 16, 32, 3)).astype(np.uint8)


def test_dropout_left_on_differs_from_call_to_call_and_the_model_stays_as_it_was(
    dropout_net, images
):
    before = inference.predict_logits(dropout_net, images)
    weights = dropout_net.get_weights()
    random = uncertainty.with_dropout_on(dropout_net)
    first, second = (inference.predict_logits(random, images) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(inference.predict_logits(dropout_net, images), before)
    for old, new, copied in zip(
        weights, dropout_net.get_weights(), random.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(old, copied)  # no average of the normalisation has moved


def test_only_dropout_is_left_on(dropout_net, images):
    """With dropout of rate 0 nothing is random, so batch normalisation must be in inference."""
    still = small_unet((16, 32, 3), 2, 3, 0.5, batch_norm=True)
    still.set_weights(dropout_net.get_weights())
    for layer in still.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    random = uncertainty.with_dropout_on(still)
    np.testing.assert_allclose(
        inference.predict_logits(random, images),
        inference.predict_logits(dropout_net, images),
        atol=1e-5,
    )


def test_dropout_in_models_used_as_layers_is_left_on_too():
    part = keras.Sequential([keras.Input((4, 4, 3)), layers.Dropout(0.5)])
    inputs = keras.Input((4, 4, 3))
    outer = keras.Model(inputs, layers.ReLU()(part(inputs)))
    for model in (part, outer):
        dropped = keras.ops.convert_to_numpy(
            uncertainty.with_dropout_on(model)(np.ones((1, 4, 4, 3)), training=False)
        )
        assert set(np.unique(dropped)) == {0, 2}


def test_mc_dropout_follows_from_its_seed(dropout_net, images):
    one, again, other = (
        evaluation.mc_dropout(dropout_net, images, times=3, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.probabilities, again.probabilities)
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-4
    np.testing.assert_allclose(one.probabilities.sum(axis=-1), 1, atol=1e-5)
    assert one.mutual_information.shape == (2, 16, 32)
    assert one.mutual_information.max() > 0


def test_mc_dropout_needs_dropout_and_a_prediction(dropout_net, images):
    with pytest.raises(ValueError, match="'plain' has no dropout layer"):
        evaluation.mc_dropout(unet_model((16, 32, 3), 2, 3, 0, name="plain"), images)
    with pytest.raises(ValueError, match="times is 0"):
        evaluation.mc_dropout(dropout_net, images, times=0)


def test_risk_coverage_by_hand():
    # seven pixels with a label; the wrong one is (0, 1)
    uncertain = np.array([[1, 9, 2], [3, 4, 99], [5, 99, 6]])
    rest = evaluation.risk_coverage(TRUTH, PREDICTION, uncertain, [0, 1 / 7, 3 / 7])
    np.testing.assert_allclose(rest, [1 / 7, 0, 0])
    # the wrong places are uncertain: the error rate rises
    rest = evaluation.risk_coverage(TRUTH, PREDICTION, -uncertain, [0, 3 / 7, 6 / 7])
    np.testing.assert_allclose(rest, [1 / 7, 1 / 4, 1])


@pytest.mark.parametrize("shares", [[1.0], [-0.1, 0.5]])
def test_risk_coverage_refuses_to_set_everything_aside(shares):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        evaluation.risk_coverage(TRUTH, PREDICTION, TRUTH, shares)


def test_nan_has_no_place_in_an_order():
    with pytest.raises(ValueError, match="uncertainty holds nan"):
        evaluation.risk_coverage([0, 1], [0, 1], np.array([0.5, np.nan]), [0.5])
