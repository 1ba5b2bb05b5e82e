"""Which peers can run here. What is not installed is missing; what is there and fails, fails."""

import importlib.util
from collections.abc import Iterable

from bench.devices import Device, device
from bench.peers import ALL, PEERS, SWEEPS, Peer


def here(names: Iterable[str]) -> list[str]:
    """Those of them that can run here, in the same order."""
    return [name for name in names if not _obstacle(ALL[name], device())]


def missing() -> dict[str, str]:
    """Why the others cannot, by name of the peer."""
    reasons = {name: _obstacle(peer, device()) for name, peer in (PEERS | SWEEPS).items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _obstacle(peer: Peer, where: Device) -> str | None:
    """What keeps the peer from running there."""
    if not all(map(_is_installed, peer.packages)):
        return "not installed"
    if peer.cpu_only and not where.is_cpu:
        return "runs on CPUs only"
    # PyTorch without CUDA would run on the CPU, beside peers on the GPU
    needs_cuda = peer.needs_cuda or ("torch" in peer.packages and not where.is_cpu)
    return "needs CUDA" if needs_cuda and not where.has_cuda else None


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
