"""Several results on one page, or as a text that another program reads."""
