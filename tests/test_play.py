"""The page "U-Net to play with": its networks are the stored ones, and its masks are theirs."""

import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import threading
import time
import urllib.request

import keras
import numpy as np
import pytest

from unet_helpers import datasets, exercises, models
from unet_helpers.datasets import carla
from unet_helpers.models import pretrained

FOLDED = 1e-3  # logits of up to 50 differ by less after folding and export
needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("tf2onnx", "onnx", "onnxruntime"))),
    reason="pip install tf2onnx onnx onnxruntime",
)


@pytest.fixture(scope="module")
def images():
    return datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))[0]


@pytest.fixture(scope="module")
def unet():
    return pretrained.load("unet")


@pytest.fixture(scope="module")
def build(repo):
    """The module site/play/build.py."""
    path = repo / "site" / "play" / "build.py"
    spec = importlib.util.spec_from_file_location("play_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(build, tmp_path_factory):
    """The page's folder with the U-Net alone."""
    folder = tmp_path_factory.mktemp("play")
    build.write_course(folder, ["unet"])
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    """Function (image, gates) -> logits of the exported U-Net."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "unet.onnx")
    return lambda image, gates: session.run(
        None,
        {
            "image": image[None].astype(np.float32),
            "gates": np.float32(gates).reshape(1, 1, 1, 4),
        },
    )[0]


def gates_without(level):
    return [float(other != level) for other in (1, 2, 3, 4)]


def logits(model, image, *gates):
    """Call a model once; `predict` would compile it first, which takes longer."""
    inputs = [image[None].astype(np.float32), *(np.reshape(g, (1, 1, 1, -1)) for g in gates)]
    return keras.ops.convert_to_numpy(model(inputs if gates else inputs[0]))


def test_open_gates_leave_a_unet_as_it_is_and_half_open_ones_do_not(unet, images):
    gated, expected = models.gated_unet(unet), logits(unet, images[0])
    np.testing.assert_allclose(logits(gated, images[0], np.ones(4)), expected, atol=1e-4)
    assert np.abs(logits(gated, images[0], np.full(4, 0.5)) - expected).max() > 1


def test_gates_stand_in_the_order_of_the_levels_that_a_unet_has():
    few = models.unet_model((32, 32, 3), n_filters=2, skips=(2, 4), n_classes=3)
    assert models.gated_unet(few).input_shape == [(None, 32, 32, 3), (None, 1, 1, 2)]


def test_a_network_without_skip_connections_has_no_gates():
    none = models.unet_model((32, 32, 3), n_filters=2, skips=(), n_classes=3, name="plain")
    with pytest.raises(ValueError, match="plain has no skip connection to gate"):
        models.gated_unet(none)


@needs_onnx
def test_the_exported_unet_with_open_gates_is_the_stored_one(exported, unet, images):
    for image in images[[0, 24]]:
        given = exported(image, [1, 1, 1, 1])
        np.testing.assert_allclose(given, logits(unet, image), atol=FOLDED)


@needs_onnx
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_closed_gate_is_a_cut_skip_connection(exported, unet, images, level):
    """The exercise's answer cuts in another way: by zeros in the kernel behind the join."""
    cut = exercises.cut_skip.reference(unet, level)
    given = exported(images[24], gates_without(level))
    np.testing.assert_allclose(given, logits(cut, images[24]), atol=FOLDED)


class Browser:
    """A headless Chromium that runs JavaScript in a page, by the DevTools protocol."""

    def __init__(self, program, profile):
        websocket = pytest.importorskip("websocket")  # it comes with Jupyter
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        self.process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        told = profile / "DevToolsActivePort"
        wait(lambda: told.exists() and "\n" in told.read_text())
        address = f"http://127.0.0.1:{told.read_text().splitlines()[0]}/json"
        (page,) = (
            page for page in json.load(urllib.request.urlopen(address)) if page["type"] == "page"
        )
        self.socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], timeout=60, suppress_origin=True
        )

    def command(self, method, **parameters):
        self.socket.send(json.dumps({"id": 1, "method": method, "params": parameters}))
        while "id" not in (answer := json.loads(self.socket.recv())):
            pass
        return answer["result"]

    def run(self, code):
        """Evaluate an expression, awaited, and return its value."""
        answer = self.command(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.process.terminate()
    browser.process.wait()


@pytest.fixture(scope="module")
def page(build, folder):
    """Address of the page on a server of its own."""
    if not (build.HERE / "node_modules").exists():
        pytest.skip("ONNX Runtime Web is not here: npm ci in site/play brings it")
    build.copy_page(folder)
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Print no line per request."""


TOLD = "document.getElementById('told')?.textContent ?? ''"


@needs_onnx
def test_the_masks_on_the_page_are_the_exported_unets(browser, page, build, exported, images):
    browser.command("Page.navigate", url=page)
    wait(lambda: browser.run("typeof COURSE == 'object' && !!COURSE.networks[0].answer"))
    image = images[build.FRAMES[0]]
    assert browser.run("Array.from(image.pixels)") == image.ravel().tolist()
    for gates in ([1, 1, 1, 1], gates_without(1), [1, 0.35, 1, 0.5]):
        for level, gate in enumerate(gates, 1):
            browser.run(f"at('gate{level}').value = {gate}")
        browser.run("update()")
        wait(lambda: not browser.run("running || stale"))
        mask = np.array(browser.run("Array.from(COURSE.networks[0].answer.mask)"))
        expected = exported(image, gates).argmax(axis=-1).ravel()
        # where two classes are as likely as each other, rounding decides
        assert np.sum(mask != expected) <= 3 and len(np.unique(mask)) > 5


@needs_onnx
def test_the_page_says_what_it_cannot_do(browser, page, folder):
    browser.command("Page.navigate", url=page)
    wait(lambda: browser.run("typeof COURSE == 'object' && !!COURSE.networks[0].answer"))
    browser.run("choose(new File(['hello'], 'notes.txt'), 'notes.txt')")
    assert browser.run(TOLD).startswith("notes.txt cannot be read: it is not an image")
    assert browser.run("image.number") == 1
    browser.command("Page.navigate", url=(folder / "index.html").as_uri())
    wait(lambda: "python -m http.server" in browser.run(TOLD))
    browser.command("Page.enable")
    browser.command("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly")
    browser.command("Page.navigate", url=page)
    wait(lambda: "has no WebAssembly" in browser.run(TOLD))
