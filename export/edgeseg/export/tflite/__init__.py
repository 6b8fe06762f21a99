"""TFLite files: float and INT8 ones, written and read back."""
