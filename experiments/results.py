"""Keep the runs of an experiment in data/results, one small JSON file an experiment."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import keras

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the scripts that import this one find the package, too

from unet_helpers.files import atomic_write  # noqa: E402

FOLDER = ROOT / "data" / "results"


class Results:
    """The runs of one experiment: settings once, then a line a run, added as each run ends."""

    def __init__(self, name, settings):
        self.path = FOLDER / f"{name}.json"
        self.kept = {"settings": settings, "runs": []}
        if self.path.is_file():
            self.kept = json.loads(self.path.read_text())
            if self.kept["settings"] != settings:
                raise SystemExit(
                    f"{self.path} holds runs with other settings. Move it away to start afresh."
                )

    def has(self, **run):
        """Tell whether a run with these values is kept."""
        return any(run.items() <= kept.items() for kept in self.kept["runs"])

    def add(self, **run):
        """Keep a run, with the commit and the machine it was made on."""
        run = {key: rounded(value) for key, value in run.items()}
        self.kept["runs"].append(run | {"commit": commit(), "machine": machine()})
        settings = json.dumps(self.kept["settings"])
        runs = ",\n".join(json.dumps(run) for run in self.kept["runs"])
        with atomic_write(self.path) as part:
            part.write_text(f'{{"settings": {settings},\n"runs": [\n{runs}\n]}}\n')
        print({key: value for key, value in run.items() if key != "iou"}, flush=True)


def of_scores(scores, classes):
    """Return what is kept of `evaluation.Scores`: accuracy, mean IoU and each class's IoU."""
    return {
        "accuracy": float(scores.pixel_accuracy),
        "mean_iou": float(scores.mean_iou),
        "iou": dict(zip(classes, map(float, scores.iou), strict=True)),
    }


def rounded(value):
    """Round floats to four digits after the point; three are published."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def commit():
    """Return the commit that is checked out."""
    command = ["git", "rev-parse", "--short=8", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def machine():
    """Name the processor's kind and the versions that decide the numbers."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0].device_kind
        return f"{device}, JAX {jax.__version__}, Keras {keras.__version__}, float32"
    found = f"{platform.machine()}, TensorFlow {version('tensorflow')}, Keras {keras.__version__}"
    return found + ", float32"
