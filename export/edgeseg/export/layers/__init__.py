"""One layer as a file of its own, to be timed."""
