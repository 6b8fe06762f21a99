"""Parts of the command line that are more than parsing."""
