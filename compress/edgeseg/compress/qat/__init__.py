"""Quantisation-aware training: a network that rounds while it learns, as its INT8 file will."""
