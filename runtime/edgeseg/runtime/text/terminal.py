"""The one way to stdout and stderr, for every command: text never costs a result.

Inside `run`, `sys.stdout` and `sys.stderr` cannot fail, whoever writes to them: a letter that the locale lacks is
written as an escape, and after a closed pipe or a full disk the rest of the text is dropped while the work goes on.
What was lost is said in one line at the end, with exit code 1. JSON is always valid UTF-8.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TextIO

from edgeseg.runtime.text.jsontext import dumps, json_rows
from edgeseg.runtime.text.names import shown_lines


def run(command: Callable[[], int | None]) -> int:
    """Run a whole command with streams that cannot fail.

    Args:
        command: Returns its exit code, or raises SystemExit.

    Returns:
        The exit code; 1 instead of 0 where not all of stdout could be written.

    Raises:
        SystemExit: What the command raised, with that code.
    """
    stopped: SystemExit | None = None
    with _unfailing("stdout") as out, _unfailing("stderr"):
        try:
            code = command() or 0
        except SystemExit as stop:
            stopped, code = stop, stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            sys.stdout.flush()
            if out.error is not None:
                say(f"error: {_loss(out.error)}")
    code = code or int(out.error is not None)
    if stopped is not None:
        raise stopped if out.error is None else SystemExit(code)
    return code


def say(text: str) -> None:
    """One message on stderr; controls in it are shown as escapes, so that a name cannot steer the terminal."""
    sys.stderr.write(f"{shown_lines(text)}\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Lines of text for people on stdout, with the escapes of `say`."""
    sys.stdout.write(f"{shown_lines(text)}\n")
    sys.stdout.flush()


def put_json(report: object, indent: int | None = 2) -> None:
    """A whole result on stdout; `indent` None puts it into one line."""
    _put_json_text(dumps(report, ascii_only=not _speaks_utf8(sys.stdout), indent=indent) + "\n")


@contextmanager
def put_json_rows(
    head: Mapping[str, object], tail: Callable[[str | None], Mapping[str, object]]
) -> Iterator[Callable[[object], None]]:
    """A result on stdout whose rows are given out as they are done; see `jsontext.json_rows`."""
    with json_rows(_put_json_text, head, tail, ascii_only=not _speaks_utf8(sys.stdout)) as row:
        yield row


class _Unfailing(io.RawIOBase):
    """Bytes go to `stream` until that fails; then they are dropped, and `error` says why."""

    def __init__(self, stream: IO[bytes] | io.RawIOBase) -> None:
        # Below its buffer, which would keep what cannot be written, and fail again when Python ends.
        self._stream: Any = getattr(stream, "raw", stream)
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest) and self.error is None:
            try:
                written = self._stream.write(rest)
                if written is None:  # a pipe that another process has set to non-blocking, and that is full
                    import select

                    select.select([], [self.fileno()], [])
                    continue
                rest = rest[written:]
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        if self.error is None and not self._stream.closed:
            try:
                self._stream.flush()
            except OSError as error:
                self.error = error


@contextmanager
def _unfailing(name: str) -> Iterator[_Unfailing]:
    """Put an unfailing stream in the place of `sys.stdout` or `sys.stderr`."""
    before: TextIO | None = getattr(sys, name)
    stream = before if before is not None else _nowhere()
    stream.flush()
    raw = _Unfailing(getattr(stream, "buffer", None) or _Encoded(stream))
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding or "utf-8",
        errors="backslashreplace",
        line_buffering=name == "stderr" or stream.isatty(),
    )
    setattr(sys, name, text)
    try:
        yield raw
    finally:
        text.flush()
        setattr(sys, name, before)


class _Encoded(io.RawIOBase):
    """A text stream without bytes below it, such as an interactive shell's, as a stream of bytes."""

    def __init__(self, stream: TextIO) -> None:
        self._text = stream

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._text.write(content.decode(self._text.encoding or "utf-8", "replace"))
        return len(content)

    def isatty(self) -> bool:
        return self._text.isatty()

    def fileno(self) -> int:
        return self._text.fileno()

    def flush(self) -> None:
        self._text.flush()


def _nowhere() -> TextIO:
    """For a stream that was closed before the command began (`>&-`)."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as the process


def _put_json_text(text: str) -> None:
    """Write JSON as bytes: the stream's own error handler would put escapes into it that JSON does not know."""
    with _uninterrupted():
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(text)
        else:
            buffer.write(text.encode())
        sys.stdout.flush()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a first Ctrl-C wait until a piece of a document is out; a second one, where nobody reads, does not wait."""
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not own or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def later(number: int, _: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


def _speaks_utf8(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"


def _loss(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "stdout was closed before everything was printed"
    return f"not everything could be printed to stdout: {error.strerror or error}; files the command wrote are whole"
