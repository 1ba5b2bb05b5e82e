"""The devices that a program is for."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax

_assumed: ContextVar[str | None] = ContextVar("assumed platform", default=None)


def chosen_device() -> Any:
    """`jax.default_device`: a device, the name of a platform, or None."""
    config: Any = jax.config
    return config.jax_default_device


def devices_here() -> tuple[Any, ...]:
    """The device that the caller has chosen, or all of this process."""
    chosen = chosen_device()
    if chosen is None or isinstance(chosen, str):
        return tuple(jax.local_devices(backend=chosen))
    return (chosen,)


def on_gpu() -> bool:
    """Whether programs are for a GPU: that of `devices_here`, or what `assumed` says."""
    platform = _assumed.get() or devices_here()[0].platform
    return platform in ("gpu", "cuda", "rocm")


@contextlib.contextmanager
def assumed(platform: str) -> Iterator[None]:
    """Programs traced within are for this platform, whatever is here."""
    token = _assumed.set(platform)
    try:
        yield
    finally:
        _assumed.reset(token)
