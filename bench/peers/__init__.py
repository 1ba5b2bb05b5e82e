"""The peers: one module each, which trains a `Task` as that library's good users would.

Every module has

    TAKES_ORDERS: bool                    whether it accepts an order of the rows
    prepare(task, x, y, *, params=None, orders=None) -> run

and `run()` does one whole training run, from the same starting point each time, waits until
it is finished and returns the mean training loss of every epoch, `(epochs,)`: over the
epoch's rows, as they were trained on. What a user does once, such as handing the data to
the device, is done in `prepare`; what belongs to a run, such as making first parameters and
shuffling, in `run`. Both use the GPU where JAX finds one. Given `params`, a `(weight, bias)` per
layer, the run starts from them; else from the library's own. Given `orders`, `(epochs, rows)`,
the rows are taken in them; a peer whose library shuffles by itself has `TAKES_ORDERS = False`
and no such argument.
"""

import importlib
from types import ModuleType
from typing import NamedTuple


class Peer(NamedTuple):
    """Where a peer is to be found, and what it takes to run it."""

    module: str
    packages: tuple[str, ...] = ()
    """What it imports, besides what fnn takes."""
    needs_cuda: bool = False
    cpu_only: bool = False


PEERS = {
    "fnn": Peer("fnn_fit"),
    "flax-scan": Peer("flax_scan", ("flax", "optax")),
    "flax-loop": Peer("flax_loop", ("flax", "optax")),
    "equinox-scan": Peer("equinox_scan", ("equinox", "optax")),
    "torch": Peer("torch_eager", ("torch",)),
    "torch-compile": Peer("torch_compile", ("torch",)),
    "torch-graph": Peer("torch_graph", ("torch",), needs_cuda=True),
    "keras": Peer("keras_fit", ("keras",)),
    # On a GPU it would train on the machine's processor.
    "scikit-learn": Peer("scikit_learn", ("sklearn",), cpu_only=True),
}
"""Peers by the name to show, in the order to show them in."""

OUR_SWEEP = "fnn-sweep"
"""What trains many networks at once here."""

SWEEPS = {
    OUR_SWEEP: Peer("fnn_sweep"),
    "flax-vmap": Peer("flax_vmap", ("flax", "optax")),
    "flax-vmap-shared": Peer("flax_vmap_shared", ("flax", "optax")),
    "torch-func": Peer("torch_func", ("torch",)),
    "torch-graph-ensemble": Peer("torch_graph_ensemble", ("torch",), needs_cuda=True),
    "scikit-learn-2": Peer("scikit_learn_jobs", ("sklearn", "joblib"), cpu_only=True),
}
"""Those that train many networks at once, and return the losses of all, `(lanes, epochs)`."""

STOPPING = "fnn-stopping"
"""The same as ours, but seven of eight lanes stop after an eighth of the epochs."""

YARDSTICK = "matrix-product"
"""What this machine can do at most: no peer, but run like one."""

SWEEP_YARDSTICK = "products-and-adam"
"""What matrix products and Adam take by themselves: no peer, but run like one."""

BY_HAND = "by-hand"
"""What many networks take if their sweep is written out by hand: no peer, but run like one."""

ALL = {
    **PEERS,
    **SWEEPS,
    STOPPING: Peer("fnn_sweep_stopping"),
    # Too small a product to fill a GPU.
    YARDSTICK: Peer("matrix_product", cpu_only=True),
    # Chunks, layouts and compiler options are those of our sweeps on a CPU.
    SWEEP_YARDSTICK: Peer("products_and_adam", cpu_only=True),
    BY_HAND: Peer("by_hand", cpu_only=True),
}
"""Whatever is run like a peer, by name."""


def load(name: str) -> ModuleType:
    """The peer's module, which imports its library only now."""
    return importlib.import_module(f"{__name__}.{ALL[name].module}")
