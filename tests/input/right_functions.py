"""Right calls of losses, metrics, activations, data, optimizers and schedules."""

from functools import partial

import jax
import numpy as np
from kinds import (
    FLOATS,
    JUNK,
    LOOKS,
    Call,
    Kind,
    Made,
    count,
    flag,
    floats,
    is_key,
    labels,
    made_by,
    optional,
    outputs,
    real,
    tree,
    value_of,
    whole,
    word,
)
from right_values import (
    ANY_TREE,
    GRADS,
    LABELS,
    LOGITS,
    OPTIMIZERS,
    PARAMS,
    SCHEDULES,
    SHARES,
    X,
    averaged,
    data,
    decay,
    features,
    integers,
    mask,
    num_classes,
    of_classes,
    of_update,
    of_values,
    on_binary,
    on_logits,
    on_values,
    optimizer,
    rate,
    schedule,
    share,
    step,
    updated,
    weights,
)

import fnn

RANGE = Kind(
    (10.0, 60.0),
    {name: value for name, value in JUNK.items() if name != "an array of texts"}
    | {"falling": (2.0, 1.0), "one number": 1.0, "three": (1.0, 2.0, 3.0), "NaN": (np.nan, 1.0)},
    {"a list": list, "an array": np.asarray, "integers": lambda v: tuple(map(int, v))},
)


def scaled_by(name, x):
    return getattr(fnn, name)(X)(x)


def inverse_by(name, z):
    return getattr(fnn, name)(X).inverse(z)


SCALERS = {
    "standard_scaler": {},
    "min_max_scaler": {"feature_range": RANGE},
    "robust_scaler": {"quantile_range": RANGE},
    "quantile_scaler": {"quantiles": count(3)},
}

# what is beyond the rows of a quantile scaler is at their ends, however far
SCALED = dict.fromkeys(SCALERS, features) | {"quantile_scaler": features.but("beyond float32")}

