"""The machine that is measured on: what it is, what disturbs it, and whose turn it is."""
