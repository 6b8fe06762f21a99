"""What runs in the board's own shell: files in, a job begun and followed, its logs out.

The job is detached and holds the lock that every bench on a device holds (`ssh/on_device.py`), so that a lost link does
not disturb it and two benches never measure each other. A step that has ended leaves its exit code, and is not run
again. Needs `flock` and `setsid` of util-linux, which every Ubuntu has.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeseg.benchmarks.targets.mirror import print_files

_ROOT = 'set -e; umask 077; root="${XDG_CACHE_HOME:-$HOME/.cache}/edgeseg/bench"; mkdir -p "$root/files"; cd "$root"; '
_DO = """cd "$(dirname "$0")"
do_step() {
  [ -f "$1.rc" ] && return
  if [ -n "$2" ] && [ "$(cat "$2.rc")" != 0 ]; then return; fi
  name=$1; folder=$3; shift 3
  (cd "$folder" && exec "$@") > "$name.log" 2>&1 < /dev/null
  echo $? > "$name.part"; mv "$name.part" "$name.rc"
}
"""


@dataclass(frozen=True)
class Step:
    """One program.

    Attributes:
        name: Of its log and exit code.
        folder: Where it runs, within the job's.
        words: Of the command.
        after: A step without whose success it is not begun; "" for none.
    """

    name: str
    folder: str
    words: tuple[str, ...]
    after: str = ""


def job(steps: Iterable[Step]) -> str:
    """The detached script."""
    lines = [shlex.join(("do_step", step.name, step.after, step.folder, *step.words)) for step in steps]
    return _DO + "\n".join(lines) + "\ndate +%s > done.part; mv done.part done\n"


def have() -> str:
    """Prints the hashes of files that are there."""
    return f"{_ROOT}ls files"


def put(sha256: str) -> str:
    """Takes a file from standard input, whole or not at all: prints `ok` or `cut`."""
    return (
        f'{_ROOT}part="files/{sha256}.$$.part"; trap \'rm -f "$part"\' EXIT; cat > "$part"; '
        f'if [ "$(sha256sum < "$part" | cut -c1-64)" = {sha256} ]; then mv "$part" files/{sha256}; echo ok; '
        "else echo cut; fi"
    )


def start(name: str, links: Mapping[str, str], by: str, about: str) -> str:
    """Begins a job or finds it: prints `began`, `there` (at work) or `done`, and how many steps had ended before; or
    `busy` and with what.

    Args:
        name: Of the job.
        links: Hash by the file's name within the job's folder; `job.sh` is the script.
        by: Who asks, for others.
        about: What the board is now; kept from the job's first start.
    """
    folders = shlex.join(sorted({one.rpartition("/")[0] or "." for one in links}))
    laid = "; ".join(shlex.join(("ln", "-f", f"../../files/{sha256}", one)) for one, sha256 in links.items())
    return (
        f"{_ROOT}mkdir -p runs/{name}; cd runs/{name}; if [ -f done ]; then echo done $(cat taken); exit; fi; "
        "exec 8>>alive; if ! flock -n 8; then echo there $(cat taken); exit; fi; "
        'exec 9>>../../lock; if ! flock -n 9; then echo "busy $(cat ../../lock)"; exit; fi; '
        f'echo {shlex.quote(by)}", begun $(date -u "+%Y-%m-%d %H:%M") UTC" > ../../lock; '
        f"[ -f about ] || {{ printf %s {shlex.quote(about)} > part; date +%s > begun; mv part about; }}; "
        f"mkdir -p {folders}; {laid}; ls | grep -c '[.]rc$' > taken || true; "
        'setsid sh "$PWD/job.sh" > job.out 2>&1 < /dev/null & echo $! > pid; echo began $(cat taken)'
    )


def look(name: str) -> str:
    """Prints how many steps have ended, then `done`, `working`, or `gone` where it ended before its end."""
    return (
        f"{_ROOT}cd runs/{name}; ls | grep -c '[.]rc$' || true; "
        "if [ -f done ]; then echo done; elif flock -n alive true; then echo gone; else echo working; fi"
    )


def stop(name: str) -> str:
    """Ends a job that nobody waits for; what it has measured stays."""
    return f'{_ROOT}cd runs/{name}; flock -n alive true || kill -s KILL -- "-$(cat pid)"'


def logs(name: str) -> str:
    """Prints every log and exit code, what the board was, and when the job was begun and done [s], as
    `mirror.files_in` reads them.
    """
    return f"{_ROOT}cd runs/{name}; {print_files(('*.rc', '*.log', 'about', 'begun', 'done'))}"


def clean(name: str, hashes: Sequence[str]) -> str:
    """Away with a job and its files."""
    return f"{_ROOT}rm -rf runs/{name}; cd files; rm -f {shlex.join(hashes)}"
