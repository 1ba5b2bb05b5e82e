"""The foundation of all other modules: argument checks, configs, and how arguments are traced.

Only fnn uses it. It imports nothing of fnn but `types` and may be imported by every module.
"""
