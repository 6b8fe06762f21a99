"""images + masks -> teacher checkpoint."""
