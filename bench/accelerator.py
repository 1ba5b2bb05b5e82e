"""What a training step costs on an accelerator, found out without one.

    JAX_PLATFORMS=cpu python -m bench.accelerator

XLA compiles for an H100, an A100 or a TPU on any machine: it takes the compiler's plugin (the extra
`platforms`), but no driver and no device. The table counts the kernels of a step, and the megabytes
that they read and write, ours beside Flax and Optax. `bench/README.md` says how to read it.
"""

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

import fnn
from fnn._core.devices import assumed
from fnn.sweeps.program import Program, advance_on, begin
from fnn.sweeps.rows import to_host
from fnn.sweeps.setup import checked_setup
from fnn.training.platform import largest_summed_of

_GPU = """gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: {cores} fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth} l2_cache_size: {cache} clock_rate_ghz: {clock}
  device_memory_size: {memory} shared_memory_per_block_optin: {optin}
  cuda_compute_capability {{ major: {major} minor: 0 {features} }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536 }}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} device_description_str: "{name}" """

TARGETS: dict[str, dict[str, Any]] = {
    "H100": {
        "platform": "cuda",
        "topology": "1x1x1",
        "target_config": _GPU.format(
            cores=132, bandwidth=3352320000000, cache=52428800, clock=1.98, memory=84978434048,
            optin=232448, major=9, features="feature_extension: ACCELERATED_FEATURES",
            name="NVIDIA H100 80GB HBM3",
        ),
    },
    "A100": {
        "platform": "cuda",
        "topology": "1x1x1",
        "target_config": _GPU.format(
            cores=108, bandwidth=2039000000000, cache=41943040, clock=1.41, memory=84978434048,
            optin=166912, major=8, features="", name="NVIDIA A100-SXM4-80GB",
        ),
    },
    "TPU v5e": {"platform": "tpu", "topology_name": "v5e:2x2"},
}  # fmt: skip

# libtpu runs in one process at a time, for the sake of a chip that is not used here
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

# what stands in a program's text, but is no kernel
_NO_KERNEL = {
    *("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "conditional"),
    *("call", "after-all", "iota", "partition-id", "opt-barrier"),
}
_BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f64": 8, "s64": 8,
          "u64": 8}  # fmt: skip
_OPERATION = re.compile(r"(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*?)\)(?:,|$)")


class Row(NamedTuple):
    """A network to be trained."""

    sizes: tuple[int, ...]
    batch_size: int
    batches: int
    lanes: int
    """1 for a single run, or those of a sweep."""

    @property
    def name(self) -> str:
        """As `128 x 64-64-10`."""
        sizes = "-".join(map(str, self.sizes))
        return sizes if self.lanes == 1 else f"{self.lanes} x {sizes}"


class Cost(NamedTuple):
    """What a step costs."""

    kernels: int
    megabytes: float
    """Read and written; a gather counts the whole of what it reads from."""


ROWS = [
    Row((2, 16, 2), 16, 62, 1),
    Row((64, 64, 10), 32, 56, 1),
    Row((784, 256, 128, 10), 128, 78, 1),
    Row((784, 1024, 1024, 10), 256, 16, 1),
    Row((2, 16, 2), 16, 62, 10_000),
    Row((64, 64, 10), 32, 56, 128),
    Row((784, 256, 128, 10), 128, 78, 16),
    Row((64, 32, 10), 32, 56, 8),
]
_EPOCHS = 3


def place(target: str) -> Sharding:
    """One device of that kind."""
    devices = topologies.get_topology_desc(**TARGETS[target]).devices
    return NamedSharding(Mesh(np.array(devices[:1]), ("device",)), PartitionSpec())


def compiled_text(target: str, function: Callable, *args: Any) -> str:
    """The program that the compiler makes for a device of that kind.

    Args:
      target: A name of `TARGETS`.
      function: To be compiled, or jitted already.
      *args: Arrays or their shapes.
    """
    on_device = place(target)
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(np.shape(a), a.dtype, sharding=on_device), args
    )
    with assumed(TARGETS[target]["platform"]):
        return jax.jit(function).lower(*shapes).compile().as_text()


def step_cost(text: str, steps: int) -> Cost:
    """The cost of the body of the loop that makes so many steps.

    Raises:
      ValueError: The program has no such loop.
    """
    bodies, name = {}, ""
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line)
        if head:
            name = head[1]
            bodies[name] = []
        elif " = " in line and name:
            bodies[name].append(line.strip())
    costs = []
    for line in text.splitlines():
        loop = re.search(r" while\(.*body=%?([\w.\-]+)", line)
        trips = re.search(r'known_trip_count\\?"?[:=]\s*\{\\?"n\\?":\\?"(\d+)', line)
        if loop and trips and int(trips[1]) == steps:
            costs.append(_cost(bodies[loop[1]]))
    if not costs:
        raise ValueError(f"step_cost: the program must have a loop of {steps} trips; got none")
    return max(costs)


