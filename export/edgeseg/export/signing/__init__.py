"""Signing bundles on the host: key files, and signatures added to a packed bundle."""
