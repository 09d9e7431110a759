"""Train the nets that notebooks 01 to 04 compare and store them: python data/train_nets.py [NAMES]

Prints the scores of each stored net on the recording dataE, which training has not seen. All of
them take about an hour and a half on two cores.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from unet_helpers import carla, inference, metrics, pipeline, trained  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(trained.NETS), help="none is all")
    parser.add_argument("--out", type=Path, default=HERE / "trained")
    parser.add_argument("--epochs", type=int, default=trained.EPOCHS)
    options = parser.parse_args()
    test = pipeline.batches(carla.load("test", image_size=trained.SIZE))
    for name in options.names:
        start = time.monotonic()
        model = trained.train(name, options.epochs, progress=sys.stderr.isatty())
        minutes = (time.monotonic() - start) / 60
        path = trained.store(model, name, options.out)
        stored = trained.load(name, folder=options.out)
        scores = metrics.scores(inference.evaluate(stored, test, carla.LABELS.n_classes))
        size = path.stat().st_size
        print(f"{name}: {model.count_params():,} parameters, {size:,} bytes, {minutes:.0f} min")
        print(metrics.score_lines(scores, carla.LABELS.classes), flush=True)


if __name__ == "__main__":
    main()
