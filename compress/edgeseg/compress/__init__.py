"""teacher -> student: distilled, pruned, with ranges and a precision plan."""
