"""The bug hunt: every script holds its bugs, and a check counts those that are cured."""

import inspect
import linecache
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets, evaluation, exercises
from unet_helpers.exercises import hunt


def small_network(input_size, n_filters, n_classes):
    """Build what takes the U-Net's place here: the real one passes with the reference."""
    parts = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(n_classes, 1)]
    inputs = keras.Input(input_size)
    return keras.Model(inputs, parts[1](parts[0](inputs)))


NAMES = {"keras": keras, "np": np, "tf": tf, "Image": Image, "datasets": datasets}
NAMES |= {"evaluation": evaluation, "models": SimpleNamespace(unet_model=small_network)}


def verdict(source):
    """Run a script as a notebook's cell and judge it."""
    place = f"<cell {hash(source)}>"
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    space = dict(NAMES)
    exec(compile(source, place, "exec"), space)
    return exercises.bug_hunt.verdict(space["my_bug_hunt"])


def test_every_number_draws_four_plants_and_a_script_of_its_own():
    drawn = [hunt.draw(number) for number in range(40)]
    assert {plant for plants, _ in drawn for plant in plants} == set(hunt.PLANTS)
    assert all(len(set(plants)) == 4 for plants, _ in drawn)
    assert len({str(one) for one in drawn}) > 35
    assert hunt.draw(7) == hunt.draw(7)
    assert all(height % 16 == width % 16 == 0 for _, (height, width) in drawn)


@pytest.mark.parametrize("number", range(8))  # all plants are among these
def test_a_script_is_the_reference_with_its_four_plants(number):
    plants, size = hunt.draw(number)
    source = hunt.script(number, [])
    assert f"number, size, n_classes = {number}, {size}, 13" in source
    for plant in plants:
        right, wrong = hunt.PLANTS[plant][0].split(" -> ")
        assert source.count(right) == 1
        source = source.replace(right, wrong)
    assert source == hunt.script(number)
    assert hunt.script(0, []) == inspect.getsource(hunt.bug_hunt).replace("def ", "def my_", 1)


@pytest.mark.parametrize("plant", hunt.PLANTS)
def test_every_plant_is_counted_and_its_tool_named(plant):
    passed, sentence = verdict(hunt.script(5, [plant]))
    assert not passed and "Script 5: 3 of 4 bugs are cured." in sentence
    assert hunt.PLANTS[plant][1] in sentence


@pytest.mark.parametrize("number", [1, 2, 5])  # all plants are among these
def test_a_script_as_drawn_has_four_bugs_and_mended_none(number):
    assert f"Script {number}: 0 of 4 bugs are cured." in verdict(hunt.script(number))[1]
    told = f"right. All four bugs of script {number} are cured."
    assert verdict(hunt.script(number, [])) == (True, told)


OTHER_WORDS = {
    "a set of recordings, and arrays of names": (
        hunt.PLANTS["leak"][0].split(" -> ")[0] + "\n"
        "        return [name for name in names if name not in test], test",
        'min(name.split("/")[0] for name in names)\n'
        "        inside = np.array([name.startswith(test) for name in names])\n"
        "        return np.array(names)[~inside], np.array(names)[inside]",
    ),
    "the course's resizing": (
        "Image.fromarray(codes).resize(size[::-1], Image.Resampling.NEAREST)",
        "datasets.resize_mask(codes, size)",
    ),
    "a mask of whole numbers": (
        "np.asarray(mask) - np.uint8(1)",
        "np.asarray(mask).astype(int) - 1",
    ),
    "one flip of both, stacked": (
        "image = tf.where(mirrored, image[:, ::-1], image)\n"
        "        return image, tf.where(mirrored, mask[:, ::-1], mask)",
        "both = tf.concat([image, mask[..., None]], axis=-1)\n"
        "        both = tf.image.random_flip_left_right(both)\n"
        "        return both[..., :3], both[..., 3]",
    ),
    "augmented in batches": (
        "pairs.cache().shuffle(len(images)).map(augment).batch(batch_size)",
        "pairs.batch(1).cache().unbatch().map(augment).shuffle(4).batch(2).prefetch(1)",
    ),
    "a softmax, and a loss of probabilities": (
        "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)",
        "model = keras.Sequential([model, keras.layers.Softmax()])\n"
        "        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)",
    ),
    "the sum as it grows": (
        "return evaluation.scores(sum(confusions)).mean_iou",
        "whole = np.zeros((n_classes, n_classes), int)\n"
        "        for one in confusions:\n            whole += one\n"
        "        return float(np.nanmean(evaluation.scores(whole).iou))",
    ),
}


@pytest.mark.parametrize("words", OTHER_WORDS)
def test_a_cure_in_other_words_passes(words):
    right, other = OTHER_WORDS[words]
    assert right in hunt.script(3, [])
    tf.random.set_seed(1)  # as a cell of the notebook may have done
    passed, sentence = verdict(hunt.script(3, []).replace(right, other))
    assert passed, sentence


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("number, size, n_classes = 3,", "number, size, n_classes = 4,", "another script pasted"),
        ('"score": score, ', "", "returns a dict"),
        ("from_logits=True", "from_logits=False", "3 of 4 bugs are cured"),
        ("names = sorted(names)", "names = sorted(names)[1:]", "every name on one of two sides"),
        ("return np.asarray(image),", "return image[0],", "Its part prepare raised"),
        (".map(augment)", "", "in two epochs"),
    ],
)
def test_what_else_is_wrong_is_told(right, wrong, told):
    assert right in hunt.script(3, [])
    passed, sentence = verdict(hunt.script(3, []).replace(right, wrong))
    assert not passed and told in sentence, sentence


def test_with_all_plants_a_script_trains_and_scores_and_nothing_complains():
    source = hunt.script(3, hunt.PLANTS)
    space = dict(NAMES)
    exec(compile(source, "<script>", "exec"), space)
    random = np.random.default_rng(0)
    files = {
        f"data{letter}/{frame}.png": tuple(
            random.integers(1, 14, shape).astype(np.uint8) for shape in ((20, 30, 3), (20, 30))
        )
        for letter in "AB"
        for frame in range(4)
    }
    assert 0 <= space["my_bug_hunt"]()["run"](files, epochs=1) <= 1
