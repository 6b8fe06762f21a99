"""Files: written whole or not at all, told by their content, hashed."""
