"""The pages of runs, fits and the INT8 doctor."""
