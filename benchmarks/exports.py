"""Compare the exported formats of the stored U-Net: size, speed, and share of equal pixels.

    python benchmarks/exports.py [--rounds 5] [--threads 2]

Every format is run by its own runtime on the same images of the unseen recording, one at a time
and in turns, so that a busy moment of the machine hits all alike.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from unet_helpers import datasets, evaluation, inference
from unet_helpers.datasets import carla
from unet_helpers.inference import export
from unet_helpers.labels import DataError
from unet_helpers.models import pretrained


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    net = pretrained.load("unet")
    images, masks = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))
    samples = datasets.to_arrays(carla.load("train", image_size=pretrained.SIZE))[0][::6]
    reference = inference.predict_masks(net, images)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        writers = {
            ".keras": lambda: export.to_keras(net, work / "net.keras"),
            "SavedModel": lambda: export.to_saved_model(net, work / "net"),
            "TFLite float": lambda: export.to_tflite(net, work / "net.tflite"),
            "TFLite int8": lambda: export.to_tflite(net, work / "int8.tflite", samples),
            "ONNX": lambda: export.to_onnx(net, work / "net.onnx"),
        }
        paths, runs, times = {}, {}, {}
        for name, write in writers.items():
            try:
                paths[name] = write()
                runs[name] = export.open_exported(paths[name], options.threads)
                runs[name](images[:2])
                times[name] = []
            except DataError as error:
                print(f"{name}: {error}")
        for _ in range(options.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run(images[:12])
                times[name].append((time.perf_counter() - start) / 12 * 1000)
        print("| | MB | ms an image | slowest round | equal pixels | largest difference | mIoU |")
        print("|---|---|---|---|---|---|---|")
        expected = inference.predict_logits(net, images)
        for name, run in runs.items():
            logits = run(images)
            mask = inference.to_mask(logits)
            found = evaluation.scores(evaluation.confusion_matrix(masks, mask, 13)).mean_iou
            print(
                f"| {name} | {export.megabytes(paths[name]):.2f} | "
                f"{statistics.median(times[name]):.0f} | {max(times[name]):.0f} | "
                f"{(mask == reference).mean():.4%} | {np.abs(logits - expected).max():.1g} | "
                f"{found:.3f} |"
            )
        logits = export.run_in_new_process(paths[".keras"], images[:4])
        same = (inference.to_mask(logits) == reference[:4]).mean()
        print(f".keras in a new process with Keras alone: {same:.2%} equal pixels")


if __name__ == "__main__":
    main()
