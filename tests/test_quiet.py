"""TensorFlow is imported without noise, and what it wrote is shown when the import fails."""

import os
import subprocess
import sys

import pytest

WRITE = "import os\nos.write(2, b'a log line\\n')\n"


def import_stand_in(folder, tensorflow):
    """Import a TensorFlow of these lines in a process of its own; returns what it writes."""
    (folder / "keras.py").write_text("import tensorflow")
    (folder / "tensorflow.py").write_text(tensorflow)
    code = (
        "import os\n"
        "from unet_helpers import quiet\n"
        "try:\n"
        "    quiet.import_tensorflow()\n"
        "except ImportError as error:\n"
        "    print(error.name, error)\n"
        "os.write(2, b'a line that comes later')"
    )
    path = os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout, result.stderr


@pytest.mark.parametrize(
    ("tensorflow", "told"),
    [
        (WRITE, ""),
        (WRITE + "import not_there", "not_there No module named 'not_there'\na log line\n"),
    ],
)
def test_log_lines_are_held_back_until_the_import_fails(tmp_path, tensorflow, told):
    assert import_stand_in(tmp_path, tensorflow) == (told, "a line that comes later")
