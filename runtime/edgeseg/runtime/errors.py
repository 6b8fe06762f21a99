"""Every error this project raises on purpose, and the exit code of each.

A message says what failed, the value found (and in which file), and what to do next.
"""

from typing import ClassVar

OK, ERROR, USAGE, GATE = 0, 1, 2, 3  # exit codes of every command, on host and device


class EdgesegError(Exception):
    """The base: whatever a user can put right. A command prints its message and ends with `exit_code`."""

    exit_code: ClassVar[int] = ERROR


class DataError(EdgesegError):
    """A data set, or one file of it, is not what the reader needs."""


class FrameError(EdgesegError):
    """A frame handed to the runtime has a type, shape or size it cannot take."""


class ManifestError(EdgesegError):
    """A manifest or model specification is incomplete, contradictory or from another version."""


class BundleError(EdgesegError):
    """A bundle file is damaged, was changed after packing, or lacks what was asked of it."""


class TrustError(BundleError):
    """A key, a signature or a policy is not what it must be."""


class RefusedError(TrustError):
    """A whole bundle that the policy of this device does not take."""

    exit_code = GATE


class BackendError(EdgesegError):
    """An inference engine is missing, refused the model, or failed while running it."""


class WorkerError(BackendError):
    """An engine in a process of its own crashed, hung or went astray."""


class LateError(WorkerError):
    """A mask was not there by its deadline."""


class ConfigError(EdgesegError):
    """A recipe, option or argument has an unknown key, a wrong type or a contradictory value."""

    exit_code = USAGE


class GateError(EdgesegError):
    """A step broke its budget, so what depends on it must not go on."""

    exit_code = GATE


class TrainingError(EdgesegError):
    """Training cannot continue: a loss that is not finite, or a checkpoint of another architecture."""


class ExportError(EdgesegError):
    """A model could not be written in a format, or the written file does not answer like its source."""


class MeasureError(EdgesegError):
    """A measurement cannot be taken or would not mean what its name says."""
