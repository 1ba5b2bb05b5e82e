"""Fits of many shapes in one process: the memory maps and the memory that they hold.

    python -m bench.many_shapes [--shapes 1000]

Without `fnn._core.jit_cache` the 222nd shape aborts the process.
"""

import argparse
import resource
import time

import jax
import numpy as np

import fnn
from fnn._core.jit_cache import memory_maps


def main() -> None:
    """Prints a line for every fiftieth shape, and one at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=1000)
    shapes = parser.parse_args().shapes
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    start, most = time.perf_counter(), 0
    for count in range(1, shapes + 1):
        net = fnn.mlp((3, 4 + count, 1))
        fnn.fit(net, fnn.squared_error, fnn.adam(1e-3), (x, y), key=jax.random.key(0), epochs=2)
        most = max(most, memory_maps())
        if count % 50 == 0 or count == shapes:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of KiB, on Linux
            seconds = time.perf_counter() - start
            print(
                f"{count} shapes: at most {most} memory maps, {memory:.0f} MiB, {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
