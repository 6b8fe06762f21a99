"""ONNX files that others made: read with the cause named where they cannot be used, and taken apart at their end.

`read` opens and checks a file, `limits` says what the installed engine takes, `ending` finds the scores in front of the
probabilities, class ids or truths that a file returns, `cut` separates and rejoins graphs.
"""
