"""From a bundle or a step's folder to an open engine."""
