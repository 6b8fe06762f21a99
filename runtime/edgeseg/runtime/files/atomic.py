"""Writing files so that a reader sees the old file or the new one, never half of either.

Everything is written under a temporary name in the target's own folder and then moved into place with
`os.replace`, which is atomic within one file system. A full disk or a kill leaves the old file untouched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.text.jsontext import encodable
from edgeseg.runtime.text.names import without_bytes


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Hands out a temporary path that becomes `path` when the block ends without an exception.

    The temporary name keeps the suffix of `path`, since some writers choose their format by it. The file's
    bytes are flushed to disk before the move, so that a power cut cannot leave an empty file under the final name.

    Args:
        path: The file to write; its folder is made when missing.

    Yields:
        A path in the same folder, not yet existing. The block must write a file there.

    Raises:
        EdgesegError: The disk is full, the folder cannot be written, or a device or a pipe stands there, which would be
            replaced too.
    """
    path = Path(path)
    refuse_device_or_pipe(path)
    # The short random part keeps two processes that write the same file from sharing one temporary name; of the stem
    # as much as fits a name of 255 bytes, four of them a letter.
    tmp = path.with_name(f".{path.stem[:32]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield tmp
        _flush(tmp)
        os.replace(tmp, path)  # noqa: PTH105
    except OSError as error:
        if _is_of_another_file(error, path, tmp):
            raise
        raise _explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):  # as on a read-only disk: the error above says so already
            tmp.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path | str, *, replace: bool = False) -> Iterator[Path]:
    """Hands out a temporary folder that becomes `path` when the block ends without an exception.

    Args:
        path: A folder that is not there yet, or empty.
        replace: Whether one may stand there; it is removed when the new one is in its place.

    Yields:
        An empty folder beside it.

    Raises:
        ConfigError: Something is there already, or was put there meanwhile; it is not touched.
        EdgesegError: The disk is full, or the place cannot be written.
    """
    path = Path(path)
    if not replace:
        _refuse_filled(path)
    tmp = path.with_name(f".{path.name[:32]}.{uuid.uuid4().hex[:8]}.tmp")
    aside = tmp.with_suffix(".old")
    try:
        tmp.mkdir(parents=True)
        yield tmp
        if replace and path.exists():
            path.replace(aside)
        os.replace(tmp, path)  # noqa: PTH105
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.is_dir():
            raise ConfigError(f"{path} was filled meanwhile and is not touched; name a new folder") from error
        if aside.exists() and not path.exists():
            aside.replace(path)
        if _is_of_another_file(error, path, tmp):
            raise
        raise _explained(error, path) from error
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _refuse_filled(path: Path) -> None:
    above = next(one for one in path.absolute().parents if one.exists())
    if not above.is_dir():
        raise ConfigError(f"{above} is there and no folder; name another place")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ConfigError(f"{path} is there and no folder; name a new one")
    if path.is_dir() and any(path.iterdir()):
        raise ConfigError(f"{path} is not empty, and nothing in it is touched; name a new folder")


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path) as tmp:
        tmp.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    r"""Write `text` as UTF-8 with the line ends it has, whole or not at all.

    Bytes of file names that are no UTF-8 (lone surrogates) are written as escapes, `\xbc`.
    """
    write_bytes(path, without_bytes(text).encode("utf-8"))


def write_json(path: Path | str, obj: object) -> None:
    """Write `obj` as indented JSON with a closing newline; keys keep their order.

    Raises:
        ValueError: `obj` holds NaN or an infinity, which JSON has no word for (use `None` and a reason).
    """
    write_json_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_text(path: Path | str, text: str) -> None:
    """Write JSON text that was made with `ensure_ascii=False`; names in it may hold any bytes."""
    write_bytes(path, encodable(text).encode("utf-8"))


def refuse_device_or_pipe(path: Path) -> None:
    """Refuse a place where a device or a pipe stands, such as `/dev/stdout`, whatever that is at the moment.

    Raises:
        EdgesegError: It is one, or a link that leads to one.
    """
    try:
        mode = path.stat().st_mode
        in_proc = any(step.is_relative_to("/proc") for step in _steps(path))
    except OSError:  # nothing is there
        return
    if in_proc or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise EdgesegError(f"Cannot write {path}: it is a device or a pipe, which a file would replace; name a file")


def _steps(path: Path) -> Iterator[Path]:
    """The path and what it leads to, link by link; it has an end."""
    path = path.parent.resolve() / path.name
    yield path
    if path.is_symlink():
        yield from _steps(path.parent / path.readlink())


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _is_of_another_file(error: OSError, path: Path, tmp: Path) -> bool:
    """Whether it is of a file that the block read, and says nothing of what was written."""
    if not isinstance(error.filename, str):
        return False
    of = Path(error.filename).absolute()
    return not of.is_relative_to(tmp.absolute()) and not path.absolute().is_relative_to(of)


def _explained(error: OSError, path: Path) -> OSError | EdgesegError:
    """Turn the errors a user can put right into sentences; every other one is passed on as it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgesegError(f"No space left on the disk while writing {path}: free some and run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EdgesegError(f"No permission to write {path}: choose another output folder or change its rights")
    if error.errno == errno.EFBIG:
        return EdgesegError(f"Cannot write {path}: the file gets too large for this disk or for what you may write")
    if error.errno == errno.ENAMETOOLONG:
        return EdgesegError(f"Cannot write {path}: the name is too long for this disk, use a shorter one")
    if isinstance(error, (IsADirectoryError, NotADirectoryError, FileExistsError)):
        return EdgesegError(f"Cannot write {path}: a folder stands where a file should be, or the reverse")
    return error
