"""The peers: one module each, which trains a `Task` as that library's good users would.

Every module has

    TAKES_ORDERS: bool                    whether it can be told the order of the rows
    prepare(task, x, y, *, params=None, orders=None) -> run

and `run()` does one whole training run, from the same starting point each time, waits until
it is finished and returns the mean training loss of every epoch, `(epochs,)`: over the
epoch's rows, as they were trained on. What a user does once, such as handing the data to
the device, is done in `prepare`; what belongs to a run, such as making first parameters and
shuffling, in `run`. Given `params`, a `(weight, bias)` per layer, the run starts from them;
else from the library's own. Given `orders`, `(epochs, rows)`, the rows are taken in them; a
peer whose library shuffles by itself has `TAKES_ORDERS = False` and no such argument.
"""

import importlib
from types import ModuleType

PEERS = {
    "fnn": "fnn_fit",
    "flax-scan": "flax_scan",
    "flax-loop": "flax_loop",
    "equinox-scan": "equinox_scan",
    "torch": "torch_eager",
    "torch-compile": "torch_compile",
    "keras": "keras_fit",
    "scikit-learn": "scikit_learn",
}
"""Modules by the name to show, in the order to show them in."""

OUR_SWEEP = "fnn-sweep"
"""What trains many networks at once here."""

SWEEPS = {
    OUR_SWEEP: "fnn_sweep",
    "flax-vmap": "flax_vmap",
    "flax-vmap-shared": "flax_vmap_shared",
    "torch-func": "torch_func",
    "scikit-learn-2": "scikit_learn_jobs",
}
"""Modules that train many networks at once, and return the losses of all, `(lanes, epochs)`."""

STOPPING = "fnn-stopping"
"""The same as ours, but seven of eight lanes stop after an eighth of the epochs."""

YARDSTICK = "matrix-product"
"""What this machine can do at most: no peer, but run like one."""

SWEEP_YARDSTICK = "products-and-adam"
"""What matrix products and Adam take by themselves: no peer, but run like one."""

BY_HAND = "by-hand"
"""What many networks take if their sweep is written out by hand: no peer, but run like one."""


def load(name: str) -> ModuleType:
    """The peer's module, which imports its library only now."""
    others = {
        YARDSTICK: "matrix_product",
        SWEEP_YARDSTICK: "products_and_adam",
        BY_HAND: "by_hand",
        STOPPING: "fnn_sweep_stopping",
    }
    module = (PEERS | SWEEPS | others)[name]
    return importlib.import_module(f"{__name__}.{module}")
