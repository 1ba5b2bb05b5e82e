"""Optimizers: from gradients to updates, as pure functions with Optax's contract.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = apply_updates(params, updates)

Every number is traced and cast to the dtype of the running statistics first, so that
`1 - b2` is the same number whether b2 is a constant, an argument or one of many lanes.
Statistics and updates are kept in at least float32, also where parameters are not.
"""

from fnn.optimizers.adam import Adam, AdamState, AdamW, adam, adamw
from fnn.optimizers.chain import Chain, chain
from fnn.optimizers.clip import ClipByGlobalNorm, clip_by_global_norm
from fnn.optimizers.common import apply_updates
from fnn.optimizers.decay import AddDecayedWeights, add_decayed_weights
from fnn.optimizers.sgd import Sgd, SgdState, sgd

__all__ = [
    "Adam",
    "AdamState",
    "AdamW",
    "AddDecayedWeights",
    "Chain",
    "ClipByGlobalNorm",
    "Sgd",
    "SgdState",
    "adam",
    "adamw",
    "add_decayed_weights",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "sgd",
]
