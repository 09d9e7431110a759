"""The precision this machine is fast at."""

import os
import platform
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from unet_helpers.training import distributed


def describe_machine():
    """Find out what this machine can compute with.

    Returns a dict: "device" (its name), "gpus" (their number), "precision" (the Keras policy that
    is fastest here) and "why" (a sentence).
    """
    gpus, name, capability = distributed.find_gpus()
    cpu = Path("/proc/cpuinfo")  # on Linux only
    flags = set(cpu.read_text().split()) if cpu.is_file() else set()
    precision, why = gpu_precision(capability) if gpus else cpu_precision(flags)
    return {"device": name if gpus else "CPU", "gpus": gpus, "precision": precision, "why": why}


def gpu_precision(compute_capability):
    """Choose the policy for a GPU's capability, (major, minor) or None; returns (policy, why)."""
    if compute_capability is None:
        return "float32", "This GPU's capability is unknown, so float32 is the safe choice."
    version = ".".join(map(str, compute_capability))
    if compute_capability >= (8, 0):
        return "mixed_bfloat16", f"A GPU of capability {version} multiplies fastest in bfloat16."
    if compute_capability >= (7, 0):
        return "mixed_float16", f"A GPU of capability {version} multiplies fastest in float16."
    return "float32", f"A GPU of capability {version} gains nothing from half precision."


def cpu_precision(flags):
    """Choose the policy for a CPU from the set of its flags; returns (policy, why)."""
    if flags & {"amx_bf16", "avx512_bf16"}:
        return "mixed_bfloat16", "This processor multiplies bfloat16 in hardware."
    return "float32", "This processor has no half-precision instructions, so float32 is fastest."


def use_best_precision():
    """Set Keras to this machine's fastest precision; returns `describe_machine()`.

    Call it before building a model. Weights and logits stay float32 under every policy.
    """
    machine = describe_machine()
    keras.config.set_dtype_policy(machine["precision"])
    return machine


def print_machine(machine):
    """Print what `describe_machine` found, and which versions run here."""
    if machine["gpus"]:
        print(f"This machine has {machine['gpus']} GPU: {machine['device']}.")
        print("That is enough for the full data sets.")
    else:
        print("This machine has no GPU. The sample data is made for that.")
    print(f"{machine['why']} Keras computes in {machine['precision']}.")
    print(
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, NumPy {np.__version__}, {os.cpu_count()} processor cores."
    )
