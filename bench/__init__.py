"""Benchmarks: fnn beside what people would pick instead. Run `python -m bench`."""
