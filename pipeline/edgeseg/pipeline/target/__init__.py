"""This machine as the target: files measured and scored once."""
