"""A Segmenter in a process of its own, which may hang or crash without taking its user along."""
