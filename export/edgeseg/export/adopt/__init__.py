"""INT8 files of other tools, taken as they are."""
