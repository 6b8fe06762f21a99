"""`edgeseg doctor int8`: what INT8 costs each layer of a network, why, and the fewest layers to keep in float.

`compress.int8.sensitivity` searches and `compress.int8.causes` explains; here are the two kinds of network
(`plan_patient`: a run of our chain, `onnx_patient`: anybody's ONNX file), scoring on val,
timing, and the report.
"""
