import io

from edgeseg.benchmarks import progress
from edgeseg.benchmarks.progress import shown_progress


def test_a_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with shown_progress(out) as told:
        for now[0], done in ((1.0, 0.05), (12.0, 0.25), (13.0, 0.3), (24.0, 0.5)):
            told(done, "onnx-fp32")
    assert out.getvalue().splitlines() == [
        "measuring: onnx-fp32 (5%, 19 s left)",
        "measuring: onnx-fp32 (25%, 36 s left)",
        "measuring: onnx-fp32 (50%, 24 s left)",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_gets_a_bar():
    out = Terminal()
    with shown_progress(out) as told:
        told(0.5, "onnx-fp32")
    assert "onnx-fp32" in out.getvalue() and "50%" in out.getvalue()


def test_a_name_neither_formats_nor_steers_the_bar():
    out = Terminal()
    with shown_progress(out) as told:
        told(0.5, "[bold]a[/x]\x1b]0;.onnx")
    assert "[bold]a[/x]\\x1b]0;.onnx" in out.getvalue()
