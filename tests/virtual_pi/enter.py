"""Run a command in the virtual Pi, as root there.

    python tests/virtual_pi/enter.py [--board pi4|pi5] [--state DIR] [--bind DIR]... -- COMMAND [ARGUMENT]...

Input, output and exit code are the command's own.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from board import BOARDS
from namespace import run
from userland import entered, made

from edgeseg.runtime.errors import EdgesegError


def main() -> int:
    """The command's exit code; 1 with a sentence where there can be no virtual Pi."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--board", choices=sorted(BOARDS), default="pi4", help="the board it believes in (default: pi4)"
    )
    kept = "folder that keeps what is written, for the next command (default: forgotten)"
    parser.add_argument("--state", metavar="DIR", type=Path, help=kept)
    there = "folder that is there too, at the same place"
    parser.add_argument("--bind", metavar="DIR", type=Path, action="append", default=[], help=there)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a userland half made is removed first
    try:
        lines = entered(made(), options.command, BOARDS[options.board], options.bind, options.state)
        return run(lines).returncode
    except EdgesegError as err:
        print(f"error: no virtual Pi here: {err}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
