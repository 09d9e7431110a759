"""One line about the machine a benchmark ran on, so that its figures can be read."""

import os
import platform
from pathlib import Path

import keras
import tensorflow as tf


def describe():
    """Describe the machine in one line: processor, cores, half precision, memory, versions."""
    facts = processor_facts()
    flags = set(facts.get("flags", "").split())
    half = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    parts = [
        facts.get("model name", platform.processor() or platform.machine()),
        f"{os.cpu_count()} cores",
        " ".join(half) or "no half precision in hardware",
        *gpus,
        *memory(),
        f"Python {platform.python_version()}",
        f"TensorFlow {tf.__version__}",
        f"Keras {keras.__version__}",
    ]
    return ", ".join(parts)


def processor_facts():
    """Read what Linux says about the first processor; elsewhere an empty dict."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, value in pairs}


def memory():
    """Give the machine's memory as a list of one part, or of none where it is not known."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return []
    return [f"{size / 1e9:.0f} GB"]
