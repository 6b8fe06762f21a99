"""A teacher that is an ONNX file, of whatever making: asked through ONNX Runtime, and never trained.

It takes float32 (N, C, H, W) in [0, 1], as our networks do, and answers logits at any stride. Nothing of it is executed
but the graph: an ONNX file holds no code.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeseg.compress.distill.given.given_teacher import GivenTeacher
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError


class OnnxTeacher(GivenTeacher):
    """A network behind a session."""

    def __init__(self, path: Path, sha256: str | None, *, channels: int, n_outputs: int) -> None:
        """Open the file.

        Args:
            path: The file, with its weights inside.
            sha256: What it was when the run began.
            channels: Of the images.
            n_outputs: Logit planes that the student has.

        Raises:
            ConfigError: If it has changed, cannot be opened, or takes something else than a batch of such images.
        """
        content = path.read_bytes()
        super().__init__(f"distill.teacher is {path}", hashlib.sha256(content).hexdigest(), n_outputs)
        if self.sha256 != sha256:
            raise ConfigError(f"{self.where}: the file has changed since this run began; give the command again")
        from edgeseg.runtime.backends.ort import open_session, session_options

        try:
            self._session: Any = open_session(content, session_options(torch.get_num_threads()))
        except Exception as err:  # ONNX Runtime's exceptions share no base class
            raise ConfigError(
                f"{self.where}, which ONNX Runtime refuses: {condensed(err)}; name one with its weights inside"
            ) from err
        self._check_ends(channels)

    @property
    def arch(self) -> dict[str, Any]:
        """Which file it is; its weights are in there."""
        return {"name": "onnx", "sha256": self.sha256}

    def forward(self, x: Tensor) -> Tensor:
        """Ask about each image by itself: an answer must not depend on its batch.

        Args:
            x: float32 (N, C, H, W) in [0, 1].

        Returns:
            Logits float32 (N, K, h, w), without gradient.

        Raises:
            ConfigError: If it does not take images of this size, or answers something else than logits of K planes.
        """
        name, pixels = self._session.get_inputs()[0].name, x.detach().float().cpu().contiguous().numpy()
        try:
            answers = [self._session.run(None, {name: pixels[index : index + 1]})[0] for index in range(len(pixels))]
        except Exception as err:  # as above
            size = "x".join(map(str, pixels.shape[1:]))
            raise ConfigError(f"{self.where}, which fails on an image of {size}: {condensed(err)}") from err
        return self.checked(torch.from_numpy(np.concatenate(answers)), len(pixels)).to(x.device)

    def _check_ends(self, channels: int) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConfigError(
                f"{self.where}, which has {len(inputs)} inputs and {len(outputs)} outputs; keep image and logits"
            )
        shape, kind = list(inputs[0].shape), inputs[0].type
        fixed = [
            size for size, wanted in zip(shape, (1, channels), strict=False) if isinstance(size, int) and size != wanted
        ]
        if kind != "tensor(float)" or len(shape) != 4 or fixed:
            raise ConfigError(
                f"{self.where}, which takes {kind} {shape}; it must take float32 (1, {channels}, height, width)"
            )
