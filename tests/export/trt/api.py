"""TensorRT's Python modules as recorded: a stand-in that has the recorded names and no others.

`tests/data/tensorrt_api` holds every class, attribute and enumerator of the bindings of 10.3.0, 10.16.1, 11.0.0 and
11.4.0 (introspected 2026-11 from their wheels), and of TensorRT for RTX 1.7.1. A name that a version does not have
raises, so that our code runs against each of them although none can be loaded here.
"""

from __future__ import annotations

import enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgeseg.export.trt.modules import INSTALL, RTX, TensorRt
from edgeseg.runtime.engines import installed_package

FOLDER = Path(__file__).resolve().parents[2] / "data" / "tensorrt_api"
NATIVE_VERSIONS = ("t103", "t1016", "t110", "t114")
VERSIONS = (*NATIVE_VERSIONS, "rtx171")

needs_rtx = pytest.mark.skipif(installed_package(RTX) is None, reason=f"no TensorRT for RTX here: {INSTALL}")

# What a call returns: an object of another recorded class by its name, or a value.
CALLS: dict[str, Any] = {
    "Builder.create_network": "INetworkDefinition",
    "Builder.create_builder_config": "IBuilderConfig",
    "Builder.create_optimization_profile": "IOptimizationProfile",
    "Builder.build_serialized_network": b"plan",
    "IBuilderConfig.add_optimization_profile": 0,
    "IBuilderConfig.clear_flag": None,
    "IBuilderConfig.create_timing_cache": "ITimingCache",
    "IBuilderConfig.get_timing_cache": "ITimingCache",
    "IBuilderConfig.set_calibration_profile": True,
    "IBuilderConfig.set_compute_capability": True,
    "IBuilderConfig.set_flag": None,
    "IBuilderConfig.set_memory_pool_limit": None,
    "IBuilderConfig.set_timing_cache": True,
    "IOptimizationProfile.set_shape": None,
    "ITimingCache.serialize": b"timings",
    "OnnxParser.parse": True,
    "OnnxParser.get_error": "ParserError",
    "ParserError.desc": "the reason",
    "ParserError.node": 3,
    "ParserError.node_name": "node_x",
    "ParserError.node_operator": "Odd",
    "Runtime.deserialize_cuda_engine": "ICudaEngine",
    "ICudaEngine.create_engine_inspector": "EngineInspector",
    "EngineInspector.get_engine_information": '{"Layers": []}',
}
VALUES: dict[str, Any] = {"Builder.num_DLA_cores": 2, "INetworkDefinition.num_layers": 7, "OnnxParser.num_errors": 1}


class Recorded:
    """An object of a recorded class; what is called and set is kept in the module's `log`."""

    names: frozenset[str]
    module: Any

    def __init__(self, *args: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        key = f"{type(self).__name__}.{name}"
        return self.module.values[key] if key in self.module.values else lambda *args: self._called(key, args)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self.module.log.append((f"{type(self).__name__}.{name}", value))

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise AttributeError(f"{type(self).__name__} of {self.module.__version__} has no {name}")

    def _called(self, key: str, args: tuple[Any, ...]) -> Any:
        self.module.log.append((key, *args))
        answer = self.module.calls[key]
        return getattr(self.module, answer)() if isinstance(answer, str) and hasattr(self.module, answer) else answer


def recorded(version: str, **answers: Any) -> TensorRt:
    """The stand-in of a version; `answers` replace calls and values, as `Builder__num_DLA_cores=0`."""
    lines = (FOLDER / f"{version}.api").read_text().splitlines()
    module: Any = ModuleType("tensorrt_rtx" if version.startswith("rtx") else "tensorrt")
    module.__version__ = lines[0].removeprefix("version ")
    module.log = []
    changed = {key.replace("__", "."): value for key, value in answers.items()}
    module.calls = CALLS | {key: value for key, value in changed.items() if key in CALLS}
    module.values = VALUES | {key: value for key, value in changed.items() if key in VALUES}
    for line in lines[1:]:
        kind, _, rest = line.partition(" ")
        its, _, members = rest.partition(":")
        if kind == "ENUM":
            pairs = (member.split("=") for member in members.split())
            setattr(module, its, enum.IntEnum(its, [(key, int(value)) for key, value in pairs]))
        elif kind == "CLASS":
            names = frozenset(members.split())
            constants = {key: key for key in names if key.isupper()}
            setattr(module, its, type(its, (Recorded,), {"names": names, "module": module, **constants}))
    return TensorRt(module)
