"""The pruning step: rounds of removing channels, each fine-tuned with distillation."""

from __future__ import annotations

import shutil
from typing import Any

from edgeseg.compress.search.prune import PruneConfig, prune, target_widths
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_STUDENT
from edgeseg.pipeline.plan.results import Choice
from edgeseg.pipeline.recipe.recipe import PruneSection
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.training import Budget, carry_out, look_at_gates, make_training, train_step
from edgeseg.train.checkpoint import DESCRIPTION, load_checkpoint, save_checkpoint


def run_student_pruned(context: StepContext) -> dict[str, Any]:
    """Prune the student that goes on, in rounds; a killed run continues with the round it was in."""
    data, section = open_data(context), context.section("prune", PruneSection)
    chosen = context.result(CHOOSE_STUDENT, Choice)
    assert chosen.teaches is not None, "the choice between students says who teaches"
    original, _ = load_checkpoint(context.folders[chosen.student].files)
    teacher, _ = load_checkpoint(context.folders[chosen.teaches].files)
    config = PruneConfig(section.ratio, section.rounds, section.importance)
    widest = max(model.stride for model in (original, teacher))  # type: ignore[type-var]
    between, last = (Budget(n, section.learning_rate) for n in (section.round_epochs, section.final_epochs))
    model = original
    for done in range(1, config.rounds + 1):
        kept = context.folder.work / f"round_{done}"
        if (kept / DESCRIPTION).is_file():
            model, _ = load_checkpoint(kept)
            continue
        gates = None
        if config.importance == "taylor":
            gates = look_at_gates(context, data, model, teacher, context.setting("gate_batches"))
        trace_px = (2 * int(widest), 2 * int(widest))
        model = prune(model, target_widths(original, config, done), config, trace_px, gates)
        if done == config.rounds:
            break
        context.progress(done / config.rounds / 2, f"round {done}/{config.rounds}")
        module, loaders = make_training(context, data, model, teacher, between)
        best = carry_out(context, module, loaders, teacher, f"fit_{done}")
        save_checkpoint(kept, model, {"round": done, "val_dice": best.best_val_dice})
        shutil.rmtree(context.folder.work / f"fit_{done}", ignore_errors=True)
    result = train_step(context, data, model, teacher, last, part="fit_last")
    return result | {
        "parent": chosen.student,
        "taught_by": chosen.teaches,
        "pruning_ratio": config.ratio,
        "rounds": config.rounds,
    }
