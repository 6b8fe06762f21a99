"""What each step of the chain does.

Thin adapters from a `StepContext` to one call of `train`, `compress`, `export` or `benchmarks`.
"""
