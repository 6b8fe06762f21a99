"""A variant for a program without Python: one C++ file, what it was made from, and what must come out."""
