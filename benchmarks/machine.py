"""Describe the machine that a benchmark runs on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe():
    """Name the processor, what it has for half precision, memory and versions, in one line."""
    name, half = platform.processor() or "CPU", "unknown half precision"
    memory = ""
    try:  # Linux tells
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
        flags = next((set(x.split()) for x in lines if x.startswith("flags")), set())
        half = " and ".join(sorted(flags & {"amx_bf16", "avx512_bf16"})) or "no bfloat16"
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    except OSError:
        pass
    versions = ", ".join(f"{part} {version(part)}" for part in ("tensorflow", "keras"))
    return (
        f"{name}, {os.cpu_count()} cores, {half}{memory}; "
        f"Python {platform.python_version()}, {versions}"
    )
