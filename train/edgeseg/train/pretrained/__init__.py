"""Published ImageNet weights: which there are, where they lie, and how they become weights of our encoder."""
