"""Configs for tests: of fnn, and of classes of the tests' own."""

import dataclasses
import importlib
import pkgutil

import jax
import numpy as np
import pytest

import fnn
from fnn._core.config import config, number, static
from fnn.networks.mlp import mlp
from fnn.optimizers import adam, adamw, chain, clip_by_global_norm, sgd
from fnn.schedules import cosine_decay, piecewise_constant, warmup_cosine_decay


@config
class Affine:
    """Structure, a number and an optional one."""

    kind: str = static()
    slope: float = number()
    shift: float | None = number()

    def __call__(self, x):
        y = self.slope * x if self.kind == "times" else x / self.slope
        return y if self.shift is None else y + self.shift


MAKERS = {
    "adam": lambda: adam(1e-3),
    "plain sgd": lambda: sgd(0.1),
    "sgd with structure": lambda: sgd(0.1, momentum=0.9, nesterov=True),
    "a schedule and a mask": lambda: adamw(
        cosine_decay(1e-3, 50), weight_decay=0.1, mask={"a": True, "b": False}
    ),
    "a chain": lambda: chain(clip_by_global_norm(1.0), adam(warmup_cosine_decay(0.0, 1e-3, 5, 50))),
    "arrays": lambda: piecewise_constant([3, 6], [1.0, 0.5, 0.1]),
    "a network": lambda: mlp((2, 3, 1), dropout=0.5),
    "a local class": lambda: Affine("times", np.float64(2.0), None),
}
MAKES = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def config_classes():
    """Every config class in the modules of fnn."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(fnn.__path__, "fnn.")
        # the others import another library when they are imported
        if not module.name.endswith(("__main__", "interop.keras_gelu", "interop.torch_scaling"))
    ]
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__.startswith("fnn.")
    }
    return [cls for cls in classes if dataclasses.is_dataclass(cls) and is_node(filled(cls))]


def filled(cls):
    """An instance whose numbers are all 0 and whose structure is all None."""
    instance = object.__new__(cls)
    for field in dataclasses.fields(cls):
        value = None if field.metadata.get("static") else np.float64(0)
        object.__setattr__(instance, field.name, value)
    return instance


def is_node(instance):
    return not jax.tree_util.all_leaves([instance])
