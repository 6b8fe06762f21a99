"""The same files at several numbers of threads, sizes and batches: runs of their own, one table."""
