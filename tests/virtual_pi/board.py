"""Boards as programs see them: the processor that qemu stands for and what the kernel says of it."""

from __future__ import annotations

from dataclasses import dataclass

_CORES = 4


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        title: Of the board.
        cpu: Its processor, as QEMU_CPU names it.
        part: Of the processor, as in /proc/cpuinfo.
        variant: As there.
        features: As there.
    """

    title: str
    cpu: str
    part: str
    variant: str
    features: str


BOARDS = {
    "pi4": Board("Raspberry Pi 4", "cortex-a72", "0xd08", "0x0", "fp asimd evtstrm crc32 cpuid"),
    "pi5": Board(
        "Raspberry Pi 5",
        "cortex-a76",
        "0xd0b",
        "0x4",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


def files(board: Board) -> dict[str, str]:
    """What engines read of a processor, by its place: without these XNNPACK is left out, with the host's it crashes."""
    core = (
        "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: "
        f"{board.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {board.variant}\n"
        f"CPU part\t: {board.part}\nCPU revision\t: 3\n\n"
    )
    cores = f"0-{_CORES - 1}\n"
    folder = "/sys/devices/system/cpu"
    return {
        "/proc/cpuinfo": "".join(core.format(number) for number in range(_CORES)) + f"Model\t\t: {board.title}\n",
        **{f"{folder}/{name}": cores for name in ("possible", "present", "online")},
    }
