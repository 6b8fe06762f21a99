"""The target `ssh://user@host`: files there, the bench begun, followed over lost links, its result back, all away."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.benchmarks.results.result import BenchResult, Caution
from edgeseg.benchmarks.results.result_file import from_json
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement, job_id
from edgeseg.benchmarks.targets.owner import owner, this_job
from edgeseg.benchmarks.targets.parcel import make_wheel
from edgeseg.benchmarks.targets.ssh.connection import Connection, LinkError, too_old
from edgeseg.benchmarks.targets.ssh.patience import FIRST_S, PATIENCE_S, Patience, waits
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.files.hashes import sha256_file

_OLDEST = (3, 10)
# How often what was sent may be gone before it is used.
_TRIES = 3
# A connection that lasted longer than this was one: trying to connect, and noticing a dead link, take less [s].
_CONNECTED_S = 20.0
_RESTARTS = 3


class SshTarget:
    """A device behind ssh.

    Args:
        address: Which.
        wishes: What it is to measure with.
        patience_s: See `PATIENCE_S`.
    """

    def __init__(self, address: Address, wishes: Wishes = Wishes(), patience_s: float = PATIENCE_S) -> None:  # noqa: B008
        self.address, self.wishes, self._patience = address, wishes, Patience(patience_s)
        self._open = ExitStack()
        self._device = Connection(address)
        self._open.callback(self._device.close)
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")))

    def put(self, files: Iterable[Path]) -> None:
        """Send what is not there yet; a file that a cut left half is sent again."""
        wanted = {sha256_file(path): path for path in files}
        here = self._again("have", {"hashes": list(wanted)})["here"]
        for sha256, path in wanted.items():
            if sha256 not in here:
                self._again("put", {"sha256": sha256, "bytes": path.stat().st_size}, path)

    def run(self, job: Measurement, progress: Progress) -> BenchResult:
        """Measure there; a lost link is taken up again, a device that went down goes on where it stopped."""
        self._check_python()
        files, wheels = job.files(self._folder), self._wheels()
        start = self._order(job, files, wheels)
        with this_job(start["id"]):
            paths = (*files.values(), *wheels.values())
            found = self._bring(start, paths)
            try:
                result = self._followed(start, paths, progress)
            except KeyboardInterrupt:  # nobody waits for it any more; the same command goes on with it
                self._device.call("stop", {"id": start["id"]})
                raise
            hashes = sorted({*start["files"].values(), *start["wheels"].values()})
            self._again("clean", {"id": start["id"], "hashes": hashes, "everything": self.wishes.clean})
        return _found(result) if found else result

    def describe(self) -> dict[str, Any]:
        """What the device says of itself."""
        self._check_python()
        wheel = self.wishes.wheel or make_wheel(self._folder)
        asked = {"wheel": sha256_file(wheel), **self._python()}
        told = self._patience.again(lambda: self._described(wheel, asked))
        return dict(told) | ({"evidence": self.address.evidence} if self.address.evidence else {})

    def _described(self, wheel: Path, asked: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_TRIES):
            self.put([wheel])  # each time: the device throws it away when it has answered, or has tried to
            answer = self._device.call("describe", asked)
            if "missing" not in answer:
                return dict(answer["told"])
        raise MeasureError(f"{self.address.name}: what it is asked by was removed there {_TRIES} times: ask it alone")

    def __enter__(self) -> SshTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection."""
        self._open.close()

    def _python(self) -> dict[str, Any]:
        return {"python": self.address.python, "venv": self.address.venv}

    def _check_python(self) -> None:
        found = self._again("look", self._python(), at_most_s=FIRST_S)
        if tuple(found["python"]) < _OLDEST:
            raise MeasureError(f"{self.address.name}: {too_old('.'.join(map(str, found['python'])))}")

    def _wheels(self) -> dict[str, Path]:
        """Our wheel first, then those of the wheelhouse, by name."""
        own = self.wishes.wheel or make_wheel(self._folder)
        house = self.wishes.wheelhouse
        carried = sorted(house.glob("*.whl")) if house else []
        if house and not carried:
            raise ConfigError(
                f"--offline {house} holds no wheels: fill it with pip download, for the device's platform"
            )
        return {own.name: own, **{path.name: path for path in carried if not path.name.startswith("edgeseg-")}}

    def _order(self, job: Measurement, files: dict[str, Path], wheels: dict[str, Path]) -> dict[str, Any]:
        hashes = {name: sha256_file(path) for name, path in wheels.items()}
        extras = ["", "cv", *(extra for backend in job.backends if (extra := ENGINES[backend].extra))]
        wheel, *carried = hashes.values()
        asked = {"extras": extras, "offline": bool(carried), **self._python()}
        order = {
            "job": job.to_json(),
            "evidence": self.address.evidence,
            "wheel": next(iter(wheels)),
            "environment": job_id({"wheel": wheel, **asked}),
            **asked,
        }
        values = {
            "order": order,
            "files": {name: sha256_file(path) for name, path in files.items()},
            "wheels": hashes,
        }
        name = job_id({"owner": owner(), "to": self.address.name, **values})
        by = {"by": f"a bench of {len(job.subjects)} files", "asker": secrets.token_hex(8)}
        return {"id": name, **by, **self._python(), **values}

    def _bring(self, start: dict[str, Any], paths: tuple[Path, ...]) -> bool:
        """Files there and the job begun, or found at work; whether the result of an earlier command was there."""
        for _ in range(_RESTARTS):
            self.put(paths)
            reply = self._again("start", start)
            if "busy" in reply:
                raise MeasureError(
                    f"{self.address.name} is at another bench ({reply['busy']}): two at once would measure each other. "
                    "Wait for its end"
                )
            if "missing" not in reply:
                return bool(reply["found"])
        raise MeasureError(f"{self.address.name}: files vanish there: does another bench clean up? Try again")

    def _followed(self, start: dict[str, Any], paths: tuple[Path, ...], progress: Progress) -> BenchResult:
        """The result of a job that was begun; where it ended without a word, as in a power cut, it is begun again."""
        offset, done, ended = 0, 0.0, None
        for _ in range(1 + _RESTARTS):
            gone: dict[str, Any] = {}
            for event in self._events(start["id"], offset):
                offset = event["offset"]
                if event["event"] in ("progress", "note"):
                    done = event.get("done", done)
                    progress(done, event.get("what") or event["text"])
                elif event["event"] == "end":
                    ended = event
                else:
                    gone = event
            if ended is not None:
                return self._result(start, ended)
            self._bring(start, paths)
        raise MeasureError(
            f"{self.address.name}: the bench ended {1 + _RESTARTS} times without a result: {gone['said']}"
        )

    def _result(self, start: dict[str, Any], ended: dict[str, Any]) -> BenchResult:
        if not ended["ok"]:
            self._again("clean", {"id": start["id"], "hashes": [], "everything": False})
            raise MeasureError(f"{self.address.name}: {ended['reason']}")
        text = self._again("get", {"id": start["id"]})["result"]
        return from_json(json.loads(text), f"the result of {self.address.name}")

    def _events(self, job: str, offset: int) -> Iterator[dict[str, Any]]:
        """What the job says until it ends, over as many connections as it takes."""
        lost, pauses = 0.0, waits()
        while True:
            began = time.monotonic()
            try:
                for event in self._device.answers("follow", {"id": job, "offset": offset}):
                    if "error" in event:
                        raise MeasureError(f"{self.address.name}: {event['error']}")
                    yield event
                    offset, lost = event["offset"], 0.0
                return
            except LinkError as error:
                # A device that was silent for an hour was not away for an hour: its connection was there.
                if not lost or time.monotonic() - began > _CONNECTED_S:
                    lost, pauses = time.monotonic(), waits()
                self._patience.wait(error, lost, next(pauses))

    def _again(
        self, do: str, values: dict[str, Any], file: Path | None = None, at_most_s: float | None = None
    ) -> dict[str, Any]:
        """A call, repeated over lost links: each of them may be done twice."""
        return self._patience.again(lambda: self._device.call(do, values, file), at_most_s)


def _found(result: BenchResult) -> BenchResult:
    """With the word that nothing was measured now."""
    text = f"it was measured at {result.created} for an earlier command, which never fetched it"
    caution = Caution("found there", None, text, "give the same command again to measure now")
    return result.with_warnings((*result.warnings, caution))
