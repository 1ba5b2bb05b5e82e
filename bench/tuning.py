"""Optuna's trials as lanes of sweeps, beside one trial at a time: seconds for all of them.

    python -m bench.tuning [--rounds 3] [--quick]

Both run the same number of trials of a digits network, by the same sampler, in programs that were
compiled before. A round is one study of each, in turns. The loss beside a figure is the best one.
"""

import argparse
import time
from collections.abc import Callable

import jax
import numpy as np

import fnn
from bench.measure import in_turns
from bench.rows import OURS, Row, entries, text
from fnn.tuning import tune

ONE_AT_A_TIME = "one fit at a time"


def main() -> None:
    """Prints a row."""
    import optuna
    from sklearn.datasets import load_digits

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few epochs, trials and rounds")
    options = parser.parse_args()
    trials, epochs, rounds = (8, 2, 1) if options.quick else (128, 20, options.rounds)
    lanes = trials // 4
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    x, y = load_digits(return_X_y=True)
    data = (x / 16).astype(np.float32), y
    net, loss, key = fnn.mlp((64, 64, 10)), fnn.softmax_cross_entropy, jax.random.key(0)
    rates = {"rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)}

    def study() -> optuna.Study:
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
        return optuna.create_study(sampler=sampler)

    def as_lanes(settings: dict[str, np.ndarray]) -> fnn.Sweep:
        return fnn.sweep(net, loss, fnn.adam(settings["rate"]), data, key=key, epochs=epochs)

    def in_batches() -> float:
        known = study()
        tune(known, rates, as_lanes, batches=trials // lanes, lanes=lanes)
        return known.best_value

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        run = fnn.fit(net, loss, fnn.adam(rate), data, key=key, epochs=epochs)
        return float(np.min(run.history["loss"]))

    def one_at_a_time() -> float:
        known = study()
        known.optimize(objective, n_trials=trials)
        return known.best_value

    runs = {OURS: in_batches, ONE_AT_A_TIME: one_at_a_time}
    figures = {peer: {"best loss": run()} for peer, run in runs.items()}  # compiles, too

    def timed(run: Callable[[], float]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    samples = in_turns({p: lambda run=run: timed(run) for p, run in runs.items()}, rounds)
    title = f"{trials} trials of 64-64-10 on digits, {epochs} epochs, {lanes} lanes a sweep"
    print(text(Row("tuning/digits", title, "s", entries(samples, figures, {}))))


if __name__ == "__main__":
    main()
