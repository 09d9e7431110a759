"""Compare the exported formats of the stored U-Net: size, speed, and share of equal pixels.

    python benchmarks/exports.py [--rounds 5]

Every format is run by its own runtime, on all cores, on the same images of the unseen recording,
one at a time and in turns, so that a busy moment of the machine affects all alike.
"""

import argparse
import functools
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from unet_helpers import datasets, evaluation, inference, timing
from unet_helpers.datasets import carla
from unet_helpers.inference import export
from unet_helpers.labels import DataError
from unet_helpers.models import pretrained


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = pretrained.load("unet")
    images, masks = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))
    samples = datasets.to_arrays(carla.load("train", image_size=pretrained.SIZE))[0][::6]
    reference = inference.predict_masks(model, images)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        writers = {
            ".keras": lambda: export.to_keras(model, work / "model.keras"),
            "SavedModel": lambda: export.to_saved_model(model, work / "model"),
            "LiteRT float": lambda: export.to_tflite(model, work / "model.tflite"),
            "LiteRT int8": lambda: export.to_tflite(model, work / "int8.tflite", samples),
            "ONNX": lambda: export.to_onnx(model, work / "model.onnx"),
        }
        paths, runs = {}, {}
        for name, write in writers.items():
            try:
                paths[name] = write()
                runs[name] = export.open_exported(paths[name])
            except DataError as error:
                print(f"{name}: {error}")
        some = {name: functools.partial(run, images[:12]) for name, run in runs.items()}
        seconds = timing.in_turns(some, options.rounds)
        print("| | MB | ms per image | slowest | equal pixels | largest difference | mIoU |")
        print("|---|---|---|---|---|---|---|")
        expected = inference.predict_logits(model, images)
        for name, run in runs.items():
            logits = run(images)
            mask = inference.to_mask(logits)
            found = evaluation.scores(evaluation.confusion_matrix(masks, mask, 13)).mean_iou
            each = seconds[name] / 12 * 1000
            print(
                f"| {name} | {export.megabytes(paths[name]):.2f} | {np.median(each):.0f} | "
                f"{each.max():.0f} | {(mask == reference).mean():.4%} | "
                f"{np.abs(logits - expected).max():.1g} | {found:.3f} |"
            )
        logits = export.run_in_new_process(paths[".keras"], images[:4])
        same = (inference.to_mask(logits) == reference[:4]).mean()
        print(f".keras in a new process with Keras alone: {same:.2%} equal pixels")


if __name__ == "__main__":
    main()
