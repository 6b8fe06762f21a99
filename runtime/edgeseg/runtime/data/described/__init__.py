"""What people write about a data set: dataset.yaml, meta.csv, and other tools' descriptions."""
