"""The descriptions that travel with a model: manifest, model spec, input spec."""
