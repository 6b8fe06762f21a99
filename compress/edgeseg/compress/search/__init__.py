"""Cutting to a measured budget: importances, groups, widths, depth, layer times, candidates."""
