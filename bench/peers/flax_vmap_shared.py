"""Flax and Optax: `vmap` of the whole run, the order of the rows shared by all lanes."""

import functools

from bench.peers import flax_vmap

TAKES_ORDERS = False

prepare = functools.partial(flax_vmap.prepare, shared_order=True)
