"""Long work on the host: segments of epochs, progress, signals, checkpoints, fingerprints.

Only `training.train` and `sweeps` use it; it knows neither networks nor training, and imports
`files` and `_core`.
"""
