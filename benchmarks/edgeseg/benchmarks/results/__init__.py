"""Results: raw samples, rows, the JSON document, and those of other tools."""
