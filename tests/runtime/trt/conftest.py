"""The stand-in of a machine with a GPU, for every test here."""

from .board import board, driver  # noqa: F401  fixtures
