"""The service answers an image with its mask, and anything else with a sentence."""

import io
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

from unet_helpers import datasets, inference, models, serve
from unet_helpers.labels import CARLA, DataError

uvicorn = pytest.importorskip("uvicorn", reason="the service's packages are an extra")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.unet_model((16, 32, 3), 2, CARLA.n_classes, dropout_prob=0)


@pytest.fixture(scope="module")
def log():
    return []


@pytest.fixture(scope="module")
def address(model, log):
    config = uvicorn.Config(serve.build(model, CARLA, log.append), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def send(address, content, page="predict"):
    """Return (status, body) of a request; content is None for a GET."""
    try:
        with urllib.request.urlopen(f"{address}/{page}", data=content, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def encoded(image, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


def test_an_image_of_any_size_gets_the_mask_that_the_model_predicts(address, model, log, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 50, 3), np.uint8)
    status, png = send(address, encoded(image))
    assert status == 200
    (tmp_path / "mask.png").write_bytes(png)
    small = datasets.resize_image(image, (16, 32))
    expected = datasets.resize_mask(inference.predict_masks(model, small[None])[0], (20, 50))
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "mask.png"), expected)
    painted = np.asarray(Image.open(tmp_path / "mask.png").convert("RGB"))
    np.testing.assert_array_equal(painted, np.array(CARLA.colours)[expected])
    assert sum(log[-1]["shares"].values()) == pytest.approx(1)
    assert 0 < log[-1]["entropy"] < np.log(13) and log[-1]["milliseconds"] > 0


def claims_to_be(height, width):
    """Return a PNG of a few bytes whose header claims a size."""
    png = encoded(np.zeros((1, 1, 3), np.uint8))
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not an image"),
        (b"a letter", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not an image"),
        (claims_to_be(100_000, 100_000), "too large to decode"),
        (encoded(np.zeros((50, 50, 3), np.uint8))[:-30], "cut off"),
        (encoded(np.zeros((2, 2), np.float32), "TIFF")[:-3], "What was sent"),
    ],
)
def test_what_is_not_an_image_is_answered_by_a_sentence(address, content, told):
    status, sentence = send(address, content)
    assert status == 415 and told in sentence and sentence.startswith("What was sent")


def test_too_many_bytes_are_refused(address, monkeypatch):
    monkeypatch.setattr(serve, "MAX_BYTES", 1000)
    assert send(address, bytes(1001)) == (413, "More than 1,000 bytes. Send a smaller image.")


def test_too_many_requests_are_refused(address, monkeypatch):
    monkeypatch.setattr(serve, "MAX_WAITING", 0)
    assert send(address, b"")[0] == 503


def test_an_image_that_never_arrives_is_given_up(address, monkeypatch):
    monkeypatch.setattr(serve, "SECONDS", 0.05)

    def slowly():
        yield b"a"
        time.sleep(0.3)
        yield b"b"

    request = urllib.request.Request(f"{address}/predict", slowly(), {"Content-Length": "2"})
    with pytest.raises(urllib.error.HTTPError, match="408"):
        urllib.request.urlopen(request, timeout=20)
    image = encoded(np.zeros((4, 4, 3), np.uint8))
    monkeypatch.undo()
    assert send(address, image)[0] == 200  # the next one is answered


def test_page_and_contract(address):
    assert b"predict" in send(address, None, "")[1]
    status, told = send(address, None, "contract")
    assert status == 200 and b'"resized to":[16,32]' in told and b"TrafficSigns" in told


def test_a_model_for_any_size_is_refused():
    model = models.unet_model((None, None, 3), 2, 13)
    with pytest.raises(DataError, match="the size that it was trained"):
        serve.build(model, CARLA)


def test_a_model_of_other_classes_is_refused(tmp_path, capsys):
    models.unet_model((16, 16, 3), 2, 3).save(tmp_path / "pets.keras")
    assert serve.main(["--model", str(tmp_path / "pets.keras")]) == 1
    assert "3 outputs" in capsys.readouterr().err
