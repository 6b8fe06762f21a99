"""The raw samples of one subject: blocks within processes, every single one kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STAGES = ("pre", "infer", "post", "total")


@dataclass(frozen=True)
class Block:
    """Back-to-back calls of one subject [ns, exact]. `total` is the sum of the three stages and not stored.

    Where the engine alone was timed, `pre_ns` and `post_ns` are empty, and `total` is `infer`. `end_ns` counts as
    `start_ns` does; `None` in results of before there were meters.
    """

    start_ns: int
    pre_ns: tuple[int, ...]
    infer_ns: tuple[int, ...]
    post_ns: tuple[int, ...]
    end_ns: int | None = None

    def stage_ms(self, stage: str) -> npt.NDArray[np.float64]:
        """Samples of `stage` (one of `STAGES`) in the order they were taken [ms], shape (n,)."""
        if stage == "total":
            stages = [part for part in (self.pre_ns, self.infer_ns, self.post_ns) if part]
            parts = [np.asarray(part, dtype=np.float64) for part in stages]
            return np.asarray(sum(parts) / 1e6)
        return np.asarray(getattr(self, f"{stage}_ns"), dtype=np.float64) / 1e6


@dataclass(frozen=True)
class Look:
    """The machine while a subject is under load: time since the process' origin [ns]; `None` = not told by it.

    `temperature_c` is that of its hottest zone, `frequency_mhz` that of its fastest core, `throttle_events` counts
    since boot, `throttled_flags` are those bits of a Raspberry Pi's firmware that say what it does now.
    """

    t_ns: int
    temperature_c: float | None
    throttle_events: int | None
    throttled_flags: int | None
    frequency_mhz: float | None


@dataclass(frozen=True)
class ProcessRun:
    """What one fresh process measured of one subject.

    Attributes:
        warmup_runs: Untimed calls before the first block.
        warmup_s: How long they took [s].
        warmed_up: Whether the medians came to agree before the cap.
        unsettled: Blocks that began although some thread of the process was still busy.
        mask_sha256: Hash of the mask of the frame: equal in all processes unless an engine is not deterministic.
        blocks: The samples.
        origin_ns: What blocks count from, on the machine's monotonic clock [ns]; `None` in results of before there
            were meters.
        looks: The machine meanwhile, in the scenario `sustained`.
    """

    warmup_runs: int
    warmup_s: float
    warmed_up: bool
    unsettled: int
    mask_sha256: str
    blocks: tuple[Block, ...]
    origin_ns: int | None = None
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True)
class Cold:
    """What a fresh process that loads nothing else sees.

    Attributes:
        load_ms: Opening the model for the first time, importing the engine included [ms].
        init_ms: Opening it again with the engine already imported [ms].
        first_inference_ms: The very first call, pre and post included [ms].
        baseline_mib: Highest resident memory before opening: Python, numpy, cv2 and the frame [MiB].
        init_mib: The same after opening [MiB].
        peak_mib: The same after a few calls [MiB].
        mask_sha256: Hash of the mask of the frame.
        engine: Name and version of the engine that really ran, such as `onnxruntime 1.23.0`.
    """

    load_ms: float
    init_ms: float
    first_inference_ms: float
    baseline_mib: float | None
    init_mib: float | None
    peak_mib: float | None
    mask_sha256: str
    engine: str
