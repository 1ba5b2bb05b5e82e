"""Cross-validation: every setting trained on every fold, each a lane of one sweep.

`folds` divides the rows, `cross_validate` runs the lanes, `result` is what comes back. Nothing
here runs a network of its own: `sweeps` does. Only `plots` and `fnn` itself may import it.
"""
