"""The loop of experiments/ for Keras on JAX does what the course's recipe does."""

import numpy as np
import pytest
from test_blocks_models import run_python

from conftest import REPO

jax = pytest.importorskip("jax")


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "experiments")
    import jax_loop

    return jax_loop


def pair():
    mask = np.zeros((6, 8), np.int32)
    mask[1, 2], mask[4, 5] = 1, 255
    return np.repeat(20.0 + 100 * (mask == 1)[..., None], 3, -1).astype(np.float32), mask


def test_image_and_mask_are_mirrored_together_and_only_the_image_changes_colour(loop):
    image, mask = pair()
    seen = set()
    for number in range(8):
        new, labels = map(np.asarray, loop.augment(image, mask, jax.random.key(number)))
        mirrored = not (labels == mask).all()
        assert (labels == (mask[:, ::-1] if mirrored else mask)).all()
        brightest = np.unravel_index(new.sum(-1).argmax(), mask.shape)
        assert labels[brightest] == 1
        seen.add(mirrored)
    assert seen == {True, False}


def test_crops_are_half_of_the_time_around_a_rare_class(loop):
    image, mask = np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.int32)
    mask[20, 20] = 1
    keys = jax.random.split(jax.random.key(0), 40)
    _, crops = jax.vmap(lambda key: loop.crop_and_augment(image, mask, key, (4, 4), [1]))(keys)
    assert crops.shape == (40, 4, 4)
    # anywhere, a crop of 4 x 4 holds the pixel in 2 of 100 cases
    assert 10 <= (crops == 1).any(axis=(1, 2)).sum() <= 30


def test_it_takes_the_steps_that_fit_takes(repo):
    """With one batch an epoch and no augmentation only the order of the images differs."""
    program = """
    import sys
    sys.path.insert(0, "experiments")
    import jax_loop, keras, numpy as np
    from machines import network
    from unet_helpers import training
    values = np.random.default_rng(0)
    masks = values.integers(0, 3, (4, 8, 8)).astype("uint8")
    images = values.integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    masks[0, :4] = 255
    weights = np.array([0.5, 1.0, 3.0])
    one, other = network(True), network(True)
    jax_loop.fit(one, images, masks, 4, 4, class_weights=weights, augmentation=None)
    training.compile_model(other, steps=4)
    pixel = np.append(weights, np.zeros(253))[masks]
    other.fit(images, masks, 4, sample_weight=pixel, epochs=4, verbose=0)
    moved = 0
    for start, a, b in zip(network(True).get_weights(), one.get_weights(), other.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)
        moved = max(moved, abs(a - start).max())
    assert moved > 1e-3
    """
    flags = "--xla_backend_optimization_level=0"  # compiling takes longer than computing
    run_python(program, repo, KERAS_BACKEND="jax", PYTHONPATH="tests", XLA_FLAGS=flags)
