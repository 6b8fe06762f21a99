"""Recipes: their sections, how they are read, and how one is written for a folder of images."""