OF_FUNCTIONS = {
    # losses
    "squared_error": Call(fnn.squared_error, on_values),
    "absolute_error": Call(fnn.absolute_error, on_values),
    "huber": Call(fnn.huber, on_values | {"delta": real(1.0, zero=0.0, negative=-1.0)}),
    "cross_entropy": Call(fnn.cross_entropy, on_logits | {"outputs": outputs(SHARES)}),
    "softmax_cross_entropy": Call(
        fnn.softmax_cross_entropy, on_logits | {"label_smoothing": share}
    ),
    "binary_cross_entropy": Call(
        fnn.binary_cross_entropy, on_binary | {"outputs": outputs(SHARES[:, :1])}
    ),
    "sigmoid_cross_entropy": Call(
        fnn.sigmoid_cross_entropy, on_binary | {"label_smoothing": share}
    ),
    # metrics
    "accuracy": Call(fnn.accuracy, on_logits | averaged | {"multilabel": flag(False)}),
    **{
        name: Call(getattr(fnn, name), on_logits | of_classes)
        for name in ("precision", "recall", "f1")
    },
    "confusion_matrix": Call(
        fnn.confusion_matrix,
        on_logits | averaged | num_classes | {"normalize": word("true", "nothing")},
    ),
    "roc_auc": Call(
        fnn.roc_auc,
        on_binary | {"weights": weights, "average": word("macro"), "multilabel": flag(False)},
    ),
    **{
        name: Call(getattr(fnn, name), of_values)
        for name in ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2")
    },
    # activations
    **{
        name: Call(getattr(fnn, name), {"z": floats(LOGITS, finite=False, shaped=False)})
        for name in ("identity", "relu", "sigmoid", "softmax", "tanh")
    },
    # data
    "class_weights": Call(
        fnn.class_weights, {"labels": labels(LABELS, 3).but("too few"), "num_classes": count(3)}
    ),
    **{
        name: Call(getattr(fnn, name), {"x": floats(X).but("an axis too many")} | options)
        for name, options in SCALERS.items()
    },
    **{f"{name}()": Call(partial(scaled_by, name), {"x": x}) for name, x in SCALED.items()},
    **{f"{name}.inverse": Call(partial(inverse_by, name), {"z": z}) for name, z in SCALED.items()},
    "data_mesh": Call(
        fnn.data_mesh,
        {"model": count(1), "devices": optional(made_by(Made(jax.devices), empty=[]))},
    ),
    "shard_data": Call(
        fnn.shard_data,
        # labels are those of a loss, which is not known here
        {
            "data": data.but("y: from -1", "y: too large", "y: an axis too many"),
            "mesh": made_by(Made(fnn.data_mesh), devices=Made(jax.devices)),
        },
    ),
    "train_test_split": Call(
        lambda x, y, **options: fnn.train_test_split(x, y, **options),
        {
            "x": Kind(
                X,
                {
                    "a number": 1.0,
                    "text": "a",
                    "nothing": None,
                    "a function": print,
                    "a ragged list": [[1.0], [1.0, 2.0]],
                    "too few": X[:-1],
                    "empty": X[:0],
                    "a list of keys": JUNK["a list of keys"],
                },
                LOOKS | FLOATS,
            ),
            "y": labels(np.array([0, 1, 0, 1]), 2)._replace(wrong={"too few": LABELS[:-1]}),
            "key": is_key(),
            "test_size": real(0.5, zero=0.0, one=1.0, many=4, negative=-1)._replace(
                same={"float32": np.float32}
            ),
            "stratify": optional(labels(np.array([0, 1, 0, 1]), 2)).but("from -1", "too large"),
        },
    ),
    # optimizers
    "sgd": Call(
        fnn.sgd, {"learning_rate": rate, "momentum": optional(decay), "nesterov": flag(True)}
    ),
    "adam": Call(
        fnn.adam, {"learning_rate": rate, "b1": decay, "b2": decay, "eps": real(0.5, zero=0.0)}
    ),
    "adamw": Call(
        fnn.adamw,
        {
            "learning_rate": rate,
            "b1": decay,
            "b2": decay,
            "eps": real(0.5, zero=0.0),
            "weight_decay": real(0.5, negative=-1.0),
            "mask": mask,
        },
    ),
    "add_decayed_weights": Call(
        fnn.add_decayed_weights, {"weight_decay": real(0.5, negative=-1.0), "mask": mask}
    ),
    "clip_by_global_norm": Call(fnn.clip_by_global_norm, {"max_norm": real(0.5, zero=0.0)}),
    "chain": Call(
        lambda first, second: fnn.chain(first, second), {"first": optimizer, "second": optimizer}
    ),
    **{
        f"{name}.init": Call(OPTIMIZERS[name].init, {"params": tree(PARAMS).but(*ANY_TREE)})
        for name in ("sgd", "adam", "adamw")
    },
    **{
        f"{name}.update": Call(updated, of_update(name, opt), "add_decayed_weights|sgd")
        for name, opt in OPTIMIZERS.items()
    },
    "a rate of one's own": Call(
        lambda rate: updated(fnn.sgd(lambda step: rate), value_of(GRADS)),
        {"rate": real(0.25).but("NaN", "infinity", "minus infinity", "a bool")},
        "sgd|update",
    ),
    "lanes in an optimizer": Call(
        lambda rate: updated(fnn.adam(rate), value_of(GRADS)),
        {"rate": Kind(0.25, {"three lanes": [0.25, 0.5, 0.75], "one lane": [0.25]})},
        "update",
    ),
    "apply_updates": Call(fnn.apply_updates, {"params": tree(PARAMS), "updates": tree(GRADS)}),
    # schedules
    "linear_decay": Call(fnn.linear_decay, schedule | {"end_value": real(0.25, negative=-1.0)}),
    "exponential_decay": Call(
        fnn.exponential_decay, schedule | {"decay_rate": real(0.5, zero=0.0)}
    ),
    "cosine_decay": Call(fnn.cosine_decay, schedule | {"alpha": real(0.5, above=1.5)}),
    "warmup_cosine_decay": Call(
        fnn.warmup_cosine_decay,
        schedule
        | {
            "peak_value": real(1.0, negative=-1.0),
            "warmup_steps": whole(2, 0),
            "end_value": real(0.25, negative=-1.0),
        },
    ),
    "piecewise_constant": Call(
        fnn.piecewise_constant,
        {
            "boundaries": integers([2, 4], falling=[4, 2], zero=[0, 2], short=[2]),
            "values": floats(
                [0.5, 0.25, 0.125], negative=[0.5, -0.25, 0.125], short=[0.5, 0.25]
            ).but("beyond float32"),
        },
    ),
    **{f"{name}()": Call(schedule, {"step": step}) for name, schedule in SCHEDULES.items()},
    "early_stopping": Call(
        fnn.early_stopping,
        {
            "patience": optional(whole(2)),
            "min_delta": real(0.5, negative=-1.0),
            "target": optional(real(0.5)),
            "max_epochs": optional(whole(3)),
        },
    ),
}
