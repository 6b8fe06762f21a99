"""checkpoint + plan -> ONNX and TFLite files, packed into a bundle."""
