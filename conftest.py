"""Settings of pytest for the notebooks: which outputs are compared."""


def pytest_collectstart(collector):
    """Leave stderr and GIFs out of nbval's comparison; pictures it leaves out by itself.

    TensorFlow's C++ log lines go to stderr, and the predictions in a GIF differ by a pixel
    from processor to processor.
    """
    if getattr(collector, "path", None) and collector.path.suffix == ".ipynb":
        collector.skip_compare += ("stderr", "image/gif")
