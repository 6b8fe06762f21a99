"""Foreign model files timed by themselves: any inputs and outputs, made-up values, nothing before or after the engine.

`tensors` says what a file is fed, `engines` runs it, `probe` asks a fresh process what a file takes, `files` makes
subjects of paths. What is measured is no pipeline, and results say so.
"""
