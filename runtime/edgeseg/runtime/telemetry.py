"""Switching off what an engine would send by itself: the one place for it.

`edgeseg.runtime` runs it when it is imported, and every other folder's `__init__` imports that. Python runs an
`__init__` before any other module of its folder, so no import of an engine comes first, be it ours or one that another
package makes. Processes started from here inherit what stands in the environment.

Looked at: onnxruntime, ai-edge-litert, openvino, torch, lightning, monai, onnx, onnxscript, litert-torch,
ai-edge-quantizer, torch-pruning, tensorboard. Two do something. onnxruntime, from 1.29 on, writes a device id and a
database under the home folder and looks up a host, unless the environment says otherwise before it is loaded (see its
Privacy.md). openvino, when it is imported, has openvino_telemetry write a client id there and send an event; it has no
switch but the file of the user's consent, and does without that package where it cannot be imported.
"""

from __future__ import annotations

import os
import sys

# Variable by what it is set to where the user has not set it.
SWITCHES = {"ORT_DISABLE_TELEMETRY": "1"}

# Modules that send once they are imported, by the file under the home folder that holds the user's own yes or no.
SENDERS = {"openvino_telemetry": "intel/openvino_telemetry"}


def switch_off() -> None:
    """Set every switch that the user has not set, and make what sends without one impossible to import.

    An empty value counts as not set, as it does for the engine.
    """
    for name, value in SWITCHES.items():
        if not os.environ.get(name):
            os.environ[name] = value
    for module, answer in SENDERS.items():
        if not os.path.isfile(os.path.expanduser(f"~/{answer}")):  # noqa: PTH111, PTH113 - a light import
            sys.modules.setdefault(module, None)  # type: ignore[arg-type]
