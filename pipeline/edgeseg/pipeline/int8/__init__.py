"""`edgeseg doctor int8`: what INT8 costs each layer of a network, why, and the fewest layers to keep in float.

`compress.sensitivity` searches and `compress.int8_causes` explains; here are the two kinds of patient
(`plan_patient`: a run of our chain, `onnx_patient`: anybody's ONNX file), scoring on val,
timing, and the report.
"""
