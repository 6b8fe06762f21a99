"""What TensorRT reads beside the ONNX file."""
