"""Training steps: teacher, student alone, student distilled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.compress.cost import cost
from edgeseg.compress.distill.answering import answering
from edgeseg.compress.distill.asked import AskedTeacher, Asking, ask
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.members import save_member
from edgeseg.compress.distill.stored_views import ViewOrder, stored_views
from edgeseg.compress.distill.unlabelled import read_unlabelled
from edgeseg.compress.search.importance import Gates, find_gates
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.recipe import TrainSection
from edgeseg.pipeline.recipe.sections.distill import DistillSection
from edgeseg.pipeline.recipe.sections.student import StudentSection
from edgeseg.pipeline.recipe.sections.teacher import TeacherSection
from edgeseg.pipeline.steps.architecture import network_ends, seeded_model, student_arch, teacher_arch
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.seeds import train_seeds
from edgeseg.pipeline.steps.start import start_of
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.config import TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.fit import FitResult, fit
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Budget:
    """What one training may spend; a batch size or a seed of its own takes the place of the recipe's `train`."""

    epochs: int
    learning_rate: float
    batch_size: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Training:
    """The pieces of one training, and what teaches in it.

    Attributes:
        module: The network with its loss.
        loaders: The images.
        teacher: The network that is asked, or None.
        asked: What is known of it, where it is more than one network's plain answer.
    """

    module: SegmentationModule
    loaders: SegmentationData
    teacher: SegmentationNet | None
    asked: AskedTeacher | None


def run_teacher(context: StepContext) -> dict[str, Any]:
    """Train the teacher on the supervised loss."""
    data, section = open_data(context), context.section("teacher", TeacherSection)
    channels, outputs = network_ends(context, data)
    arch = teacher_arch(section, channels, outputs)
    budget = Budget(section.epochs, section.learning_rate, section.batch_size)
    return train_members(context, data, lambda seed: seeded_model(context, arch, seed), budget, section.seeds)


def run_student_alone(context: StepContext) -> dict[str, Any]:
    """Train the student without a teacher: the baseline that distillation has to beat."""
    data, section = open_data(context), context.section("student", StudentSection)
    budget = Budget(section.epochs, section.learning_rate)
    return train_seeds(context, section.seeds, lambda one: train_step(one, data, _student(one, data), None, budget))


def run_student_distilled(context: StepContext) -> dict[str, Any]:
    """Train the same student, from the same initial weights, with the teacher's soft answers."""
    data, section = open_data(context), context.section("student", StudentSection)
    file, sha256 = context.section("distill", DistillSection).teacher, context.setting("taught_from")["teacher_sha256"]
    teacher = answering(context.folders["teacher"].files, data, _student(context, data), file, sha256)
    budget = Budget(section.epochs, section.learning_rate)
    return train_seeds(context, section.seeds, lambda one: train_step(one, data, _student(one, data), teacher, budget))


def train_step(
    context: StepContext,
    data: DataSet,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    budget: Budget,
    part: str = "fit",
) -> dict[str, Any]:
    """Train a network inside a step's folder and store it as the step's result.

    Args:
        context: Of the step.
        data: The run's data set.
        model: Trained in place.
        teacher: For distillation, a network or an `Ensemble`, or None.
        budget: What this training may spend.
        part: Name of the resume state, for steps with several trainings.
    """
    training = make_training(context, data, model, teacher, budget)
    best = carry_out(context, training, part)
    size = training.loaders.train_size_px()
    channels, _ = network_ends(context, data)
    figures = cost(model, (1, channels, *size))
    result = {
        "val_dice_at_network_size": best.kept["val_dice"],
        "kept_epoch": best.kept["epoch"],
        "highest_val_dice": best.highest_val_dice,
        "history": best.history,
        "params": figures.params,
        "macs": figures.macs,
        "macs_at": list(size),
        **start_of(context),
    }
    if training.asked is not None:
        result["asked"] = dataclasses.asdict(training.asked)
    meta = {"classes": list(data.classes), "color": data.color, "step": context.step.name, **result}
    save_checkpoint(context.folder.files, model, meta)
    return result


def train_members(
    context: StepContext, data: DataSet, build: Callable[[int], SegmentationNet], budget: Budget, count: int
) -> dict[str, Any]:
    """Train networks of `count` seeds, from the recipe's on; each goes on where it was interrupted.

    The first is the step's own network, scored and timed as such: it is not chosen among the others, so that it is the
    same with and without them.

    Args:
        context: Of the step.
        data: The run's data set.
        build: Makes a network whose initial weights depend on this seed alone.
        budget: What each training may spend.
        count: How many.

    Returns:
        As `train_step` of the first; with several also `members`, one row a seed.
    """
    first = context.section("train", TrainSection).seed
    result = train_step(_member(context, 0, count), data, build(first), None, budget)
    members = [(first, result["val_dice_at_network_size"])]
    for index in range(1, count):
        seed, part = first + index, _member(context, index, count)
        model = build(seed)
        training = make_training(part, data, model, None, dataclasses.replace(budget, seed=seed))
        dice = carry_out(part, training, f"fit_{index}").kept["val_dice"]
        save_member(context.folder.files, index, model, {"seed": seed, "val_dice_at_network_size": dice})
        members.append((seed, dice))
    rows = [{"seed": seed, "val_dice_at_network_size": dice} for seed, dice in members]
    return result | ({"members": rows} if count > 1 else {})


