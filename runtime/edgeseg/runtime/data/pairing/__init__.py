"""Which files of a folder are images and masks, and which belong together."""
