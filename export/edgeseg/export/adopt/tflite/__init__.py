"""Foreign TensorFlow Lite files: read as graphs of ONNX's words, run, and given our pixels."""
