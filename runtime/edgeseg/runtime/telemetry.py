"""Switching off what an engine would send by itself: the one place for it.

`edgeseg.runtime` runs it when it is imported, and every other folder's `__init__` imports that. Python runs an
`__init__` before any other module of its folder, so no import of an engine comes first, be it ours or one that another
package makes. Processes started from here inherit the setting.

Looked at: onnxruntime, ai-edge-litert, torch, lightning, monai, onnx, onnxscript, litert-torch, ai-edge-quantizer,
torch-pruning, tensorboard. Only onnxruntime does anything: from 1.29 on it writes a device id and a database under
the home folder and looks up a host, unless the environment says otherwise before it is loaded (see its Privacy.md).
"""

from __future__ import annotations

import os

# Variable by what it is set to where the user has not set it.
SWITCHES = {"ORT_DISABLE_TELEMETRY": "1"}


def switch_off() -> None:
    """Set every switch that the user has not set. An empty value counts as not set, as it does for the engine."""
    for name, value in SWITCHES.items():
        if not os.environ.get(name):
            os.environ[name] = value
