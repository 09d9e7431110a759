"""Describe the machine on which a benchmark runs."""

import importlib.metadata
import os
import platform
from pathlib import Path


def describe():
    """Name processor, cores, instructions for half precision, memory and versions, in a line."""
    return f"{processor()}; {memory()}; {versions()}"


def processor():
    """Name the processor and what it has for half precision, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "CPU")
    flags = next((set(x.split()) for x in lines if x.startswith("flags")), set())
    half = sorted(flags & {"amx_bf16", "avx512_bf16"}) or ["no bfloat16"]
    return f"{name}, {os.cpu_count()} cores, {', '.join(half)}"


def memory():
    """Give the size of the memory, where the system tells."""
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GB memory"
    except (AttributeError, ValueError, OSError):
        return "memory unknown"


def versions():
    """Give the versions of Python, TensorFlow and Keras, without importing them."""
    found = [f"Python {platform.python_version()}"]
    for name in ("tensorflow", "keras"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


if __name__ == "__main__":
    print(describe())
