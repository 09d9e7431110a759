"""TensorFlow, imported without the log lines that it writes before it reads its log level."""

import os
import tempfile


def import_tensorflow():
    """Import TensorFlow and Keras and keep back what TensorFlow's C++ part writes to stderr.

    Raises ImportError with what was kept back when the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Colab's protobuf is older than the one TFDS's helper was made with; they work together.
    os.environ.setdefault("TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK", "true")
    with tempfile.TemporaryFile() as kept:
        # C++ writes to the file descriptor 2, whatever sys.stderr is in a notebook.
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
        except ImportError as error:
            kept.seek(0)
            written = kept.read().decode(errors="replace")
            raise ImportError(f"{error}\n{written}".rstrip(), name=error.name) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
