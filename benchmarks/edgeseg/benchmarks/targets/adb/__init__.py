"""An Android phone behind `adb`: LiteRT's `benchmark_model` measures there."""
