"""Our errors as a line on stderr and the exit code that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.text.terminal import say


@contextmanager
def errors() -> Iterator[None]:
    """Wraps the body of a command."""
    try:
        yield
    except EdgesegError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
