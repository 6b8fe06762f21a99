"""Scoring a bundle on a data set: that what is scored is what was asked, and what the bundle has seen of it."""
