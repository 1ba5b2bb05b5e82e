"""Losses: their closed forms, from float64 outputs and targets (..., out), in NumPy."""

import numpy as np


def times_log(share, logarithm):
    """share * logarithm, where 0 log 0 = 0."""
    return np.where(share == 0, 0, share * np.where(share == 0, 0, logarithm))


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def log_softmax_64(z):
    with np.errstate(divide="ignore"):
        return z - z.max(-1, keepdims=True) - log(softmax_sums(z))


def softmax_sums(z):
    return np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)


def log_sigmoid_64(z):
    return -np.logaddexp(0, -z)


def one_hot(labels, classes):
    return np.eye(classes)[np.asarray(labels)]


def squared_error_64(y_hat, y):
    return ((y_hat - y) ** 2).mean(-1)


def absolute_error_64(y_hat, y):
    return abs(y_hat - y).mean(-1)


def huber_64(y_hat, y, delta=1.0):
    error = abs(y_hat - y)
    return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(-1)


def cross_entropy_64(p, y):
    return -times_log(y, log(p)).sum(-1)


def binary_cross_entropy_64(p, y):
    return -(times_log(y, log(p)) + times_log(1 - y, log(1 - p))).mean(-1)


def softmax_cross_entropy_64(z, y, label_smoothing=0.0):
    y = (1 - label_smoothing) * y + label_smoothing / y.shape[-1]
    return -times_log(y, log_softmax_64(z)).sum(-1)


def sigmoid_cross_entropy_64(z, y, label_smoothing=0.0):
    y = (1 - label_smoothing) * y + label_smoothing / 2
    return -(times_log(y, log_sigmoid_64(z)) + times_log(1 - y, log_sigmoid_64(-z))).mean(-1)
