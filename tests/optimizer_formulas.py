"""The papers' updates of parameters, w <- w + u, in float64 NumPy."""

import math

import numpy as np

SHAPES = {"weight": (2, 3), "bias": (3,)}


def sgd_of_the_textbook(rate, momentum=0.0, nesterov=False):
    velocity = dict.fromkeys(SHAPES, 0.0)

    def update(t, w, g):
        for name in g:
            velocity[name] = momentum * velocity[name] + g[name]
        ahead = {name: g[name] + momentum * velocity[name] for name in g}
        return {name: -rate(t) * (ahead if nesterov else velocity)[name] for name in g}

    return update


def adam_algorithm_1(rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, decaying=("weight",)):
    """Kingma & Ba, Algorithm 1; with decay, Loshchilov & Hutter, Algorithm 2."""
    m, v = dict.fromkeys(SHAPES, 0.0), dict.fromkeys(SHAPES, 0.0)

    def update(t, w, g):
        t = t + 1
        updates = {}
        for name in g:
            m[name] = b1 * m[name] + (1 - b1) * g[name]
            v[name] = b2 * v[name] + (1 - b2) * g[name] ** 2
            m_hat, v_hat = m[name] / (1 - b1**t), v[name] / (1 - b2**t)
            direction = m_hat / (np.sqrt(v_hat) + eps)
            if name in decaying:
                direction = direction + decay * w[name]
            updates[name] = -rate(t - 1) * direction
        return updates

    return update


def penalty(decay):
    return lambda t, w, g: {**g, "weight": g["weight"] + decay * w["weight"]}


def clipping(max_norm):
    def update(t, w, g):
        norm = math.sqrt(sum((leaf**2).sum() for leaf in g.values()))
        return {name: leaf * min(1, max_norm / norm) for name, leaf in g.items()}

    return update


def one_after_the_other(*members):
    def update(t, w, g):
        for member in members:
            g = member(t, w, g)
        return g

    return update
