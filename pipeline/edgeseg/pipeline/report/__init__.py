"""The page of a run, from its report.json alone."""
