"""An arm64 Debian userland, made once by debootstrap and kept in the user's cache by the versions it is made with.

Its tools are Debian's packages too, unpacked beside it and not installed. `entered` says how a program runs in it.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from board import Board, files
from namespace import UnavailableError, run

from edgeseg.runtime.files.user_cache import cache_folder

SUITE = "bookworm"
INSTALLED = ("python3-venv",)
TOOLS = ("qemu-user-static", "debootstrap", "debian-archive-keyring")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Of the host: its way to the network, and whom it trusts there.
_TRUST = "/etc/ssl/certs/ca-certificates.crt"
NETWORK = ("/etc/resolv.conf", "/etc/hosts", _TRUST)
_ENVIRONMENT = (
    *("HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    *([f"PIP_CERT={_TRUST}"] if Path(_TRUST).is_file() else []),
)

# The head of an arm64 program and the bits of it that count, as qemu's own binfmt configuration has them.
_MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
_MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe" + r"\xff" * 3


def made() -> Path:
    """The folder that holds `root`, the userland, and `tools`; made if it is not there, in a few minutes.

    Raises:
        UnavailableError: If a tool, the network or namespaces cannot be had here.
    """
    cache = cache_folder("virtual-pi")
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)  # programs of root's lie in it
    apt = _apt(cache)
    packages = _said(apt, "download", "--print-uris", *TOOLS)
    versions = sorted(line.split()[1] for line in packages.splitlines())  # file names, with the version in each
    key = hashlib.sha256("\n".join([SUITE, *INSTALLED, *versions]).encode()).hexdigest()[:12]
    folder = cache / f"{SUITE}-{key}"
    if folder.is_dir():
        return folder
    part = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        _unpack_tools(apt, part / "tools")
        _bootstrap(part)
        (part / "scratch").mkdir()
        (part / "versions.txt").write_text("\n".join(versions) + "\n")
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def entered(
    folder: Path, command: Sequence[str], board: Board, binds: Iterable[Path] = (), state: Path | None = None
) -> list[str]:
    """Lines for `namespace.run` that execute a command as root of the userland.

    Args:
        folder: As of `made`.
        command: With its arguments.
        board: What it believes to run on.
        binds: Folders of the host that are there too, at the same place.
        state: Folder that takes what the command writes, so that a later one finds it; None forgets it.
    """
    place = (state or folder / "scratch").absolute()
    root = place / "root"
    mounts = [] if state else [f"mount -t tmpfs tmpfs {_q(place)}"]
    # With attributes of the user's a folder that is new there can be renamed, as dpkg does; others are root's outside.
    layers = f"lowerdir={folder / 'root'},upperdir={place / 'written'},workdir={place / 'work'},userxattr"
    mounts += [
        f"mkdir -p {_q(root)} {_q(place / 'written')} {_q(place / 'work')}",
        f"mount -t overlay overlay -o {_q(layers)} {_q(root)}",
        *_devices(root),
        f"mount -t proc proc {_q(root / 'proc')}",
        *_runs_arm(folder / "tools"),
    ]
    for name, text in files(board).items():
        own = place / Path(name).name
        mounts += [f"printf %s {_q(text)} > {_q(own)}", *_bound(own, root, Path(name))]
    for name in NETWORK:
        if Path(name).is_file():
            mounts += _bound(Path(name).resolve(), root, Path(name))
    for bind in binds:
        there = root / str(bind.absolute())[1:]
        mounts += [f"mkdir -p {_q(there)}", f"mount --bind {_q(bind.absolute())} {_q(there)}"]
    return [*mounts, f"exec chroot {_q(root)} env -i {shlex.join([*environment(board), *command])}"]


def environment(board: Board) -> list[str]:
    """NAME=VALUE of each variable that programs there need."""
    return [*_ENVIRONMENT, f"QEMU_CPU={board.cpu}"]


def _bound(source: Path, root: Path, name: Path) -> list[str]:
    """Lay a file over one of the userland."""
    there = root / str(name)[1:]
    made_first = [] if name.is_relative_to("/proc") else [f"mkdir -p {_q(there.parent)}", f"touch {_q(there)}"]
    return [*made_first, f"mount --bind {_q(source)} {_q(there)}"]


def _devices(root: Path) -> list[str]:
    dev = root / "dev"
    lines = [f"mkdir -p {_q(dev)}", f"mount -t tmpfs tmpfs {_q(dev)}", f"mkdir -m 1777 {_q(dev / 'shm')}"]
    lines += [
        f"mkdir {_q(dev / 'pts')}",
        f"touch {_q(dev / 'console')} {_q(dev / 'ptmx')}",
    ]  # debootstrap looks for them
    for name in DEVICES:
        lines += [f"touch {_q(dev / name)}", f"mount --bind /dev/{name} {_q(dev / name)}"]
    return [*lines, f"ln -s /proc/self/fd {_q(dev / 'fd')}"]


def _runs_arm(tools: Path) -> list[str]:
    """Let the kernel start arm64 programs with qemu, in this namespace (Linux 6.7 or newer)."""
    entry = f":arm64:M::{_MAGIC}:{_MASK}:{tools / 'usr/bin/qemu-aarch64-static'}:CF"
    return [
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc",
        f"printf %s {_q(entry)} > /proc/sys/fs/binfmt_misc/register",
    ]


def _bootstrap(part: Path) -> None:
    tools, root = part / "tools", part / "root"
    order = [
        "env",
        "container=lxc",  # in words that debootstrap knows: no device files can be made here
        f"DEBOOTSTRAP_DIR={tools / 'usr/share/debootstrap'}",
        str(tools / "usr/sbin/debootstrap"),
        *("--arch=arm64", "--variant=minbase", f"--include={','.join(INSTALLED)}"),
        f"--keyring={tools / 'usr/share/keyrings/debian-archive-keyring.gpg'}",
        SUITE,
        str(root),
    ]
    # Packages are kept nowhere but unpacked.
    tidy = f"rm -rf {_q(root / 'var/cache/apt/archives')}/*.deb {_q(root / 'var/lib/apt/lists')}/*"
    done = run([*_runs_arm(tools), *_devices(root), shlex.join(order), tidy], capture=True)
    if done.returncode:
        raise UnavailableError(f"debootstrap failed: {_last(done.stdout, done.stderr)}")


def _unpack_tools(apt: Sequence[str], tools: Path) -> None:
    tools.mkdir()
    _said([*apt], "download", *TOOLS, cwd=tools)
    for package in sorted(tools.glob("*.deb")):
        _said(["dpkg-deb"], "-x", str(package), str(tools))
        package.unlink()


def _apt(cache: Path) -> list[str]:
    """apt-get with lists of its own, so that nothing of the machine is changed and a machine without lists will do."""
    for name in ("lists/partial", "archives/partial"):
        (cache / "apt" / name).mkdir(parents=True, exist_ok=True)
    places = {"Dir::State::lists": cache / "apt/lists", "Dir::Cache": cache / "apt", "APT::Sandbox::User": "root"}
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in places.items())]
    _said(apt, "update")
    return apt


def _said(command: Sequence[str], *arguments: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    except FileNotFoundError as err:
        raise UnavailableError(f"`{command[0]}` is not here; the userland is made with Debian's tools") from err
    if done.returncode:
        raise UnavailableError(f"`{command[0]} {' '.join(arguments)}` failed: {_last(done.stdout, done.stderr)}")
    return done.stdout


def _last(*texts: str) -> str:
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _q(path: Path | str) -> str:
    return shlex.quote(str(path))
