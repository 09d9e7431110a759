"""Fixtures that several test files use, and settings that must precede TensorFlow's import."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
REPO = Path(__file__).resolve().parent.parent


def import_tensorflow_without_gpus():
    """Import it so that it sees the CPU only: the expected numbers are those of a CPU.

    The variable is put back at once: notebooks that run in the same session may use a GPU.
    """
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.list_physical_devices()
    if devices is None:
        del os.environ["CUDA_VISIBLE_DEVICES"]
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices


def pytest_configure(config):
    """Import TensorFlow first, and leave out what Keras and imageio warn about themselves."""
    if config.getoption("dist", "no") == "no":  # a process that only hands out tests needs none
        import_tensorflow_without_gpus()
    for warning in (
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
        "ignore:ImageIO's vendored tifffile:DeprecationWarning",
        "ignore:The legacy `DICOM` plugin:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", warning)


@pytest.fixture(scope="session")
def repo():
    """Path of the repository."""
    return REPO


@pytest.fixture(autouse=True)
def no_course_settings(monkeypatch):
    """Every test starts without the course's environment variables."""
    monkeypatch.delenv("UNET_COURSE_DATA", raising=False)
    monkeypatch.delenv("UNET_COURSE_DATA_DIR", raising=False)
    monkeypatch.delenv("UNET_COURSE_CACHE", raising=False)


@pytest.fixture(scope="session")
def real_data():
    """Folder with samples of the real data sets; tests that need it are skipped without."""
    named = os.environ.get("UNET_COURSE_REAL_DATA")
    folder = Path(named) if named else REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; UNET_COURSE_REAL_DATA may name its folder")
    return folder


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(7)


class FileHandler(BaseHTTPRequestHandler):
    """Serve the bytes in server.files, and note which of them were asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        content = server.files.get(self.path)
        server.requests.append(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        part = content if server.cut is None else content[: server.cut]
        if server.chunked:
            end = b"0\r\n\r\n" if part == content else b""
            part = b"%x\r\n%s\r\n" % (len(part), part) + end
        self.wfile.write(part)
        if server.cut is not None:
            self.close_connection = True

    def log_message(self, *args):
        """Stay silent."""


@pytest.fixture
def file_server():
    """HTTP server on this machine: fill .files; .cut ends an answer early, .chunked its length."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), FileHandler)
    server.files, server.requests = {}, []
    server.cut, server.chunked = None, False
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
