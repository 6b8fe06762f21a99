"""A teacher that a Python function of the user's own returns: any torch network, asked in float32.

Its module is imported, which runs what is written in it. Only the recipe that a user runs can name one; nothing that a
bundle, a checkpoint or a data set holds is ever imported.
"""

from __future__ import annotations

import hashlib
import importlib
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.compress.distill.given.given_teacher import GivenTeacher
from edgeseg.compress.distill.given.named_function import TeacherFunction, importable_here
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file

# What each module was when this process imported it: Python would not import it again.
_IMPORTED: dict[str, str] = {}


class FunctionTeacher(GivenTeacher):
    """The network that the function returned, in evaluation mode."""

    def __init__(self, function: TeacherFunction, sha256: str | None, n_outputs: int) -> None:
        """Import the module and call the function.

        Args:
            function: Which one.
            sha256: What the module's file was when the run began.
            n_outputs: Logit planes that the student has.

        Raises:
            ConfigError: If the file has changed, importing or calling fails, or what is returned is no network.
        """
        path = function.file()
        super().__init__(f"distill.teacher is {function} ({path})", sha256_file(path), n_outputs)
        self.function, self._file = str(function), str(path)
        if self.sha256 != sha256:
            raise ConfigError(f"{self.where}: the file has changed since this run began; give the command again")
        if _IMPORTED.setdefault(function.module, self.sha256) != self.sha256:
            raise ConfigError(f"{self.where}: this process has imported it as it was before; start a new one")
        # In a list: it keeps the memory format that it was written for, and its names out of ours.
        self._network = [self._made(function).eval().requires_grad_(False)]
        self._weights = _weights_sha256(self._network[0])

    @property
    def arch(self) -> dict[str, Any]:
        """Which function of which file it is from, and what its weights are."""
        return {"name": "function", "function": self.function, "sha256": self.sha256, "weights": self._weights}

    def forward(self, x: Tensor) -> Tensor:
        """Ask it, in float32 whatever the training's precision is.

        Args:
            x: float32 (N, C, H, W) in [0, 1].

        Returns:
            Logits float32 (N, K, h, w), without gradient.

        Raises:
            ConfigError: If it fails on these images, or answers something else than logits of K planes.
        """
        network = self._network[0].to(x.device)
        # Not `contiguous`, which leaves a gray image's strides as they are: a convolution reads its format from them.
        images = x.detach().float().clone(memory_format=torch.contiguous_format)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            answer = self._tried(f"fails on images of shape {tuple(x.shape)}", lambda: network(images))
        if not isinstance(answer, Tensor):
            raise ConfigError(f"{self.where}, which answers {type(answer).__name__}; it must answer a tensor of logits")
        return self.checked(answer, len(x))

    def _made(self, function: TeacherFunction) -> nn.Module:
        with importable_here():
            module = self._tried("cannot be imported", lambda: importlib.import_module(function.module))
            call = getattr(module, function.name, None)
            if not callable(call):
                found = f"is of type {type(call).__name__}" if hasattr(module, function.name) else "is not there"
                raise ConfigError(f"{self.where}, but {function.name} {found}; name a function that returns a network")
            made = self._tried(f"fails in {function.name}()", call)
        if not isinstance(made, nn.Module):
            raise ConfigError(
                f"{self.where}, which returns {type(made).__name__}; it must return a torch.nn.Module that maps images "
                "in [0, 1] to logits"
            )
        return made

    def _tried(self, what: str, run: Callable[[], Any]) -> Any:
        """The result of the user's code.

        Raises:
            ConfigError: With what it raised, and where.
        """
        try:
            return run()
        except (Exception, SystemExit) as err:  # it may raise anything
            lines = [at.lineno for at in traceback.extract_tb(err.__traceback__) if at.filename == self._file]
            at = f", line {lines[-1]}" if lines else ""
            raise ConfigError(f"{self.where}, which {what}{at}: {type(err).__name__}: {condensed(err)}") from err


def _weights_sha256(network: nn.Module) -> str:
    state = hashlib.sha256()
    for name, value in network.state_dict().items():
        if isinstance(value, Tensor):
            state.update(name.encode())
            state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()
