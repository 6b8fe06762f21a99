"""Memory of one frame: what regions add to it, and what happens where it runs out. In processes of their own."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.out_of_memory import FrameMemory
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

Make = Callable[..., tuple[Path, ModelSpec]]

PEAK = """
import pickle, resource, sys
import cv2, numpy as np
from edgeseg.runtime import Segmenter

path, spec, wanted = pickle.load(sys.stdin.buffer)
frame = np.full((3000, 4000), 20, np.uint8)
for x in range(200, 4000, 400):
    cv2.circle(frame, (x, 1500), 150, 120 if x % 800 == 200 else 220, -1)
with Segmenter.from_file(path, spec, threads=1) as segmenter:
    regions = segmenter(frame, regions=wanted).regions
assert not wanted or {(one.class_id, (one.mean_score or 1) > 0.3) for one in regions} >= {(1, True), (2, True)}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

# Address space is what a process may be denied: one limit after the other, from none to plenty. A thread that first
# touches a library's thread-local data then is ended by glibc, with the process, before anyone could catch it: OpenCV's
# workers may first wake at any time, so there are none, and the main thread has been everywhere before, in OpenCV's
# exceptions too.
DENIED = """
import ctypes, json, pickle, resource, sys
import cv2, numpy as np
from edgeseg.runtime import Segmenter
from edgeseg.runtime.errors import EdgesegError

path, spec, options = pickle.load(sys.stdin.buffer)
unlimited = resource.getrlimit(resource.RLIMIT_AS)
ctypes.CDLL(None).mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD: no plane that was freed stays in the heap as a reserve
cv2.setNumThreads(1)
try:
    cv2.resize(np.zeros((0, 0), np.uint8), (3, 3))
except cv2.error:
    pass
outcomes = []
with Segmenter.from_file(path, spec, threads=1) as segmenter:
    frame = np.random.default_rng(0).integers(0, 256, (30, 40, 1), np.uint8).repeat(40, 0).repeat(40, 1).repeat(3, 2)
    for wanted in (False, True):
        segmenter(frame, regions=wanted)
        segmenter(frame, regions=wanted, probability=True)
    segmenter.batch([frame, frame])
    for step in range(40):
        segmenter._scratch.clear()
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (step << 20), unlimited[1]))
        try:
            segmenter.batch([frame, frame]) if options == "batch" else segmenter(frame, **options)
            outcome = "ok"
        except EdgesegError as err:
            outcome = f"{type(err).__name__}: {err}"
        except BaseException as err:
            outcome = f"not ours: {err!r}"
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
        outcomes.append(outcome)
    regions = segmenter(frame, regions=True).regions
print(json.dumps([outcomes, len(regions)]))
"""


def run(script: str, *values: object) -> object:
    """What a script in a fresh process prints last, as JSON."""
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(values), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "changes",
    [{}, {"dtype": "uint8", "scale": 0.1, "zero_point": 100}, {"kind": "class_ids", "dtype": "uint8"}],
    ids=str,
)
def test_regions_of_a_large_frame_need_little_more_than_its_mask(tiny_onnx: Make, changes: dict) -> None:
    path, spec = tiny_onnx(geometry=Geometry("resize", 128, 128), **changes)
    without, with_regions = run(PEAK, path, spec, False), run(PEAK, path, spec, True)
    assert with_regions < 1.5 * without


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc to know what a process holds")
@pytest.mark.parametrize("options", [{}, {"probability": True}, {"regions": True}, "batch"], ids=str)
def test_memory_that_runs_out_is_an_error_of_the_frame(tiny_onnx: Make, options: object) -> None:
    path, spec = tiny_onnx(geometry=Geometry("resize", 128, 128))
    outcomes, n_regions = run(DENIED, path, spec, options)
    assert "Memory ran out on a frame of 1600x1200 px" in outcomes[0]
    assert {one for one in outcomes if not one.startswith(("ok", "FrameError: ", "BackendError: "))} == set()
    assert n_regions > 10, "and the next frame is served"


def test_opencv_s_words_for_it_are_known() -> None:
    import numpy as np

    with pytest.raises(FrameError, match="5x4 px"), FrameMemory((4, 5)):
        raise cv2.error("std::bad_alloc")
    with pytest.raises(FrameError, match="5x4 px"), FrameMemory((4, 5, 3)):
        raise MemoryError
    # Any other fault is not memory's.
    with pytest.raises(cv2.error), FrameMemory((4, 5)):
        cv2.resize(np.zeros((0, 0), np.uint8), (3, 3))
