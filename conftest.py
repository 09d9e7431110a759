"""Settings of pytest for the notebooks: their package, and which outputs are compared."""

import os
from pathlib import Path

# The kernels import this checkout's package, even if that of another one is installed.
HERE = str(Path(__file__).resolve().parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))

# TensorFlow takes a thread for every core. Those of several workers would hinder each other.
WORKERS = os.environ.get("PYTEST_XDIST_WORKER_COUNT")
if WORKERS:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, os.cpu_count() // int(WORKERS))))


def pytest_collectstart(collector):
    """Leave stderr and animations out of nbval's comparison; images it leaves out by itself.

    Warnings differ from version to version, and an animation (HTML with a GIF in it) shows
    predictions, which differ by a pixel from processor to processor.
    """
    if getattr(collector, "path", None) and collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html")
