"""Scoring steps: an exported file through the Segmenter, over one split, with the masks kept."""

from __future__ import annotations

from edgeseg.export.score_file import score_file
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.results import Exported, Scored
from edgeseg.pipeline.plan.seed_folders import seed_folder, seed_folders
from edgeseg.pipeline.steps.data import open_data
from edgeseg.runtime.data.dataset import Sample
from edgeseg.runtime.files.png import UInt8, encode_mask
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.metrics import summarize


def run_score(context: StepContext) -> Scored:
    """Score the file of step `settings.file` on split `settings.split`, and those of its other trainings beside it."""
    file, split = context.setting("file"), context.setting("split")
    exported = context.result(file, Exported)
    if exported.status != "ok":
        return Scored("not measured", exported.reason, None)
    data = open_data(context)
    samples = data.split(split)
    files = context.folders[file].files
    masks = context.folder.files / "masks"
    masks.mkdir()

    def keep(sample: Sample, mask: UInt8) -> None:
        (masks / f"{sample.stem}.png").write_bytes(encode_mask(mask))

    def report(done: int, total: int) -> None:
        context.progress(done / total, f"{file} on {split}, image {done}/{total}")

    scores = score_file(model_in(files), read_spec(files), data, samples, keep, report)
    save_scores(context.folder.files / "scores.json", scores)
    by_seed = []
    for seed, one in seed_folders(files).items():
        of_seed = score_file(model_in(one), read_spec(one), data, samples, progress=report)
        folder = seed_folder(context.folder.files, seed)
        folder.mkdir()
        save_scores(folder / "scores.json", of_seed)
        by_seed.append({"seed": seed, "dice_mean": summarize(of_seed, data.classes)["dice_mean"]})
    return Scored("ok", None, summarize(scores, data.classes), tuple(by_seed))
