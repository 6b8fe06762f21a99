"""Limits that a new model must keep against an old one measured beside it."""
