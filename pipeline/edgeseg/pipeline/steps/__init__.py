"""What each step of the chain does: thin adapters from a `StepContext` to one call of `train`, `compress`, `export` or `benchmarks`."""
