"""NVIDIA's `trtexec` on a board that has nothing else of what we need, such as a Jetson with JetPack 4."""
