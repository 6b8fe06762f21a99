"""Teachers that a recipe names in the place of its own: an ONNX file, or a Python function of the user's."""
