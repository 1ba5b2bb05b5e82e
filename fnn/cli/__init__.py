"""The commands of `python -m fnn`: the quickstart; `train` and `predict` for one's own table."""
