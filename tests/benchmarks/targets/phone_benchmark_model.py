"""Stands for `benchmark_model` on the phone of the tests: runs the file in LiteRT, prints what the real one prints."""

# ruff: noqa: T201

import os
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
print(f"INFO: STARTING!\nINFO: Graph: [{flags['graph']}]")
if flags.get("use_gpu") == "true":
    print("INFO: Replacing 4 out of 4 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.")
    print("Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.")
if flags.get("use_nnapi") == "true":
    print("Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.")
if "external_delegate_path" in flags:
    os.kill(os.getpid(), 4)  # built for another processor
interpreter = Interpreter(flags["graph"])
interpreter.allocate_tensors()
given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
if "input_layer_value_files" in flags:
    name, file = flags["input_layer_value_files"].replace("::", "\0").split(":")
    assert name.replace("\0", ":") == given["name"] == flags["input_layer"]
    data = np.fromfile(file, given["dtype"])
    interpreter.set_tensor(given["index"], data.reshape([int(side) for side in flags["input_layer_shape"].split(",")]))
interpreter.invoke()
if "output_filepath" in flags:
    scores = interpreter.get_tensor(wanted["index"])
    if os.environ.get("PHONE_IS_WRONG") and flags.get("use_gpu") == "true":
        scores = np.roll(scores, 1, axis=-1)  # each class takes another's scores
    scores.tofile(flags["output_filepath"])
print("Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.")
print("count=1 curr=9000")
runs = max(int(flags.get("num_runs", 50)), round(float(flags.get("min_secs", 1)) / 0.0062))


def draw(microampere):
    """The phone's battery under this load, where its sysfs is replayed."""
    file = Path("/sys/class/power_supply/battery/current_now")
    if file.is_file():
        file.write_text(f"{microampere}\n")


draw(-900_000)
print(f"Running benchmark for at least {runs} iterations and at least 1 seconds but terminate if", flush=True)
time.sleep(runs * 0.0062)
print(f"count={runs} first=7000 curr=6000 min=5900 max=7000 avg=6200 std=90 p5=5950 median=6100 p95=6800", flush=True)
draw(-300_000)
print("Inference timings in us: Init: 92318, First inference: 7000, Warmup (avg): 9000, Inference (avg): 6200")
print("Overall peak memory footprint (MB) via periodic monitoring: 81.3")
