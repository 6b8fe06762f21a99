"""TensorRT on a device: its module, the GPU, and engines that were built for both."""
