"""The teacher as it is asked: all its networks, calibrated on val, beside the mirrored views that training shows too.

What is found out on val is kept in a file, so that all trainings of a run, and those of a search, ask the same teacher.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.compress.distill.ensemble import NO_FLIP, Ensemble, allowed_flips, folded, members_of
from edgeseg.compress.distill.frozen import device, frozen
from edgeseg.compress.distill.given.given_teacher import GivenTeacher
from edgeseg.compress.distill.stored_views import alone
from edgeseg.compress.distill.temperature import fit_temperature
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.runtime.data.dataset import content_hash, split_hash
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.hashes import sha256_json
from edgeseg.train.bilinear import resize_bilinear
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.fit import make_trainer, quiet_lightning
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import SegmentationNet
from edgeseg.train.stopped import stops_told

_VERSION = 1  # goes up when equal keys come to other figures
_SIDES = {(3,): "left-right", (2,): "upside down", (3, 2): "both"}


@dataclass(frozen=True)
class Asking:
    """How a teacher is asked.

    Attributes:
        calibrate: Whether each network's probabilities are fitted to val first.
        flips: Whether it is asked about mirrored views as well.
    """

    calibrate: bool = False
    flips: bool = False


@dataclass(frozen=True)
class AskedTeacher:
    """What a student follows.

    Attributes:
        members: How many networks.
        flips: Sides that are mirrored beside the image itself.
        temperatures: One a network; all 1 where they are not calibrated.
        val_dice: Mean foreground Dice of the common answer, at network size, in [0, 1].
        file_sha256: Of the file that teaches in the place of the row `teacher`, or None.
        function: `module:function` of it, where that file is Python's.
    """

    members: int
    flips: tuple[str, ...]
    temperatures: tuple[float, ...]
    val_dice: float
    file_sha256: str | None = None
    function: str | None = None


def ask(
    root: Path,
    loaders: SegmentationData,
    teacher: SegmentationNet,
    how: Asking,
    before: Callable[[], None] = lambda: None,
) -> tuple[SegmentationNet, AskedTeacher | None]:
    """Put together what is asked.

    Args:
        root: Folder of what is known of teachers, shared by all trainings of a run.
        loaders: Set up, with the training's configuration.
        teacher: A network, or an `Ensemble` of several.
        how: Calibrated, mirrored, or neither.
        before: Called before each pass over val; may wait.

    Returns:
        The network that answers, and what is known of it; the very teacher and None where there is nothing to find out.
    """
    members, flips = members_of(teacher), allowed_flips(loaders.config.augment) if how.flips else (NO_FLIP,)
    given = teacher if isinstance(teacher, GivenTeacher) else None  # it has no row that says how good it is
    if given is None and len(members) == 1 and not how.calibrate and len(flips) == 1:
        return teacher, None
    place = root / _key(loaders, teacher, how)
    place.mkdir(parents=True, exist_ok=True)
    with alone(place / "lock"):
        if not (place / "asked.json").is_file():
            torch.set_num_threads(loaders.config.threads)
            temperatures = tuple(_temperature(loaders, one, before) if how.calibrate else 1.0 for one in members)
            before()
            val_dice = dice_on_val(loaders, Ensemble(members, temperatures, flips))
            sides = tuple(_SIDES[one] for one in flips if one)
            named = (None, None) if given is None else (given.sha256, given.function)
            found = AskedTeacher(len(members), sides, temperatures, val_dice, *named)
            write_json(place / "asked.json", dataclasses.asdict(found))
    known = json.loads((place / "asked.json").read_bytes())
    asked = AskedTeacher(**known | {name: tuple(known[name]) for name in ("flips", "temperatures")})
    return Ensemble(members, asked.temperatures, flips), asked


def dice_on_val(loaders: SegmentationData, network: SegmentationNet) -> float:
    """Mean foreground Dice at network size in [0, 1], by the very code that looks at val while training."""
    quiet_lightning()
    module = SegmentationModule(folded(network), loaders.config, len(loaders.data.classes), 1)
    settings = {"logger": False, "enable_checkpointing": False, "devices": 1, "strategy": "auto"}
    trainer = make_trainer(loaders.config, Path(), [], **settings)
    with stops_told(trainer):
        return float(trainer.validate(module, loaders, verbose=False)[0]["val_dice"])


def _temperature(loaders: SegmentationData, member: SegmentationNet, before: Callable[[], None]) -> float:
    before()
    answer = frozen(member, loaders.config.precision)
    answers: list[tuple[Tensor, Tensor]] = []
    for batch in loaders.val_dataloader():
        logits, size = answer(batch["image"]), (batch["image"].shape[-2], batch["image"].shape[-1])
        if logits.shape[-2:] != size:
            logits = resize_bilinear(logits, size)
        answers.append((logits, batch["mask"].long().to(logits.device)))
    return fit_temperature(answers)


def _key(loaders: SegmentationData, teacher: SegmentationNet, how: Asking) -> str:
    config, data = loaders.config, loaders.data
    parts = {
        "version": _VERSION,
        "how": dataclasses.asdict(how),
        "teacher": fingerprint(teacher),
        "data": [content_hash(data), split_hash(data)],
        "geometry": [dataclasses.asdict(loaders.geometry), loaders.stride_px],
        "flips": allowed_flips(config.augment),
        "sums": [config.precision, config.batch_size, config.threads, device()],
    }
    return sha256_json(parts)[:16]
