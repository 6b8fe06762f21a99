"""The command `predict`: images, folders, films and cameras in; masks, overlays and rows out."""
