"""The step `student_qat`: the accepted network, trained on while it rounds as the INT8 file of one target.

It leaves what the step `ranges` leaves, the same ranges and the trained tensors, so that every INT8 file is written
from the one or the other. The FP32 files stay the accepted network's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepared import FILE, save_prepared
from edgeseg.compress.int8.stored_ranges import StoredRanges, save_ranges
from edgeseg.compress.qat.net import rounding
from edgeseg.compress.qat.rule import RULES
from edgeseg.export.formats import FORMATS, write_quantised
from edgeseg.export.score_file import score_file
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import QAT
from edgeseg.pipeline.plan.results import Exported
from edgeseg.pipeline.plan.shown import said_of, shown_worse
from edgeseg.pipeline.plan.variants import VariantPlan, shipped_as
from edgeseg.pipeline.recipe.sections.export import QatSection
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.export import failed_parent, int8_origin, stored_ranges
from edgeseg.pipeline.steps.operate import decision_of
from edgeseg.pipeline.steps.training import Budget, carry_out, make_training
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.score.drops import seeds_drop
from edgeseg.runtime.score.image_score import ImageScore


def run_student_qat(context: StepContext) -> dict[str, Any]:
    """Train it, following its own float answer; it is used unless its INT8 file is shown to be worse on val.

    Raises:
        ConfigError: If no layer is computed in integers, or the ranges are another network's.
        TrainingError: If the loss is not finite.
    """
    section, data = context.section("qat", QatSection), open_data(context)
    variant = shipped_as(section.target, "int8")
    exported = context.result(variant.parent, Exported)
    failed = failed_parent(context) or (None if exported.status == "ok" else exported.reason)
    if failed:
        return {"status": "not measured", "reason": failed}
    stored = stored_ranges(context)
    plan = int8_origin(context, variant.parent, stored).plan
    network = rounding(stored.network, plan, RULES[section.target])
    budget = Budget(section.epochs, section.learning_rate)
    best = carry_out(context, make_training(context, data, network, stored.model, budget), "fit")
    trained = dataclasses.replace(stored, network=network.weights_into(stored.network), is_prepared=True)
    save_ranges(context.folder.files, stored.model, stored.ranges)
    save_prepared(context.folder.files / FILE, fold_batch_norm(stored.model), trained.network)
    known = dataclasses.asdict(section) | {
        "val_dice_at_network_size": best.kept["val_dice"],
        "kept_epoch": best.kept["epoch"],
        "history": best.history,
    }
    try:
        before, after = (_scores(context, variant, one) for one in (stored, trained))
    except (ExportError, BackendError) as err:
        return known | {"status": "failed", "reason": str(err)}
    drop = seeds_drop([(before, after)])
    reason = said_of(f"{QAT} in INT8 ({section.target})", "the network as it was", drop, None)
    return known | {"status": "refused" if shown_worse(drop) else "ok", "reason": reason, "dice_drop_vs_ptq": drop}


def _scores(context: StepContext, variant: VariantPlan, stored: StoredRanges) -> list[ImageScore]:
    """Of the INT8 file on val, written and run as the one that ships."""
    path = context.folder.work / f"int8{FORMATS[variant.format].suffix}"
    spec, _ = write_quantised(variant.format, int8_origin(context, variant.parent, stored), path)
    data = open_data(context)
    return score_file(path, dataclasses.replace(spec, decision=decision_of(context)), data, data.split("val"))
