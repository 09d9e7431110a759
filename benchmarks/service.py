"""Put the service under load: requests a second, p50 and p95 latency, and memory before and after.

    python benchmarks/service.py [--clients 1 4] [--requests 200] [--budget 200]

The service is started as a learner starts it, on 127.0.0.1, with the stored U-Net. Each client
sends the images of the unseen recording one after the other. For comparison, the same images in
this process: Keras, ONNX Runtime and LiteRT, decoding and PNG left out, one image at a time and in
turns. The budget, in milliseconds, is what the p95 latency is held against.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from unet_helpers import datasets, timing
from unet_helpers.datasets import carla
from unet_helpers.inference import export
from unet_helpers.models import pretrained

ROOT = Path(__file__).resolve().parent.parent


def start(log):
    """Start the service; returns (process, address) once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unet_helpers.serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/contract", timeout=5).close()
            return process, address
        except urllib.error.URLError:
            time.sleep(0.2)
    process.kill()
    raise SystemExit("The service did not start within two minutes.")


def load(address, contents, clients, requests):
    """Send requests from several clients at once; returns (milliseconds of each, requests/s)."""
    seconds = [[] for _ in range(clients)]

    def client(number):
        for k in range(requests // clients):
            content = contents[(number + k) % len(contents)]
            begin = time.perf_counter()
            urllib.request.urlopen(f"{address}/predict", data=content, timeout=60).read()
            seconds[number].append(time.perf_counter() - begin)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(map(len, seconds)) / (time.perf_counter() - begin)
    return 1000 * np.concatenate(seconds), rate


def resident(process):
    """Return the memory that a process holds, in MB (Linux only; elsewhere nan)."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return float("nan")
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def bad_inputs(address, image):
    """Send what is not an image; returns lines "what: status sentence"."""
    inputs = {"nothing": b"", "text": b"a letter", "half an image": image[: len(image) // 2]}
    inputs["21 MB"] = bytes(21_000_000)
    for name, content in inputs.items():
        try:
            urllib.request.urlopen(f"{address}/predict", data=content, timeout=60)
            yield f"  {name}: taken as an image"
        except urllib.error.HTTPError as error:
            yield f"  {name}: {error.code} {error.read().decode()}"
        except urllib.error.URLError as error:
            yield f"  {name}: {error.reason}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--budget", type=float, default=200, help="milliseconds")
    options = parser.parse_args()
    contents = [image.read_bytes() for image, _ in carla.find_pairs("test")]
    with tempfile.TemporaryFile() as log:
        process, address = start(log)
        try:
            load(address, contents, 1, 20)  # the first requests trace and compile
            print(f"memory before: {resident(process):.0f} MB")
            for clients in options.clients:
                milliseconds, rate = load(address, contents, clients, options.requests)
                p50, p95 = np.percentile(milliseconds, (50, 95))
                held = "within" if p95 <= options.budget else "over"
                print(f"{clients} clients: {rate:.1f} requests/s, p50 {p50:.0f} ms, ", end="")
                print(f"p95 {p95:.0f} ms, {held} the budget of {options.budget:.0f} ms")
            print("bad inputs:", *bad_inputs(address, contents[0]), sep="\n")
            load(address, contents, 1, 20)
            print(f"memory after: {resident(process):.0f} MB")
        finally:
            process.terminate()
            process.wait()

    model = pretrained.load("unet")
    images = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))[0]
    with tempfile.TemporaryDirectory() as work:
        export.to_onnx(model, Path(work) / "model.onnx")
        export.to_tflite(model, Path(work) / "model.tflite")
        runs = {
            "Keras": model.predict_on_batch,
            "ONNX Runtime": export.open_exported(Path(work) / "model.onnx"),
            "LiteRT": export.open_exported(Path(work) / "model.tflite"),
        }
        one = iter(range(10**9))
        seconds = timing.in_turns(
            {n: lambda run=run: run(images[next(one) % 48][None]) for n, run in runs.items()}, 60
        )
    for name, each in seconds.items():
        p50, p95 = np.percentile(1000 * each, (50, 95))
        print(f"{name}, one image: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


if __name__ == "__main__":
    main()
