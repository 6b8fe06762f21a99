"""What changed from one bundle to the next: the change record."""
