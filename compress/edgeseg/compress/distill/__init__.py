"""Teaching a student what a teacher answers."""
