"""A bundle on a Raspberry Pi without a Pi: installed, verified and scored there, its masks held against this machine's.

What is handed over is a copy, signed by a key made for it, which the board holds it against.

    python tests/virtual_pi/check.py BUNDLE --data DIR [--images DIR] [--board pi4|pi5]...

Evidence `emulated`: what is right, never how fast. Ends with 1 where masks of an FP32 file differ in more than one
pixel in 100,000, a file does not run or the signature is not trusted, with 77 and the reason where there can be no
virtual Pi.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from board import BOARDS
from compare import Handed, masks_of, table
from machine import Here, Pi
from namespace import UnavailableError
from userland import made

from edgeseg.export.signing.keys import PUBLIC, generate
from edgeseg.export.signing.sign import sign
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.opening.bundle import Bundle

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINES = {"onnxruntime": "ort", "litert": "litert"}  # and their extras
IMAGES = 20  # of a data set, evenly spaced
LIMIT_S = 15 * 60
SKIPPED = 77  # as test drivers take it


def main() -> int:
    """Print a table for each board."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="data set of the bundle's classes, scored there")
    parser.add_argument("--images", type=Path, help="another data set: masks of some of its images are compared")
    parser.add_argument("--board", choices=sorted(BOARDS), action="append", help="default: each")
    parser.add_argument("--limit-s", type=int, default=LIMIT_S, help="after which it is skipped (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made is removed first
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(options.limit_s)
    try:
        userland = made()
        with tempfile.TemporaryDirectory(prefix="edgeseg-virtual-pi-") as folder:
            faults = _checked(options, userland, Path(folder))
    except UnavailableError as err:
        print(f"skipped: no virtual Pi here: {err}")  # noqa: T201
        return SKIPPED
    except EdgesegError as err:
        faults = [str(err)]
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)  # noqa: T201
    return int(bool(faults))


def _too_late(*_: object) -> None:
    raise UnavailableError("the time allowed for it is over. Give it more, or a machine with less to do: --limit-s")


def _checked(options: argparse.Namespace, userland: Path, folder: Path) -> list[str]:
    """What is wrong on any board."""
    shared, state, here = folder / "shared", folder / "state", Here()
    for place in (shared, state):
        place.mkdir()
    here.run(here.python, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(shared), str(REPOSITORY))
    (wheel,) = shared.glob("*.whl")
    constraints = Path(shutil.copy(REPOSITORY / "constraints.txt", shared))
    handed = _handed(options, shared)
    pis = [Pi(name, userland, shared, state) for name in options.board or sorted(BOARDS)]
    pis[0].install(wheel, ",".join(("cv", "sign", *ENGINES.values())), constraints)
    own, faults = masks_of(here, handed), []
    for pi in pis:
        lines, wrong = table(pi, here, own, handed)
        print("\n".join(lines), flush=True)  # noqa: T201
        faults += wrong
    return faults


def _handed(options: argparse.Namespace, shared: Path) -> Handed:
    """Copies of everything that both machines read."""
    images = shared / "images"
    with Bundle.open(options.bundle) as bundle:
        (images / "golden").mkdir(parents=True)
        for golden in bundle.manifest.golden:
            (images / "golden" / Path(golden.input).name).write_bytes(bundle.read(golden.input))
        variants = [one for one in bundle.manifest.variants if one.spec.backend in ENGINES]
    for kind, data in (("own", options.data), ("other", options.images)):
        if data is not None:
            (images / kind).mkdir()
            samples = sorted(open_dataset(data).split("test"), key=lambda one: one.stem)
            for sample in samples[:: max(1, len(samples) // IMAGES)][:IMAGES]:
                shutil.copy(sample.image, images / kind)
    copy, key = Path(shutil.copy(options.bundle, shared)), shared / "key"
    generate(key)
    sign(copy, key, "release", datetime.now(timezone.utc).date())
    return Handed(
        copy,
        key.with_suffix(PUBLIC),
        Path(shutil.copytree(options.data, shared / "data")),
        images,
        shared / "masks",
        {one.name: one.spec.precision for one in variants},
    )


if __name__ == "__main__":
    sys.exit(main())
