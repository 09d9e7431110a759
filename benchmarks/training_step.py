"""Compare training steps of the same U-Net: plain Keras, the course, PyTorch; alternating.

    python benchmarks/training_step.py [--filters 32] [--batch-size 16] [--rounds 5]
                                       [--torch path/to/another/python]

All variants train on the same random images, which lie in memory, so only the step counts. The
rounds alternate, so that a noisy machine is noisy for all. PyTorch may live in an environment of
its own: --torch names its Python.
"""

import argparse
import statistics
import subprocess
import sys
import time

SIDE = (96, 128)
CLASSES = 13


# ---------------------------------------------------------------- PyTorch, run by its own Python


def torch_worker(filters, batch_size, half):
    """Build the same U-Net in PyTorch and train as many steps as each line of the input says."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Double(nn.Sequential):
        def __init__(self, n_in, n_out):
            super().__init__(
                nn.Conv2d(n_in, n_out, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(n_out, n_out, 3, padding=1),
                nn.ReLU(inplace=True),
            )

    class UNet(nn.Module):
        def __init__(self, f):
            super().__init__()
            widths = [f, 2 * f, 4 * f, 8 * f, 16 * f]
            self.down = nn.ModuleList(
                Double(a, b) for a, b in zip([3, *widths[:-1]], widths, strict=True)
            )
            self.up = nn.ModuleList(
                nn.ConvTranspose2d(2 * w, w, 3, stride=2, padding=1, output_padding=1)
                for w in widths[-2::-1]
            )
            self.merge = nn.ModuleList(Double(2 * w, w) for w in widths[-2::-1])
            self.drop = nn.Dropout(0.3)
            self.extra = nn.Sequential(nn.Conv2d(f, f, 3, padding=1), nn.ReLU(inplace=True))
            self.logits = nn.Conv2d(f, CLASSES, 1)

        def forward(self, x):
            skips = []
            for level, block in enumerate(self.down):
                x = block(nn.functional.max_pool2d(x, 2) if level else x / 255)
                x = self.drop(x) if level >= 3 else x
                skips.append(x)
            for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
                x = merge(torch.cat([up(x), skip], 1))
            return self.logits(self.extra(x))

    model = UNet(filters).to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (batch_size, 3, *SIDE)).float()
    images = images.to(memory_format=torch.channels_last)
    masks = torch.randint(0, CLASSES, (batch_size, *SIDE))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = model(images)
        loss = nn.functional.cross_entropy(logits.float(), masks, ignore_index=255)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    parameters = sum(p.numel() for p in model.parameters())
    print(f"ready PyTorch {torch.__version__}, {parameters:,} parameters", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - start, flush=True)


class TorchVariant:
    """The PyTorch network in a process of its own, asked to train some steps at a time."""

    def __init__(self, python, options, half):
        command = [python, __file__, "--worker", "half" if half else "float32"]
        command += ["--filters", str(options.filters), "--batch-size", str(options.batch_size)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        print(self.process.stdout.readline().removeprefix("ready ").strip())

    def train(self, steps):
        """Train some steps; returns seconds."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


# ---------------------------------------------------------------- Keras


class KerasVariant:
    """A Keras network under a policy, compiled as the course or as Keras does by itself."""

    def __init__(self, options, policy, course, batch_norm=False):
        import keras
        import numpy as np
        import tensorflow as tf

        from unet_helpers import models, training
        from unet_helpers.datasets import pipeline

        random = np.random.default_rng(0)
        shape = (options.batch_size, *SIDE)
        images = random.integers(0, 256, (*shape, 3), np.uint8)
        masks = random.integers(0, CLASSES, shape, np.uint8)
        data = tf.data.Dataset.from_tensors((images, masks)).repeat().prefetch(1)
        self.data = pipeline.without_autotuning(data)
        keras.config.set_dtype_policy(policy)
        self.model = models.unet_model((*SIDE, 3), options.filters, CLASSES, batch_norm=batch_norm)
        if course:
            training.compile_model(self.model, 10_000)
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.model.compile("adam", loss)

    def train(self, steps):
        """Train some steps; returns seconds."""
        start = time.perf_counter()
        self.model.fit(self.data, steps_per_epoch=steps, verbose=0)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps in a round")
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        torch_worker(options.filters, options.batch_size, options.worker == "half")
        return

    import machine

    from unet_helpers import training

    precision = training.describe_machine()["precision"]
    print(machine.describe())
    normalised, once = "normalised after every convolution", "normalised once a block"
    variants = {
        "plain Keras, float32": KerasVariant(options, "float32", course=False),
        f"plain Keras, float32, {normalised}": KerasVariant(options, "float32", False, True),
        "course, float32": KerasVariant(options, "float32", course=True),
        f"course, float32, {normalised}": KerasVariant(options, "float32", True, True),
    }
    if precision != "float32":
        variants |= {
            f"course, {precision}": KerasVariant(options, precision, course=True),
            f"course, {precision}, {normalised}": KerasVariant(options, precision, True, True),
        }
    variants[f"course, {precision}, {once}"] = KerasVariant(options, precision, True, "block")
    if options.torch:
        half = "bfloat16" if precision == "mixed_bfloat16" else "float32"
        variants[f"PyTorch, {half}, channels last"] = TorchVariant(
            options.torch, options, half == "bfloat16"
        )
    rates = {name: [] for name in variants}
    for name, variant in variants.items():
        print(f"first two steps of {name}: {variant.train(2):.1f} s", flush=True)
    for _ in range(options.rounds):
        for name, variant in variants.items():
            seconds = variant.train(options.steps)
            rates[name].append(options.steps * options.batch_size / seconds)
    print(f"{options.filters} filters, {SIDE[0]}x{SIDE[1]}, batch {options.batch_size}; images/s:")
    base = statistics.median(rates["plain Keras, float32"])
    for name, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{name:68} {middle:6.1f}  ({min(values):.1f} to {max(values):.1f})  "
            f"{middle / base:4.1f} x plain Keras"
        )


if __name__ == "__main__":
    main()
