"""Training: steps, batches, and whole runs of epochs.

`step` is one update, `epochs` the compiled loop over them, `fit` the run as a pure function, and
`train` the same run on the host, with progress, signals and checkpoints. It imports networks,
optimizers, evaluation and the rooms of the host; `sweeps` builds on it.
"""
