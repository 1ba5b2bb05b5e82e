"""What the work runs on.

    python -m bench.devices

prints what JAX and PyTorch find, as JSON. It is asked in a process of its own, as whoever starts a
GPU also holds memory there.
"""

import functools
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# By default JAX takes three quarters of a GPU's memory, and peers are alive beside one another.
# They use one GPU, so our sweep is to use no more.
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "CUDA_VISIBLE_DEVICES": "0"}


class Device(NamedTuple):
    """What JAX runs on here if nobody chooses."""

    name: str
    """Of a CPU the processor and its cores, of others what JAX calls their kind."""
    platform: str
    """As JAX calls it: "cpu", "gpu"."""
    has_cuda: bool
    """Whether PyTorch is here and can run on the same."""

    @property
    def is_cpu(self) -> bool:
        """Whether it is no accelerator."""
        return self.platform == "cpu"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to run on it, PyTorch's too."""
        if self.is_cpu:
            return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        return {**_SHARED_GPU, **os.environ}


@functools.cache
def device() -> Device:
    """The device of this machine."""
    found = subprocess.run(
        [sys.executable, "-m", "bench.devices"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
        env={**_SHARED_GPU, **os.environ},
    )
    return Device(**json.loads(found.stdout.splitlines()[-1]))


def main() -> None:
    """Prints the device."""
    import jax

    first = jax.devices()[0]
    if first.platform == "cpu":
        found = Device(f"{_processor()}, {os.cpu_count()} cores", first.platform, has_cuda=False)
    else:
        found = Device(first.device_kind, first.platform, _torch_has_cuda())
    print(json.dumps(found._asdict()))


def _torch_has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as cpus:
            named = [line.split(":")[1].strip() for line in cpus if line.startswith("model name")]
        return named[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
