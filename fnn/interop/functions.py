"""Activations as other libraries name them, and those that `mlp` has no name for."""

import dataclasses
from typing import Any

import jax

from fnn.activations import ACTIVATIONS, name_of
from fnn.types import Activation


@dataclasses.dataclass(frozen=True, repr=False)
class Variant:
    """An activation of `jax.nn` with an option: a function that is equal to another of the same."""

    name: str
    option: str
    value: float | bool

    def __call__(self, z: jax.Array) -> jax.Array:
        """The a of z."""
        return getattr(jax.nn, self.name)(z, **{self.option: self.value})

    def __repr__(self) -> str:
        return f"{self.name}({self.option}={self.value})"


EXACT_GELU = Variant("gelu", "approximate", False)
"""z times the normal distribution's share below z, of which `gelu` is an approximation."""

_DEFAULTS = {"leaky_relu": ("negative_slope", 0.01), "elu": ("alpha", 1.0), "celu": ("alpha", 1.0)}


def with_option(name: str, value: Any) -> Activation:
    """`leaky_relu` with this slope, `elu` or `celu` with this alpha."""
    option, default = _DEFAULTS[name]
    value = float(value)
    return ACTIVATIONS[name] if value == default else Variant(name, option, value)


def option_of(sigma: Activation) -> tuple[str, float] | None:
    """The name and the number of what `with_option` makes, or None."""
    if isinstance(sigma, Variant) and sigma.name in _DEFAULTS:
        return sigma.name, sigma.value
    name = name_of(sigma)
    return (name, _DEFAULTS[name][1]) if name in _DEFAULTS else None


def known(sigma: Any) -> Any:
    """The function of fnn for one of `jax.nn`; any other as it is."""
    name = name_of(sigma)
    return sigma if name is None else ACTIVATIONS[name]


def shown(sigma: Activation) -> str:
    """An activation in an error."""
    return name_of(sigma) or getattr(sigma, "__name__", None) or repr(sigma)
