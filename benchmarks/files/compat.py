"""Every TFLite file of a bundle in every interpreter that devices have: does it load, and are its masks the same?

    python benchmarks/files/compat.py BUNDLE [--data DIR] [--envs build/compat]

`ai-edge-litert` of this environment with XNNPACK and without, `tflite-runtime` and TensorFlow's interpreter in
environments of their own, which are made once and kept by their versions. Masks are compared with the expected ones of
the golden frames, and with those of the first interpreter on real images.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.runtime.data.dataset import open_dataset, read_image
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import in_dtype, prepare
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import ModelSpec, Variant

WORKER = Path(__file__).with_name("compat_worker.py")
IMAGES = 20  # real ones, evenly spaced over the test split
OLDEST, NEWEST = (3, 9), (3, 11)  # Pythons that tflite-runtime has wheels for


@dataclass(frozen=True)
class Runtime:
    """An interpreter.

    Attributes:
        title: In the table.
        module: That holds `Interpreter`.
        packages: To install, pinned; none for what is in this environment.
        xnnpack: Whether its delegate is left in.
    """

    title: str
    module: str
    packages: tuple[str, ...] = ()
    xnnpack: bool = True


RUNTIMES = (
    Runtime("ai-edge-litert, XNNPACK", "ai_edge_litert.interpreter"),
    Runtime("ai-edge-litert, built-in kernels", "ai_edge_litert.interpreter", xnnpack=False),
    Runtime("tflite-runtime 2.14", "tflite_runtime.interpreter", ("tflite-runtime==2.14.0", "numpy<2")),
    Runtime("tensorflow 2.21", "tensorflow.lite.python.interpreter", ("tensorflow==2.21.0",)),
)


@dataclass(frozen=True)
class Frames:
    """What every file is run on.

    Attributes:
        images: uint8 (H, W) or (H, W, 3).
        n_golden: How many of them, from the first on, have an expected mask in the bundle.
    """

    images: tuple[np.ndarray, ...]
    n_golden: int


def main() -> int:
    """Print the table; 1 if an interpreter could not be had."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, help="folder of a data set whose test images are compared, too")
    parser.add_argument("--envs", type=Path, default=Path("build/compat"), help="where environments are kept")
    args = parser.parse_args()
    try:
        pythons = {one.title: python_of(one, args.envs) for one in RUNTIMES}
        print("\n".join(table(args.bundle, args.data, pythons)))  # noqa: T201
    except EdgesegError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def python_of(runtime: Runtime, envs: Path) -> Path:
    """The interpreter of a runtime's environment, made if it is not there.

    Raises:
        EdgesegError: If there is no Python for it, or its packages cannot be installed.
    """
    if not runtime.packages:
        return Path(sys.executable)
    folder = envs.absolute() / runtime.packages[0].replace("==", "-")
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.is_file():
        return python
    print(f"installing {', '.join(runtime.packages)} into {folder}", file=sys.stderr)  # noqa: T201
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    for command in ([base_python(), "-m", "venv", str(folder)], [*install, *runtime.packages]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise EdgesegError(f"{runtime.title}: `{' '.join(command)}` failed: {last}")
    ready.touch()
    return python


def base_python() -> str:
    """A Python that all these packages have wheels for: this one, or another of the machine.

    Raises:
        EdgesegError: If there is none, with what to install.
    """
    names = [sys.executable, *(f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1))]
    for name in names:
        try:
            said = subprocess.run(  # noqa: S603
                [name, "-c", "import ensurepip, sys; print(*sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            continue
        version = tuple(int(part) for part in said.stdout.split()) if said.returncode == 0 else (0, 0)
        if OLDEST <= version <= NEWEST:
            return name
    raise EdgesegError(
        f"no Python from {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))} with ensurepip was found, and "
        "tflite-runtime has no wheel for a newer one. Install one, such as python3.11 and python3.11-venv"
    )


def table(bundle: Path, data: Path | None, pythons: dict[str, Path]) -> list[str]:
    """Lines of a Markdown table, a row a file and a column an interpreter.

    Raises:
        EdgesegError: If the bundle has no TFLite file, or it or the data cannot be read.
    """
    with Bundle.open(bundle) as opened:
        variants = [one for one in opened.manifest.variants if one.spec.backend == "litert"]
        if not variants:
            raise EdgesegError(
                f"{bundle} holds no TFLite file; its variants are {', '.join(one.name for one in opened.variants)}"
            )
        frames = frames_of(opened, data)
        lines = [
            f"| Variant | {' | '.join(one.title for one in RUNTIMES)} |",
            f"|---|{'---|' * len(RUNTIMES)}",
        ]
        for variant in variants:
            lines.append(f"| `{variant.name}` | {' | '.join(_row(opened, variant, frames, pythons))} |")
    return lines


def frames_of(bundle: Bundle, data: Path | None) -> Frames:
    """The golden frames, and test images of a data set."""
    golden = tuple(decode_png(bundle.read(one.input), one.input) for one in bundle.manifest.golden)
    if data is None:
        return Frames(golden, len(golden))
    spec = bundle.manifest.input
    samples = sorted(open_dataset(data).split("test"), key=lambda one: one.stem)
    chosen = samples[:: max(1, len(samples) // IMAGES)][:IMAGES]
    return Frames((*golden, *(read_image(one.image, spec.color, spec.window) for one in chosen)), len(golden))


def _row(bundle: Bundle, variant: Variant, frames: Frames, pythons: dict[str, Path]) -> list[str]:
    """What each interpreter makes of a file."""
    expected = [
        decode_png(bundle.read(mask.mask), mask.mask)
        for one in bundle.manifest.golden
        for mask in one.expected
        if mask.variant == variant.name
    ]
    cells, first = [], None
    for runtime in RUNTIMES:
        masks = masks_of(bundle.read(variant.file), variant.spec, frames.images, runtime, pythons[runtime.title])
        if isinstance(masks, str):
            cells.append(f"refused: {masks}")
            continue
        first = masks if first is None else first
        text = f"golden {differing(masks[: frames.n_golden], expected)}"
        if len(masks) > frames.n_golden:
            text += f", images {differing(masks[frames.n_golden :], first[frames.n_golden :])}"
        cells.append(text)
    return cells


def differing(masks: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> str:
    """Share of pixels that differ, as text."""
    pairs = list(zip(masks, others, strict=True))
    share = sum(int((a != b).sum()) for a, b in pairs) / sum(a.size for a, _ in pairs)
    return "equal" if share == 0 else f"{share:.3%} differ"


def masks_of(
    content: bytes, spec: ModelSpec, images: Sequence[np.ndarray], runtime: Runtime, python: Path
) -> list[np.ndarray] | str:
    """Masks of every image, prepared and finished by our runtime; or why the interpreter refused the file."""
    prepared = [prepare(image, spec.input) for image in images]
    tensors = [in_dtype(one.tensor, spec.input_dtype) for one in prepared]
    with tempfile.TemporaryDirectory(prefix="edgeseg-compat-") as folder:
        model, given, made = (Path(folder) / name for name in ("model.tflite", "in.npz", "out.npz"))
        model.write_bytes(content)
        np.savez(given, *tensors)
        command = [str(python), str(WORKER), runtime.module, str(int(runtime.xnnpack)), *map(str, (model, given, made))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            return (done.stderr.strip() or f"ended by signal {-done.returncode}").splitlines()[-1][:200]
        with np.load(made) as file:
            return [to_mask(file[f"arr_{index}"], spec, one) for index, one in enumerate(prepared)]


if __name__ == "__main__":
    sys.exit(main())
