"""Settings of pytest for the notebooks: which outputs are compared."""


def pytest_collectstart(collector):
    """Leave stderr and animations out of nbval's comparison; images it leaves out by itself.

    TensorFlow's C++ log lines go to stderr, and an animation (HTML with a GIF in it) shows
    predictions, which differ by a pixel from processor to processor.
    """
    if getattr(collector, "path", None) and collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "text/html")
