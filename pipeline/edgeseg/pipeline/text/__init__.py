"""What the commands say to people, and how far they are."""