def _cost(lines: list[str]) -> Cost:
    shapes: dict[str, str] = {}
    kernels, size = 0, 0
    for operation in filter(None, map(_OPERATION.match, lines)):
        name, shape, what, operands = operation.groups()
        shapes[name] = shape
        if what not in _NO_KERNEL and not what.endswith("-done"):
            read = [shapes.get(operand, "") for operand in re.findall(r"%([\w.\-]+)", operands)]
            kernels, size = kernels + 1, size + sum(map(_size, [shape, *read]))
    return Cost(kernels, size / 1e6)


def _size(shape: str) -> int:
    """The bytes of all arrays of a shape as the program writes it."""
    return sum(
        _BYTES.get(dtype, 4) * int(np.prod([int(n) for n in sizes.split(",") if n] or [1]))
        for dtype, sizes in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shape)
    )


def ours(row: Row) -> tuple[Callable, tuple]:
    """Our training of a row, and the shapes of its arguments: `fit`, or a sweep's own program."""
    net, loss = fnn.mlp(row.sizes), fnn.softmax_cross_entropy
    rows = row.batch_size * row.batches
    key = jax.random.key(0)
    if row.lanes > 1:
        data = np.zeros((rows, row.sizes[0]), np.float32), np.zeros(rows, np.int32)
        rates = np.logspace(-4, -2, row.lanes)
        return sweep_program(net, loss, fnn.adam(rates), data, row.batch_size, key)

    def fitted(key: jax.Array, rate: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        run = fnn.fit(net, loss, fnn.adam(rate), (x, y), key=key, epochs=_EPOCHS,
                      batch_size=row.batch_size, order_key=jax.random.key(1))  # fmt: skip
        return run.history["loss"]

    return fitted, _shapes(row, key)


def sweep_program(
    net: Any,
    loss: Any,
    optimizer: Any,
    data: Any,
    batch_size: int,
    key: jax.Array,
    *,
    target: str = "H100",
    **options: Any,
) -> tuple[Callable, tuple]:
    """The program that advances a chunk on an accelerator, and the shapes of its arguments."""
    arguments = {"net": net, "loss": loss, "optimizer": optimizer, "data": data,
                 "validation": None, "metrics": None, "stop": None, **options}  # fmt: skip
    how = {"batch_size": batch_size, "monitor": None, "mode": "auto"}
    setup = checked_setup("sweep", arguments, how, key=key, state=None, order_key=None,
                          shared_order=True, labels=None, allow_padding=True)  # fmt: skip
    structure, traced, swept = setup.varied
    with assumed(TARGETS[target]["platform"]):
        most = largest_summed_of(setup.problem, setup.size)
    program = Program(structure, swept, _EPOCHS, None, own_memory=True, largest_summed=most)
    traced = to_host(traced)
    state = begin.of(program, traced, setup.start_state).eval_shape(
        program, traced, setup.start_state
    )
    number = jax.ShapeDtypeStruct((), np.int32)
    advance = advance_on(own_memory=True, one_core=False)
    args = traced, state, number, number
    jitted = advance.of(program, *args)
    return (lambda *args: jitted(program, *args)), args


def flax(row: Row) -> tuple[Callable, tuple]:
    """The same training by Flax and Optax, as one would write it by hand."""
    import flax.linen as nn
    import optax

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for size in row.sizes[1:-1]:
                x = nn.relu(nn.Dense(size)(x))
            return nn.Dense(row.sizes[-1])(x)

    net, rows = Net(), row.batch_size * row.batches

    def fitted(key: jax.Array, rate: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        first, second = jax.random.split(key)
        params, optimizer = net.init(first, x[:1]), optax.adam(rate)

        def step(carry, batch):
            params, state = carry

            def mean_loss(params):
                logits = net.apply(params, x[batch])
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[batch]).mean()

            loss, grads = jax.value_and_grad(mean_loss)(params)
            updates, state = optimizer.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), loss

        def epoch(carry, key):
            order = jax.random.permutation(key, rows).reshape(-1, row.batch_size)
            carry, losses = jax.lax.scan(step, carry, order)
            return carry, losses.mean()

        return jax.lax.scan(
            epoch, (params, optimizer.init(params)), jax.random.split(second, _EPOCHS)
        )[1]

    many = jax.vmap(fitted, in_axes=(0, 0, None, None))
    return (fitted if row.lanes == 1 else many), _shapes(row, jax.random.key(0))


def _shapes(row: Row, key: jax.Array) -> tuple:
    lanes, rows = () if row.lanes == 1 else (row.lanes,), row.batch_size * row.batches
    return (
        jax.ShapeDtypeStruct(lanes, key.dtype),
        jax.ShapeDtypeStruct(lanes, np.float32),
        jax.ShapeDtypeStruct((rows, row.sizes[0]), np.float32),
        jax.ShapeDtypeStruct((rows,), np.int32),
    )


def main() -> None:
    """Prints a line for each row."""
    print(f"{'one step on an H100':26} {'fnn: kernels, MB':>18} {'Flax: kernels, MB':>18}")
    for row in ROWS:
        costs = []
        for peer in (ours, flax):
            function, args = peer(row)
            cost = step_cost(compiled_text("H100", function, *args), row.batches)
            costs.append(f"{cost.kernels}, {cost.megabytes:.3g}")
        print(f"{row.name:26} {costs[0]:>18} {costs[1]:>18}", flush=True)


if __name__ == "__main__":
    main()
