"""How one network scales over 8, 64 and 512 accelerators, computed from what XLA compiles for them.

    JAX_PLATFORMS=cpu python -m bench.scaling_on_paper

A step on sharded rows is compiled for an H100 and for a TPU v5e, without one (the extra
`platforms`). The compiler says how many operations a device does and how many bytes it reads and
writes; the all-reduce is read in its program. Divided by what the makers give for a device and for
its links, these are the least times: of computing, max(operations / peak, bytes / memory), and of
reducing, 2 (n - 1) / n bytes / link within a host or a pod, and the same between these, where each
device passes on its share of the bytes. None of it is hidden behind computing. The share is
computing / (computing + reducing): what is left of n times the speed, at best.
"""

import math
import os
import re
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fnn
from bench.accelerator import TARGETS, step_cost

os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")


class Chip(NamedTuple):
    """What the makers say of a device, per second."""

    operations: float
    memory: float
    """Bytes."""
    link: float
    """Bytes, one way, to the devices of one host or one pod."""
    beyond: float
    """Bytes of each device, one way, to others."""
    near: int
    """The devices that the fast link joins."""
    topologies: dict[int, dict[str, Any]]
    """By the number of devices that are compiled for."""

    def reducing(self, size: int, devices: int) -> float:
        """The seconds in which so many bytes are summed over so many devices."""
        near = min(devices, self.near)
        groups = devices / near
        within = 2 * (near - 1) / near * size / self.link
        return within + 2 * (groups - 1) / groups * size / (near * self.beyond)


CHIPS = {
    # TF32 without sparsity, HBM3, NVLink 4, 400 Gb/s InfiniBand per GPU
    "H100": Chip(494.7e12, 3.35e12, 450e9, 50e9, 8, {
        8: TARGETS["H100"] | {"topology": "1x1x8"},
    }),
    # bfloat16 products, as by default; HBM2; four links of 400 Gb/s; pods of 256 chips, in hosts of
    # eight with 100 Gb/s
    "TPU v5e": Chip(197e12, 819e9, 200e9, 12.5e9 / 8, 256, {
        8: {"platform": "tpu", "topology_name": "v5e:2x4"},
        64: {"platform": "tpu", "topology_name": "v5e:8x8"},
    }),
}  # fmt: skip
NETS = {(784, 1024, 1024, 10): (128, 1024), (4096, 4096, 4096, 1000): (128, 1024)}
COUNTS = 8, 64, 512
# of a loop whose body is counted
_STEPS = 3


class Cost(NamedTuple):
    """What one device does in a step."""

    operations: float
    bytes: float
    reduced: int
    """Bytes that are summed over all devices."""


def cost_of(chip: str, sizes: tuple[int, ...], rows: int, devices: int) -> Cost:
    """The cost of a step of so many rows per device."""
    program = compiled(chip, sizes, rows, devices)
    reduced = reduced_bytes(program.as_text())
    if chip != "H100":
        found = program.cost_analysis()
        return Cost(found["flops"], found["bytes accessed"], reduced)
    # XLA counts no operations there: they are those of the same step on the other chip
    operations = compiled("TPU v5e", sizes, rows, devices).cost_analysis()["flops"]
    looped = compiled(chip, sizes, rows, devices, steps=_STEPS)
    return Cost(operations, 1e6 * step_cost(looped.as_text(), _STEPS).megabytes, reduced)


def compiled(chip: str, sizes: tuple[int, ...], rows: int, devices: int, steps: int = 1) -> Any:
    """The program of so many steps, rows sharded over the devices."""
    topology = topologies.get_topology_desc(**CHIPS[chip].topologies[devices])
    mesh = Mesh(np.array(topology.devices), ("data",))
    whole, divided = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    net, opt = fnn.mlp(sizes), fnn.adam(1e-3)

    def train(state: fnn.TrainState, batch: tuple) -> fnn.TrainState:
        step = lambda state, _: fnn.train_step(net, fnn.softmax_cross_entropy, opt, state, batch)  # noqa: E731
        return step(state, None)[0] if steps == 1 else jax.lax.scan(step, state, length=steps)[0]

    state = jax.eval_shape(lambda key: fnn.init_state(net, opt, key), jax.random.key(0))
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), state
    )
    x = jax.ShapeDtypeStruct((rows * devices, sizes[0]), np.float32, sharding=divided)
    y = jax.ShapeDtypeStruct((rows * devices,), np.int32, sharding=divided)
    return jax.jit(train, out_shardings=whole).lower(state, (x, y)).compile()


def reduced_bytes(text: str) -> int:
    """The bytes of all float32 arrays that a program's all-reduces return."""
    shapes = re.findall(r" = (.*?) all-reduce(?:-done)?\(", text)
    arrays = [size for shape in shapes for size in re.findall(r"f32\[([\d,]*)\]", shape)]
    return sum(4 * math.prod(map(int, filter(None, size.split(",")))) for size in arrays)


def main() -> None:
    """Prints a table."""
    print("per device and step            Mrows/s of all devices at best, share of n times one")
    for name, chip in CHIPS.items():
        for sizes, batches in NETS.items():
            for rows in batches:
                costs = {n: cost_of(name, sizes, rows, n) for n in chip.topologies}
                cost = costs[8]
                assert all(other.reduced == cost.reduced for other in costs.values())
                computing = max(cost.operations / chip.operations, cost.bytes / chip.memory)
                cells: list[str] = []
                for count in COUNTS:
                    seconds = computing + chip.reducing(cost.reduced, count)
                    speed = count * rows / seconds / 1e6
                    cells.append(f"{count}: {speed:,.3g} ({computing / seconds:.0%})")
                title = f"{name}, {'-'.join(map(str, sizes))}, {rows} rows"
                figures = f"{cost.operations / 1e9:.2f} GFLOP, {cost.bytes / 1e6:.0f} MB, "
                figures += f"{cost.reduced / 1e6:.1f} MB reduced"
                print(f"{title}: {figures}; {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
