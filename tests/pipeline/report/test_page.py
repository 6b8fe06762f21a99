import base64
import copy
import dataclasses
import errno
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.pipeline.report.crop import WHOLE_PX, choose_window
from edgeseg.pipeline.report.drawing import FALSE, MISSED, SHOWN_PX, draw_errors, draw_frame
from edgeseg.pipeline.report.fields import moment, points, short
from edgeseg.pipeline.report.image_rank import Faults
from edgeseg.pipeline.report.page import Panel, render_report
from edgeseg.pipeline.report.tables import decisions_table, steps_table
from edgeseg.pipeline.report.verdict import read_verdict
from edgeseg.runtime.errors import DataError, EdgesegError

from ..fake_report import drawn_panels, drop, fake_report, latency, real_panels

SECTIONS = 11


class Page(HTMLParser):
    """Text, tags and pictures of a page; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.headings, self.images, self.links, self.open = "", [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "img":
            self.images.append(found["src"])
        self.links += [found[key] for key in ("href", "src") if key in found]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def render(report, tmp_path: Path, panels=(), **options) -> Page:
    path = tmp_path / "report.html"
    render_report(report, panels, path, **options)
    return Page(path.read_text(encoding="utf-8"))


def changed(**values):
    return fake_report() | values


def certain(**values):
    """A report whose verdict is green."""
    report = with_row("onnx_int8", dice_drop_vs_teacher={split: drop(0.0, 0.01) for split in ("val", "test")})
    return report | values


def with_row(name, **values):
    report = fake_report()
    for row in report["steps"]:
        if row["name"] == name:
            row.update(values)
    return report


# What `plan.rows` leaves null where a step failed or was not measured.
NULLABLE = (
    *("reason", "engine", "precision", "params", "macs", "bytes", "sha256", "parity", "dice_drop_vs_teacher"),
    *("dice_drop_vs_parent", "agreement_vs_parent", "skill", "latency_ms", "peak_memory_mib", "load_ms"),
    *("first_inference_ms", "speedup_vs_reference", "speedup_vs_parent"),
)


class TestPage:
    def test_whole_report_has_all_sections_and_rows(self, tmp_path):
        page = render(fake_report(), tmp_path, drawn_panels())
        assert len(page.headings) == SECTIONS
        assert all(row["name"] in page.text for row in fake_report()["steps"])
        assert "val Dice fell 4.7 points below tflite_fp32; max_dice_drop allows 1.5" in page.text
        assert "speed-up 17.0 (15.9 to 17.9) is below min_speedup 20" in page.text
        assert "edgeseg run recipes/ultrasound.yaml" in page.text
        assert "gates.max_total_dice_drop = 0.02" in page.text

    def test_one_file_that_fetches_nothing(self, tmp_path):
        page = render(fake_report(), tmp_path, drawn_panels())
        assert page.links
        assert all(link.startswith("data:image/") for link in page.links)

    def test_same_input_same_file(self, tmp_path):
        files = [tmp_path / "a.html", tmp_path / "b.html"]
        for file in files:
            render_report(fake_report(), drawn_panels(), file)
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_text_from_outside_is_escaped(self, tmp_path):
        evil = "<script>alert(1)</script>"
        report = with_row("tflite_int8", reason=evil, engine=evil)
        report["shipped"]["reason"] = report["data"]["licence"] = report["machine"]["cpu"] = evil
        report["pretrained"][0]["licence"] = evil
        render(report, tmp_path)
        assert "<script" not in (tmp_path / "report.html").read_text()

    def test_what_trainings_started_from_is_told_with_its_licence(self, tmp_path):
        text = render(fake_report(), tmp_path).text
        assert "weights that the student started from" in text
        assert f"lite0, licence Apache-2.0, learnt from ImageNet, a registry, SHA-256 {'12' * 32}" in text
        report = fake_report()
        del report["pretrained"]  # of before there were any
        assert "started from" not in render(report, tmp_path).text

    def test_a_full_disk_leaves_the_old_report(self, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("old")

        def full(self, data):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(EdgesegError, match="No space left"):
            render_report(fake_report(), [], path)
        assert path.read_text() == "old"


WARNING = {"kind": "still_rising", "step": "teacher", "message": "still <rising>", "remedy": "raise teacher.epochs"}
NOTHING = {"kind": "no_skill", "step": "student_pruned", "message": "it has learned nothing", "remedy": "more epochs"}


class TestWarnings:
    @pytest.mark.parametrize(
        ("warnings", "tone", "head"),
        [
            ([WARNING], "warn", "One warning: what follows is less sure than it looks."),
            ([WARNING, WARNING | {"step": "student_alone"}], "warn", "2 warnings: what follows"),
            ([NOTHING, WARNING], "bad", "Do not use this as it is: something here has learned nothing."),
        ],
    )
    def test_they_stand_above_the_verdict_which_is_not_green(self, tmp_path, warnings, tone, head):
        page = render(changed(warnings=warnings), tmp_path)
        source = (tmp_path / "report.html").read_text()
        assert re.findall(r'<section class="verdict (\w+)">', source) == [tone, tone]
        assert 0 < page.text.index(head) < page.text.index("teacher: still <rising>. Raise teacher.epochs.")
        assert page.text.index("Raise teacher.epochs.") < page.text.index(read_verdict(fake_report()).sentence)

    @pytest.mark.parametrize("warnings", [None, [], "text", [3], [{}], [{"message": None}]])
    def test_without_any_there_is_no_box(self, tmp_path, warnings):
        render(changed(warnings=warnings), tmp_path)
        assert (tmp_path / "report.html").read_text().count('<section class="verdict') == 1

    def test_a_green_verdict_turns_yellow_and_a_yellow_one_red(self):
        assert [read_verdict(certain(warnings=found)).tone for found in ([], [WARNING], [NOTHING])] == [
            "good",
            "warn",
            "bad",
        ]


class TestMissingValues:
    @pytest.mark.parametrize("key", NULLABLE)
    def test_what_a_row_does_not_have_is_null(self, tmp_path, key):
        report = fake_report()
        for row in report["steps"]:
            row[key] = None
        assert len(render(report, tmp_path).headings) == SECTIONS

    @pytest.mark.parametrize("key", ["ignore", "ignored_share", "licence", "pixel_mm"])
    def test_what_the_data_do_not_say_is_null(self, tmp_path, key):
        report = fake_report()
        report["data"][key] = None
        assert len(render(report, tmp_path).headings) == SECTIONS

    def test_without_a_commit_a_command_or_a_processor_s_name(self, tmp_path):
        report = changed(git_commit=None, command="", operating_point=None)
        report["machine"]["cpu_model"] = None
        page = render(report, tmp_path)
        assert len(page.headings) == SECTIONS and "# made by a call from Python" in page.text

    def test_a_dash_says_why(self, tmp_path):
        report = with_row("tflite_int8", latency_ms=None, reason="LiteRT refused the file")
        assert "– for latency: tflite_int8 (LiteRT refused the file)" in render(report, tmp_path).text

    def test_without_test_scores_val_is_shown_and_said(self, tmp_path):
        report = fake_report()
        for row in report["steps"]:
            row["accuracy"]["test"] = None
            if row["dice_drop_vs_teacher"]:
                row["dice_drop_vs_teacher"]["test"] = None
        page = render(report, tmp_path)
        assert "val Dice 0.7 points lower" in page.text
        assert "Test was not scored" in page.text
        assert "test was scored once" not in page.text


class TestQuantization:
    def test_what_was_done_and_on_which_images(self, tmp_path):
        text = " ".join(render(fake_report(), tmp_path).text.split())
        assert "Ranges by percentile, of the plain network." in text
        assert "Calibrated on 64 of 171 training images (nerve 60, vessel 40, no foreground 2)." in text
        assert "training, calibration" in text

    def test_images_of_a_folder_and_an_equalized_network(self, tmp_path):
        own = {"source": "folder", "images": ["a"] * 20, "of": 40, "images_by_class": None, "network": "equalized"}
        own |= {"equalization": {"channels_scaled": 300, "channels_in_pairs": 640}}
        text = render(changed(quantization=fake_report()["quantization"] | own), tmp_path).text
        assert "of the equalized network (300 of 640 channels between convolutions scaled)." in text
        assert "Calibrated on 20 of 40 images of the folder quantize.folder, without masks." in text
        assert "training, calibration" not in text

    def test_what_training_for_int8_has_come_to(self, tmp_path):
        reason = "student_qat in INT8 (x86-ort) is 0.3 points above the network as it was on val"
        page = render(changed(qat={"status": "ok", "reason": reason}), tmp_path)
        assert f"Trained for INT8: {reason}." in " ".join(page.text.split())
        assert "Trained for INT8" not in render(changed(qat=None), tmp_path).text


class TestVerdict:
    def test_ships_but_not_shown(self):
        found = read_verdict(fake_report())
        assert found.sentence == (
            "onnx-int8-x86 ships for x86-ort: 34.2 times faster than the reference (95 % interval 32.1 to 35.9), 48.7 "
            "times smaller, test Dice 0.7 points lower (95 % interval −1.5 to +2.9, not shown to be within the budget "
            "of 2.0 points)."
        )
        assert found.tone == "warn"
        assert "3.29 ms instead of the reference's 112 ms in the same engine" in found.detail
        assert "File: 0.640 MB, the reference's 31.1 MB." in found.detail
        assert "a plain U-Net in FP32 (base 32, depth 5, 7.76 M parameters)" in found.detail
        assert "Its weights are random: it is never trained and has no Dice." in found.detail
        assert "37 test images in 37 groups" in found.detail

    @pytest.mark.parametrize(
        ("difference", "words", "tone"),
        [
            (
                drop(0.004, 0.01),
                "0.4 points lower (95 % interval −0.6 to +1.4, within the budget of 2.0 points)",
                "good",
            ),
            (
                drop(-0.004, 0.01),
                "0.4 points higher (95 % interval −0.6 to +1.4, within the budget of 2.0 points)",
                "good",
            ),
            (drop(0.05, 0.01), "5.0 points lower (95 % interval +4.0 to +6.0, beyond the budget of 2.0 points)", "bad"),
            (drop(0.0002, 0.01), "the same to 0.1 point (95 % interval −1.0 to +1.0 lower, within", "good"),
            (drop(0.01, 0.01) | {"lo95": None, "hi95": None}, "from a single group of images", "warn"),
            (None, "its Dice against the teacher's is not measured", "warn"),
        ],
    )
    def test_dice(self, difference, words, tone):
        found = read_verdict(with_row("onnx_int8", dice_drop_vs_teacher={"val": None, "test": difference}))
        assert words in found.sentence
        assert found.tone == tone

    @pytest.mark.parametrize(
        ("speedup", "words", "tone"),
        [
            (
                {"ratio": 2.5, "lo95": 2.0, "hi95": 3.0},
                "2.50 times faster than the reference (95 % interval 2.00 to 3.00)",
                0,
            ),
            ({"ratio": 1.02, "lo95": 0.9, "hi95": 1.1}, "not shown to be faster than the reference (ratio 1.02", 1),
            (
                {"ratio": 0.5, "lo95": 0.4, "hi95": 0.8},
                "2.00 times slower than the reference (95 % interval 1.25 to 2.50)",
                2,
            ),
            ({"ratio": 2.5, "lo95": None, "hi95": None}, "2.50 times the reference's speed (a single process", 1),
            (None, "its speed against the reference is not measured", 1),
        ],
    )
    def test_speed(self, speedup, words, tone):
        within = {"val": None, "test": drop(0.004, 0.01)}
        found = read_verdict(with_row("onnx_int8", speedup_vs_reference=speedup, dice_drop_vs_teacher=within))
        assert words in found.sentence
        assert found.tone == ("good", "warn", "bad")[tone]

    @pytest.mark.parametrize(
        ("budget", "difference", "words", "tone"),
        [
            (0.02, drop(0.06, 0.02), "94 % of test regions found, the teacher 96 % (95 % interval of the loss", "bad"),
            (0.02, drop(0.0, 0.01), "within the budget of 2.0 points)", "good"),
            (None, drop(0.0, 0.01) | {"verdict": None}, "the recipe sets no budget)", "warn"),
            (0.02, drop(0.0, 0.01) | {"lo95": None, "hi95": None}, "(without an interval)", "warn"),
        ],
    )
    def test_regions_are_told_where_the_recipe_is_about_them(self, budget, difference, words, tone):
        same = {"val": None, "test": drop(0.0, 0.01)}
        lost = {"val": None, "test": difference | {"budget": budget}}
        report = with_row("onnx_int8", dice_drop_vs_teacher=same, region_recall_drop_vs_teacher=lost)
        for row, recall in (("onnx_int8", 0.94), ("teacher", 0.96)):
            (one,) = (step for step in report["steps"] if step["name"] == row)
            one["accuracy"]["test"]["region_recall"] = recall
        assert "regions found" not in read_verdict(report).sentence
        settings = report["recipe"]["settings"]
        settings["gates"] |= {"max_region_recall_drop": budget}
        settings["decision"] = {"objective": "region_recall"}
        found = read_verdict(report)
        assert words in found.sentence
        assert found.tone == tone

    def test_regions_that_no_one_could_count_are_told_where_they_have_a_budget(self):
        report = certain()
        report["recipe"]["settings"]["gates"] |= {"max_region_recall_drop": 0.02}
        lost = "regions lost vs teacher"
        assert lost in decisions_table(report) and lost not in decisions_table(certain())
        assert "% of test regions found" in read_verdict(report).sentence
        for row in report["steps"]:
            if row["accuracy"]["test"]:
                row["accuracy"]["test"]["region_recall"] = row["accuracy"]["val"]["region_recall"] = None
        found = read_verdict(report)
        assert "regions found are not measured" in found.sentence and found.tone == "warn"

    def test_a_larger_file_is_said(self):
        assert "2.00 times larger" in read_verdict(with_row("onnx_int8", bytes=62_280_000)).sentence

    def test_times_of_one_engine_are_set_side_by_side_and_no_others(self):
        ships = fake_report()["shipped"] | {"step": "tflite_fp32", "variant": "tflite-fp32"}
        report = changed(shipped=ships)
        assert "6.60 ms instead of the reference's 90.5 ms in the same engine" in read_verdict(report).detail
        others = [row for row in report["steps"] if row["name"] != "reference_tflite"]
        assert "instead of" not in read_verdict(report | {"steps": others}).detail

    def test_nothing_ships(self):
        found = read_verdict(
            changed(shipped={"step": None, "reason": "every variant fell below max_total_dice_drop on val"})
        )
        assert found.sentence == "Nothing ships: every variant fell below max_total_dice_drop on val."
        assert found.tone == "bad"
        assert "2 of 10 rows were refused" in found.detail


class TestImages:
    def test_four_pictures_a_panel_of_at_most_320_px(self, tmp_path):
        page = render(fake_report(), tmp_path, drawn_panels(8))
        assert len(page.images) == 32
        for image in page.images:
            pixels = np.frombuffer(base64.b64decode(image.split(",")[1]), np.uint8)
            assert max(cv2.imdecode(pixels, cv2.IMREAD_COLOR).shape) <= SHOWN_PX

    def test_the_worst_come_first(self, tmp_path):
        panels = drawn_panels(8)
        render(fake_report(), tmp_path, panels[::-1])
        titles = re.findall(r"<h4>(.*?)</h4>", (tmp_path / "report.html").read_text())
        assert ["worst" in title for title in titles] == [True] * 4 + [False] * 4
        order = sorted(panels[:4], key=lambda panel: panel.faults, reverse=True)
        assert [title.split(",")[0] for title in titles[:4]] == [panel.stem for panel in order]

    def test_the_rule_and_the_faults_are_on_the_page(self, tmp_path):
        panel = dataclasses.replace(drawn_panels(1)[0], faults=Faults(1, 2, 340), dice=0.5)
        text = " ".join(render(fake_report(), tmp_path, [panel]).text.split())
        assert "the 1 worst first: those with most missed regions, of these those with most false ones" in text
        assert "In the last mask 1 missed region, 2 false regions, 340 wrong pixels, Dice 0.50." in text

    def test_a_good_part_has_no_dice(self, tmp_path):
        panel = dataclasses.replace(drawn_panels(1)[0], faults=Faults(0, 1, 3), dice=None)
        assert "no missed regions, 1 false region, 3 wrong pixels; nothing is there, so it has no Dice" in (
            render(fake_report(), tmp_path, [panel]).text
        )

    def test_noise_at_full_size_stays_below_three_megabytes(self, tmp_path):
        render(fake_report(), tmp_path, drawn_panels(12, (640, 640), color=True))
        assert (tmp_path / "report.html").stat().st_size < 3e6

    def test_left_out_where_the_licence_forbids(self, tmp_path):
        report = fake_report()
        report["data"]["may_redistribute"] = False
        page = render(report, tmp_path, drawn_panels())
        assert not page.images
        assert "does not allow these images to be passed on" in page.text

    def test_left_out_with_the_reason(self, tmp_path):
        assert "--no-images" in render(fake_report(), tmp_path).text
        assert "the disk was full" in render(fake_report(), tmp_path, no_images="the disk was full").text

    def test_a_mask_of_another_size_is_refused(self):
        frame = np.zeros((8, 8), np.uint8)
        with pytest.raises(DataError, match="part_1: shipped is uint8"):
            Panel("part_1", frame, frame, frame, np.zeros((4, 4), np.uint8), None, Faults(0, 0, 0), False)

    @pytest.mark.real_data
    def test_real_frames(self, tmp_path, ultrasound_dir, pitting_dir):
        for folder in (ultrasound_dir, pitting_dir):
            page = render(fake_report(), tmp_path, real_panels(folder, 8))
            assert len(page.images) == 32
            assert (tmp_path / "report.html").stat().st_size < 3e6


class TestDrawing:
    def test_errors_have_their_colours_and_right_pixels_do_not(self):
        frame = np.full((200, 200), 90, np.uint8)
        truth, mask = np.zeros_like(frame), np.zeros_like(frame)
        truth[20:60, 20:60] = mask[120:180, 120:180] = 1
        drawn = draw_errors(frame, mask, truth, choose_window(truth > 0, mask != truth)).astype(int)
        near = {mark: np.abs(drawn - np.array(mark.color)).sum(axis=2) < 60 for mark in (MISSED, FALSE)}
        top, bottom = slice(0, 150), slice(150, 320)
        assert near[MISSED][top, top].sum() > 50
        assert near[FALSE][bottom, bottom].sum() > 50
        assert not near[MISSED][bottom, bottom].any()
        assert not near[FALSE][top, top].any()

    def test_a_mask_without_errors_has_no_marks(self):
        frame = np.full((64, 64), 90, np.uint8)
        truth = np.zeros_like(frame)
        truth[10:40, 10:40] = 1
        drawn = draw_errors(frame, truth, truth, choose_window(truth > 0, truth > 1)).astype(int)
        assert all((np.abs(drawn - np.array(mark.color)).sum(axis=2) > 60).all() for mark in (MISSED, FALSE))

    def test_small_frames_are_shown_whole(self):
        marked = np.zeros((WHOLE_PX, 300), bool)
        marked[5, 5] = True
        window = choose_window(marked, marked)
        assert (window.width, window.height) == (300, WHOLE_PX)

    def test_a_tiny_defect_of_a_large_frame_is_enlarged(self):
        marked = np.zeros((900, 2000), bool)
        marked[890:896, 1990:1996] = True
        window = choose_window(marked, marked)
        assert window.width == window.height == 128
        assert window.cut(marked).sum() == marked.sum()
        frame = np.zeros(marked.shape, np.uint8)
        assert draw_frame(frame, window).shape == (320, 320, 3)

    def test_far_apart_shows_the_part_with_most_errors(self):
        marked = np.zeros((900, 2000), bool)
        marked[10:20, 10:20] = marked[800:840, 1800:1840] = True
        errors = np.zeros_like(marked)
        errors[10:20, 10:20] = True
        assert choose_window(marked, errors).cut(errors).sum() == 100
        assert choose_window(marked, np.zeros_like(marked)).cut(marked).sum() == 1600

    def test_an_empty_large_frame_is_shown_whole(self):
        nothing = np.zeros((900, 2000), bool)
        assert choose_window(nothing, nothing).width == 2000

    @given(
        st.integers(1, 1500),
        st.integers(1, 1500),
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=4),
    )
    @settings(max_examples=60, deadline=None)
    def test_a_window_lies_within_the_frame(self, height, width, places):
        marked = np.zeros((height, width), bool)
        for y, x in places:
            marked[int(y * (height - 1)), int(x * (width - 1))] = True
        window = choose_window(marked, marked)
        assert window.cut(marked).shape == (window.height, window.width)
        assert window.width > 0
        assert window.height > 0


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(34.14, "34.1"), (112.4, "112"), (0.6401, "0.640"), (0.00042, "0.000"), (0, "0"), (None, None)],
    )
    def test_short(self, value, text):
        assert short(value) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [("2026-11-20T20:05:44+00:00", "2026-11-20 20:05 UTC"), ("2026-11-20", "2026-11-20"), (None, None), (3, "3")],
    )
    def test_moment(self, value, text):
        assert moment(value) == text

    @pytest.mark.parametrize(("share", "text"), [(0.008, "+0.8"), (-0.0123, "−1.2"), (0.0001, "0.0"), (-0.0001, "0.0")])
    def test_points(self, share, text):
        assert points(share) == text


def test_the_report_is_left_as_it_was(tmp_path):
    report = fake_report()
    before = copy.deepcopy(report)
    render(report, tmp_path, drawn_panels(2))
    assert report == before


def test_latency_parts_add_up():
    parts = latency(3.29)  # the fixture itself must not teach a wrong shape
    assert parts["pre"]["p50"] + parts["infer"]["p50"] + parts["post"]["p50"] == pytest.approx(parts["total"]["p50"])


def test_a_refused_row_has_no_green_verdict() -> None:
    """A small drop is said; but it is no good news of a row that is refused for something else."""
    small = {"dice_drop_vs_teacher": {split: drop(0.001, 0.002) for split in ("val", "test")}}
    report = fake_report()
    report["steps"] = [row | small for row in report["steps"]]
    for table in (steps_table, decisions_table):
        assert 'badge good">not worse' in table(report)
        for refused in ({"status": "refused"}, {"refused_for": {"x86-ort": "too slow"}}):
            shown = table(report | {"steps": [row | refused for row in report["steps"]]})
            assert 'badge good">not worse' not in shown and 'badge plain">not worse' in shown


def test_a_teacher_of_several_networks_is_told(tmp_path: Path) -> None:
    plain = render(fake_report(), tmp_path).text
    assert "What the distilled student follows" not in plain
    asked = {"members": 3, "flips": ["left-right"], "temperatures": [1.834, 0.9, 1.1]}
    asked |= {"val_dice": 0.8123, "file_sha256": None}
    text = render(fake_report() | {"asked": asked}, tmp_path).text
    assert "3 networks are asked; the row teacher is the first, each also about the image mirrored (left-right)" in text
    assert "Dice 0.812 on val" in text and "fitted on val: 1.83, 0.90, 1.10" in text
    asked = {"members": 1, "flips": ["left-right"], "temperatures": [1.0], "val_dice": 0.8, "file_sha256": None}
    text = render(fake_report() | {"asked": asked}, tmp_path).text
    assert "one network is asked" in text and "Temperature" not in text
    text = render(fake_report() | {"asked": asked | {"file_sha256": "ab" * 32}}, tmp_path).text
    assert "the file that distill.teacher names is asked, not the row teacher (SHA-256 abababababab)" in text
    text = render(fake_report() | {"asked": asked | {"file_sha256": "ab" * 32, "function": "mine:net"}}, tmp_path).text
    assert "the network of distill.teacher mine:net is asked, not the row teacher (SHA-256 abababababab)" in text
