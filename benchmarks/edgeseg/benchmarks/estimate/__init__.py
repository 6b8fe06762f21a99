"""How fast a network could be on a device that is not at hand: an estimate with its error bars, never a measurement."""