def carry_out(context: StepContext, training: Training, part: str) -> FitResult:
    """Run a training of `make_training` to its end: with stored views where the recipe has them, making way for those
    who measure.
    """
    module, loaders, teacher = training.module, training.loaders, training.teacher
    views = context.section("distill", DistillSection).views if teacher is not None else 0
    with Turns().training() as turns:
        if teacher is not None and views:
            torch.set_num_threads(loaders.config.threads)
            order, where = ViewOrder(views, loaders.config.precision), context.views_folder

            def tell(words: str) -> None:
                context.progress(0.0, words)  # the training's own share begins after it

            # Those of the recipe's own seed where it asks for several trainings: all follow the same answers.
            drawn = loaders.drawn_with(context.settings.get("views_seed", loaders.config.seed))
            loaders.stored = stored_views(where, drawn, teacher, order, tell, turns.next_batch)
        return fit(module, loaders, context.folder.work / part, _progress(context), turns.next_batch)


def make_training(
    context: StepContext,
    data: DataSet,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    budget: Budget,
    workers: int | None = None,
) -> Training:
    """The Lightning pieces of one training; `workers` other than the recipe's where loading must end with it."""
    section, geometry = context.section("train", TrainSection), context.section("geometry", Geometry)
    config = train_config(section if workers is None else dataclasses.replace(section, workers=workers), budget)
    stride = max(model.stride, teacher.stride if teacher is not None else 1)  # type: ignore[type-var]
    loaders = SegmentationData(data, geometry, int(stride), config, section.p_defect)
    asked = None
    if teacher is not None:
        distill = context.section("distill", DistillSection)
        known = context.setting("taught_from").get("unlabelled_sha256")
        loaders.unlabelled = read_unlabelled(data, distill.unlabelled, known, geometry)
    loaders.setup()
    if teacher is not None:
        with Turns().training() as turns:
            how = Asking(distill.calibrate, distill.flips)
            teacher, asked = ask(context.views_folder, loaders, teacher, how, turns.next_batch)
    steps = budget.epochs * loaders.steps_per_epoch()
    return Training(_module(context, model, teacher, config, data, steps), loaders, teacher, asked)


def look_at_gates(
    context: StepContext, data: DataSet, model: SegmentationNet, teacher: SegmentationNet | None, batches: int
) -> Gates:
    """What the importance `taylor` reads of a network, from training batches and the loss it is trained with."""
    training = make_training(context, data, model, teacher, Budget(1, 1e-3), workers=0)
    module = training.module.eval()
    drawn = [batch for _, batch in zip(range(batches), training.loaders.train_dataloader(), strict=False)]

    def loss_of(batch: dict[str, torch.Tensor]) -> Callable[[SegmentationNet], torch.Tensor]:
        turns.next_batch()
        return lambda _: module.compute_loss(batch["image"].float() / 255.0, batch["mask"].long())

    with Turns().training() as turns:
        return find_gates(model, map(loss_of, drawn))


def train_config(section: TrainSection, budget: Budget) -> TrainConfig:
    """The recipe's training section as the training's own configuration."""
    assert section.threads is not None and section.precision is not None, "a recipe is settled before it is run"
    return TrainConfig(
        epochs=budget.epochs,
        batch_size=budget.batch_size or section.batch_size,
        learning_rate=budget.learning_rate,
        weight_decay=section.weight_decay,
        schedule=section.schedule,
        precision=section.precision,
        threads=section.threads,
        samples_per_epoch=section.samples_per_epoch,
        validate_every=section.validate_every,
        patience=section.patience,
        ema=section.ema,
        seed=section.seed if budget.seed is None else budget.seed,
        workers=section.workers,
        devices=section.devices,
        loss=section.loss,
        augment=section.augment,
    )


def _student(context: StepContext, data: DataSet) -> SegmentationNet:
    return seeded_model(context, student_arch(context.section("student", StudentSection), *network_ends(context, data)))


def _module(
    context: StepContext,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    config: TrainConfig,
    data: DataSet,
    steps: int,
) -> SegmentationModule:
    n_classes = len(data.classes)
    if teacher is None:
        module = SegmentationModule(model, config, n_classes, steps)
    else:
        section = context.section("distill", DistillSection)
        read = {field.name: getattr(section, field.name) for field in dataclasses.fields(DistillConfig)}
        distill = DistillConfig(**read)
        module = DistillationModule(model, teacher, config, distill, n_classes=n_classes, total_steps=steps)
        module.unlabelled = section.unlabelled is not None
    module.loss.ignores = data.ignore is not None
    return module


def _member(context: StepContext, index: int, count: int) -> StepContext:
    """The context of one of several trainings of a step: its share of the progress, and which one it is."""
    if count == 1:
        return context

    def progress(share: float, words: str) -> None:
        context.progress((index + share) / count, f"network {index + 1} of {count}, {words}")

    return dataclasses.replace(context, progress=progress)


def _progress(context: StepContext) -> Any:
    def report(epoch: int, epochs: int, figures: dict[str, float]) -> None:
        dice = figures.get("val_dice")
        words = f"epoch {epoch}/{epochs}" + (f", val Dice {dice:.3f}" if dice is not None else "")
        context.progress(epoch / epochs, words)

    return report
