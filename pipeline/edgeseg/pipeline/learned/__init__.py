"""Whether a network has learned anything, from what a run has recorded of val and of its trainings; never from test."""
