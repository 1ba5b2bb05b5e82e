"""Processes that a test starts together, and what they write."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def run_together(commands, *, devices=1, timeout=300):
    """Runs scripts at the same time; all are ended with the first that takes too long.

    Args:
      commands: Of each process, its arguments, to which the file that it is to write is added, and
        what its environment has more.
      devices: How many each of them has.
      timeout: Seconds.
    Returns:
      What each process has written, a dict from first words to lines; the return codes; and what
      was printed, by JAX's runtime too.
    """
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    common = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    # a file of its own for each: JAX's runtime prints to the standard output, too
    with tempfile.TemporaryDirectory() as written:
        files = [Path(written) / f"{process}.txt" for process in range(len(commands))]
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, (*arguments, file))], env={**common, **more},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for (arguments, more), file in zip(commands, files, strict=True)
        ]  # fmt: skip
        try:
            printed = [process.communicate(timeout=timeout)[0] for process in started]
        finally:
            for process in started:
                process.kill()
        texts = [file.read_text() if file.exists() else "" for file in files]
    outputs = [dict(re.findall(r"^(\w+) (.*)$", text, re.MULTILINE)) for text in texts]
    return outputs, [process.returncode for process in started], printed
