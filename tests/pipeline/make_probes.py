"""Writes the probes of `edgeseg doctor` anew: `python tests/pipeline/make_probes.py`.

A probe is a network so small that its answer is known without running it: class 1 where the picture is bright. Each
goes through the same exporters as a real one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.plan import make_plan
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.tflite.export import export_tflite
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.runtime.device.selfcheck import FOLDER, SIZE_PX, probe_frame
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

CLASSES = ("dark", "bright")


class Threshold(nn.Module):
    """Bright or dark, by the mean of 3x3 pixels."""

    stride, output_stride, n_outputs = 2, 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU6()
        self.head = nn.Conv2d(8, 2, 1)
        with torch.no_grad():
            self.mean.weight.fill_(4 / 9)
            self.mean.bias.zero_()
            self.head.weight.copy_(torch.tensor([[-0.5], [0.5]]).repeat(1, 8)[:, :, None, None])
            self.head.bias.copy_(torch.tensor([8.0, -8.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.mean(x)))


def main() -> None:
    model = Threshold().eval()
    folded = fold_batch_norm(model)
    frame, _ = probe_frame()
    plan = make_plan(folded, collect_ranges(folded, [np.repeat(frame[None, :, :, None], 8, axis=0)]))
    its = InputSpec("gray", Geometry("resize", SIZE_PX, SIZE_PX), 2)
    FOLDER.mkdir(exist_ok=True)
    onnx, tflite = FOLDER / "fp32.onnx", FOLDER / "fp32.tflite"
    specs = {"fp32.onnx": export_onnx(model, onnx, its, CLASSES)}
    specs["int8.onnx"] = write_int8_onnx(model, plan, onnx, specs["fp32.onnx"], FOLDER / "int8.onnx")
    specs["fp32.tflite"] = export_tflite(model, tflite, its, CLASSES)
    specs["int8.tflite"] = write_int8_tflite(model, plan, tflite, specs["fp32.tflite"], FOLDER / "int8.tflite")
    write_json(FOLDER / "specs.json", {name: spec.to_json() for name, spec in specs.items()})


if __name__ == "__main__":
    main()
