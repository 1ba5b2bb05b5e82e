"""One network on 1, 2, 4 and 8 devices: microseconds per step, and what sharding costs on one.

    python -m bench.scaling [--rounds 5] [--quick]

Strong: one batch, divided by more and more devices. Weak: so many rows per device. On a machine
without accelerators the devices are threads of its CPU (JAX's forced host devices, which share its
cores), so that only the costs of sharding can be seen there, and no gain beyond the cores. A round
is a run of each kind, in turns, in one process per number of devices; the least time counts.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import jax
import numpy as np

import fnn

SIZES, ROWS, BATCH, EACH = (64, 256, 256, 10), 16_384, 1024, 256


def main() -> None:
    """Prints a table, from one process per number of devices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few rounds and devices")
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    if options.devices:
        print(json.dumps(measured(options.devices, rounds)))
        return
    counts = (1, 2) if options.quick else (1, 2, 4, 8)
    found = {count: in_process(count, rounds) for count in counts}
    print("us per step       " + "".join(f"{count:>10}" for count in counts) + "  devices")
    for kind in ("strong", "weak"):
        print(f"{kind:<18}" + "".join(f"{found[count][kind]:>10.0f}" for count in counts))
    alone = found[1]["no mesh"]
    print(f"without a mesh    {alone:>10.0f}")
    print(f"sharding over one device takes {found[1]['strong'] / alone:.3f} times as long (1.05)")


def in_process(devices: int, rounds: int) -> dict[str, float]:
    """What `measured` finds in a process of so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-m", "bench.scaling", f"--devices={devices}", f"--rounds={rounds}"]
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(devices: int, rounds: int) -> dict[str, float]:
    """Microseconds per step, by kind."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, SIZES[0])).astype(np.float32)
    data = x, rng.integers(0, SIZES[-1], ROWS)
    sharded = fnn.shard_data(data, fnn.data_mesh(devices=jax.devices()[:devices]))
    kinds = {"strong": (sharded, BATCH), "weak": (sharded, EACH * devices)}
    if devices == 1:
        kinds["no mesh"] = jax.device_put(data), BATCH
    net, opt, best = fnn.mlp(SIZES), fnn.adam(1e-3), dict.fromkeys(kinds, float("inf"))
    for _ in range(rounds + 1):  # the first one compiles
        for kind, (rows, batch_size) in kinds.items():
            start = time.perf_counter()
            run = fnn.fit(net, fnn.softmax_cross_entropy, opt, rows, key=jax.random.key(0),
                          epochs=5, batch_size=batch_size)  # fmt: skip
            jax.block_until_ready(run)
            taken = (time.perf_counter() - start) / int(run.state.train.step)
            best[kind] = min(best[kind], 1e6 * taken)
    return best


if __name__ == "__main__":
    main()
