"""Run a TFLite file on stored tensors in this environment's interpreter; needs numpy and that interpreter alone.

python compat_worker.py MODULE XNNPACK(0|1) MODEL.tflite IN.npz OUT.npz
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(module_name: str, xnnpack: str, model: str, given: str, made: str) -> None:
    """Write the output of the file for each tensor (N, H, W, C) of `given`, one of its N at a time."""
    module: Any = importlib.import_module(module_name)
    options = {}
    if xnnpack == "0":
        options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(model_path=model, num_threads=1, **options)
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(one: np.ndarray) -> Any:
        interpreter.set_tensor(entry, one)
        interpreter.invoke()
        return interpreter.get_tensor(end)

    with np.load(given) as file:
        tensors = [file[f"arr_{index}"] for index in range(len(file.files))]
    np.savez(made, *[np.concatenate([run(one[None]) for one in tensor]) for tensor in tensors])


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as err:  # whatever an interpreter raises is its reason
        sys.exit(" ".join(str(err).split()) or type(err).__name__)
