"""One frame's way to its mask: geometry, padding, tiles, post-processing, regions."""
