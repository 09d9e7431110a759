"""Train the nets that notebooks 01 to 04 compare and store them: python data/train_nets.py [NAMES]

Prints the scores of each stored net on the recording dataE, which training has not seen. All of
them take about an hour on two cores.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import keras  # noqa: E402

from unet_helpers import datasets, evaluation, training  # noqa: E402
from unet_helpers.datasets import carla  # noqa: E402
from unet_helpers.labels import CARLA  # noqa: E402
from unet_helpers.models import pretrained  # noqa: E402


def train(name, epochs=pretrained.EPOCHS, progress=True):
    """Train one of the nets on the sample's training recordings, as the stored ones were.

    Returns the trained keras.Model. Takes minutes on a CPU. The loss weighs rare classes more
    (median-frequency weights, softened), or poles would take hundreds of epochs to appear.
    The stored nets had a weight decay of 1e-4 times the learning rate besides.
    """
    keras.utils.set_random_seed(0)
    pairs = carla.load("train", image_size=pretrained.SIZE)
    weights = training.median_frequency_weights(datasets.to_arrays(pairs)[1], CARLA.n_classes)
    weights = weights**pretrained.WEIGHT_POWER
    batches = datasets.batches(pairs, 2, epochs, datasets.augment)
    batches = training.with_class_weights(batches, weights)
    model = training.compile_model(pretrained.build(name), steps=len(batches))
    steps = len(batches) // epochs
    training.fit(model, batches, epochs=epochs, steps_per_epoch=steps, progress=progress)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(pretrained.NETWORKS), help="none is all")
    parser.add_argument("--out", type=Path, default=HERE / "trained")
    parser.add_argument("--epochs", type=int, default=pretrained.EPOCHS)
    options = parser.parse_args()
    test = datasets.batches(carla.load("test", image_size=pretrained.SIZE))
    for name in options.names:
        start = time.monotonic()
        model = train(name, options.epochs, progress=sys.stderr.isatty())
        minutes = (time.monotonic() - start) / 60
        path = pretrained.store(model, name, options.out)
        stored = pretrained.load(name, folder=options.out)
        scores = evaluation.scores(evaluation.evaluate(stored, test, carla.LABELS.n_classes))
        size = path.stat().st_size
        print(f"{name}: {model.count_params():,} parameters, {size:,} bytes, {minutes:.0f} min")
        print(evaluation.score_lines(scores, carla.LABELS.classes), flush=True)


if __name__ == "__main__":
    main()
