"""Frames as they come, the newest first: of cameras, films, watched folders, and whatever gives one after the other."""
