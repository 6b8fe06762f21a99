"""Times of single layers."""
