"""What `compress` asks of a target: how long a layer takes there, and what a whole network costs there.

`compress` never measures by itself. Whoever owns engines and clocks (`pipeline.target.local`, later any bench target)
implements `Probe`; the latency table, the search and the budget know nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from edgeseg.compress.graph.kinds import KINDS, Kind
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet

_KEY = re.compile(r"(\w+) (\d+)x\2/(\d+) (\d+)->(\d+) @(\d+)x(\d+)")


@dataclass(frozen=True, order=True)
class Layer:
    """One operation as the engine runs it; batch norm and activation are part of their convolution.

    Attributes:
        kind: `conv` has groups 1, `depthwise` one group per channel; `pool` is max pooling.
        in_channels: Channels read; of a concatenation the sum of its parts.
        out_channels: Channels written.
        kernel: Kernel width [px]; 1 where there is none.
        stride: Input pixels per output pixel. Of `transposed` and `resize` the factor by which the size *grows*.
        height_px: Height of the input; of a concatenation that of one part.
        width_px: Width of the input.
    """

    kind: Kind
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    height_px: int
    width_px: int

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.out_channels, self.kernel, self.stride, self.height_px, self.width_px)
        if self.kind not in KINDS or min(sizes) < 1:
            raise ConfigError(f"no layer: {self}. Kinds are {', '.join(KINDS)}; every size is at least 1.")
        if self.kind not in ("conv", "transposed") and self.in_channels != self.out_channels:
            raise ConfigError(f"a {self.kind} writes as many channels as it reads, found {self}.")

    @property
    def key(self) -> str:
        """One line that names the layer in files, such as `conv 3x3/2 1->32 @256x256`."""
        size = f"{self.kernel}x{self.kernel}/{self.stride}"
        return f"{self.kind} {size} {self.in_channels}->{self.out_channels} @{self.height_px}x{self.width_px}"

    @classmethod
    def from_key(cls, key: str) -> Layer:
        """Read what `key` wrote.

        Raises:
            ConfigError: If it is no such line.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise ConfigError(f"{key!r} names no layer; such as 'conv 3x3/2 1->32 @256x256' is expected.")
        kind, kernel, *sizes = found.groups()
        stride, inputs, outputs, height, width = map(int, sizes)
        return cls(cast(Kind, kind), inputs, outputs, int(kernel), stride, height, width)


@dataclass(frozen=True)
class Measurement:
    """What a whole network costs on a target; a value that could not be measured is None and `reason` says why.

    Attributes:
        total_ms: p50 of the whole pipeline: pre + infer + post.
        infer_ms: p50 of the engine alone.
        energy_mj: Per inference, gross.
        bytes: Size of the file that was measured.
        reason: Why a value is None.
        busy: Share of the CPUs that other programs took meanwhile; None where the target does not tell.
        pace: Time by the clock over the one given here, which is relative to a known network timed in turns: above 1
            where the target ran slower than when that one was first timed. None where nothing was timed beside.
    """

    total_ms: float | None
    infer_ms: float | None
    energy_mj: float | None
    bytes: int | None
    reason: str | None = None
    busy: float | None = None
    pace: float | None = None


class Probe(Protocol):
    """A target: a device with the engine, precision and threads that will be shipped."""

    @property
    def target(self) -> str:
        """Name of the target, such as `x86-ort`."""

    @property
    def identity(self) -> str:
        """Device, engine version, precision and threads: equal identities may share measured layers."""

    @property
    def depthwise_step(self) -> int:
        """The exporter widens depthwise convolutions to a multiple of this for the target; 1 where it does not."""

    def layers_ms(self, layers: Sequence[Layer]) -> list[float]:
        """Measure layers, each inside a network's layout: without the ends a file of its own would have.

        Returns:
            Milliseconds by layer, in the order given.

        Raises:
            MeasureError: If a layer cannot be measured, or the target has disappeared.
        """

    def measure(self, model: SegmentationNet) -> Measurement:
        """Export a network at the precision that ships and time its whole pipeline.

        Args:
            model: Not modified.

        Raises:
            MeasureError: If the target has disappeared. A network that cannot run there is a Measurement with a reason.
        """

    def size(self, model: SegmentationNet) -> int:
        """Bytes of the file that ships; nothing is timed.

        Raises:
            ExportError: If the network cannot be exported.
        """
