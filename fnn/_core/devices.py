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
    """Whether programs are for a GPU: `devices_here` are, or `assumed` says so.

    Arguments that lie on other devices than the default one are not looked at.
    """
    platform = _assumed.get() or devices_here()[0].platform
    return platform in ("gpu", "cuda", "rocm")


@contextlib.contextmanager
def assumed(platform: str) -> Iterator[None]:
    """Programs traced within are for this platform, as those compiled for another machine.

    A `jax.jit` that was traced before keeps its program.
    """
    token = _assumed.set(platform)
    try:
        yield
    finally:
        _assumed.reset(token)
