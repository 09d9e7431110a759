"""Settings of pytest for the notebooks: their package, and which outputs are compared."""

import os
from pathlib import Path

# The kernels import this checkout's package, even if that of another one is installed.
HERE = str(Path(__file__).resolve().parent)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])


def pytest_collectstart(collector):
    """Leave stderr and animations out of nbval's comparison; images it leaves out by itself.

    Warnings differ from version to version, and an animation (HTML with a GIF in it) shows
    predictions, which differ by a pixel from processor to processor.
    """
    if getattr(collector, "path", None) and collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html")
