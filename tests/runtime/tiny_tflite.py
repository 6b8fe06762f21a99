"""Writes the tiny model as a .tflite file of 64x64: `python tiny_tflite.py OUT`."""

from __future__ import annotations

import sys

import litert_torch
import torch


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 3, 1)
        self.conv.weight.data = torch.tensor([-0.05, 0.0, 0.05]).view(3, 1, 1, 1)
        self.conv.bias.data = torch.tensor([0.05 * 85, 0.0, -0.05 * 170])

    def forward(self, image):
        planes = image.to(torch.float32).permute(0, 3, 1, 2)
        return self.conv(torch.nn.functional.avg_pool2d(planes, 2)).permute(0, 2, 3, 1)


if __name__ == "__main__":
    litert_torch.convert(Tiny().eval(), (torch.zeros(1, 64, 64, 1, dtype=torch.uint8),)).export(sys.argv[1])
