"""Stands for `trtexec` on the board of the tests: prints a recorded log, as the version that it is told to be.

BOARD_TRTEXEC is a version's digits (8201, 100300, 110401); words that this version does not know end it.
"""

# ruff: noqa: T201

import os
import re
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "data" / "tools"
OLD = {"--noDataTransfers", "--useSpinWait", "--useCudaGraph", "--fp16", "--int8"}  # not in 11
NEW = {"--stronglyTyped"}  # not in 8

version, words = os.environ["BOARD_TRTEXEC"], sys.argv[1:]
banner = f"TensorRT.trtexec [TensorRT v{version}] # {' '.join(sys.argv)}"
print(f"&&&& RUNNING {banner}")
if words == ["--help"]:
    print("=== Model Options ===")
    sys.exit()
flags = dict(word.partition("=")[::2] for word in words)
unknown = set(flags) & (OLD if int(version) >= 110000 else NEW if int(version) < 100000 else set())
fault = f"Unknown option: {min(unknown)}" if unknown else ""
if "--onnx" in flags:
    content = Path(flags["--onnx"]).read_bytes()
    fault = fault or ("" if b"pytorch" in content or len(content) > 100 else "Failed to parse onnx file")
    if "--calib" in flags and not Path(flags["--calib"]).is_file():
        fault = "the calibration cache is not there"
if "--loadEngine" in flags and not Path(flags["--loadEngine"]).is_file():
    fault = "Engine could not be created"
if fault:
    print(f"[04/14/2026-01:43:16] [E] {fault}\n&&&& FAILED {banner}")
    sys.exit(1)
if "--saveEngine" in flags:
    Path(flags["--saveEngine"]).write_text(" ".join(words))
else:
    time.sleep(0.2)
    log = (TOOLS / ("trtexec_8.0.1.log" if int(version) < 100000 else "trtexec_10.log")).read_text()
    print("\n".join(line for line in log.splitlines() if not re.match("&&&& ", line)))
print(f"&&&& PASSED {banner}")
