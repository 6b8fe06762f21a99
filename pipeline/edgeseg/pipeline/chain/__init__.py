"""Steps that run once: keys, folders, resuming. Knows nothing of networks."""
