"""What a data-set folder holds besides pixels: names, tables and descriptions, and where they contradict each other."""
