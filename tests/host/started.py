"""Processes that a test starts together, and what they write."""

import contextlib
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
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = [Path(folder) / f"{process}.txt" for process in range(len(commands))]
        logs = [stack.enter_context(open(f"{file}.log", "w+")) for file in files]
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, (*arguments, file))], env={**common, **more},
                stdout=log, stderr=subprocess.STDOUT,
            )
            for (arguments, more), file, log in zip(commands, files, logs, strict=True)
        ]  # fmt: skip
        try:
            for process in started:
                process.wait(timeout)
        finally:
            for process in started:
                process.kill()
                process.wait()
        texts = [file.read_text() if file.exists() else "" for file in files]
        printed = [Path(log.name).read_text() for log in logs]
    outputs = [dict(re.findall(r"^(\w+) (.*)$", text, re.MULTILINE)) for text in texts]
    return outputs, [process.returncode for process in started], printed
