"""Signing adds an entry and changes nothing; keys stay with their owner; what was signed elsewhere can be attached."""

# ruff: noqa: F811 - a fixture that is imported and a parameter of its name are the same

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
from datetime import date
from pathlib import Path

import pytest

from edgeseg.export.pack import pack
from edgeseg.export.signing.keys import generate, public_of, read_private
from edgeseg.export.signing.sign import attach, sign, state
from edgeseg.runtime.archive.layout import chunks
from edgeseg.runtime.errors import BundleError, TrustError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.trust.public_key import PublicKey
from edgeseg.runtime.trust.signature import Signature, Statement

from ..test_pack import frames, info, source  # noqa: F401 - fixtures

DAY = date(2026, 11, 28)


@pytest.fixture
def packed(source, info, frames, tmp_path: Path) -> Path:
    pack(tmp_path / "part.edgeseg", info, [source], frames)
    return tmp_path / "part.edgeseg"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    generate(tmp_path / "release.key")
    return tmp_path / "release.key"


def entries(path: Path) -> dict[str, bytes]:
    with Bundle.open(path) as bundle:
        return {name: bundle.read(name) for name in bundle.names}


def test_signing_adds_an_entry_and_changes_nothing(packed: Path, key: Path, tmp_path: Path) -> None:
    before, first = entries(packed), packed.read_bytes()
    other = tmp_path / "quality.key"
    generate(other)
    sign(packed, key, "release", DAY)
    with Bundle.open(packed) as bundle:
        (one,) = bundle.signatures
        assert one.is_right() and one.statement.key == public_of(read_private(key))
    once = packed.read_bytes()
    sign(packed, other, "quality", DAY)
    sign(packed, key, "quality", DAY)
    after = entries(packed)
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 3
    assert list(after)[: len(before)] == list(before)
    assert len({first, once, packed.read_bytes()}) == 3
    with Bundle.open(packed) as bundle:
        assert all(one.is_right() for one in bundle.signatures)
        assert sorted(one.statement.role for one in bundle.signatures) == ["quality", "quality", "release"]


def test_the_same_signatures_in_any_order_give_the_same_bundle(packed: Path, key: Path, tmp_path: Path) -> None:
    copies = [tmp_path / "a.edgeseg", tmp_path / "b.edgeseg"]
    for copy, roles in zip(copies, (("release", "quality"), ("quality", "release")), strict=True):
        shutil.copy(packed, copy)
        for role in roles:
            sign(copy, key, role, DAY)
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_signing_twice_and_damaged_bundles_are_refused(packed: Path, key: Path, tmp_path: Path) -> None:
    sign(packed, key, "release", DAY)
    before = packed.read_bytes()
    with pytest.raises(TrustError, match=r"signed as release by key .* already"):
        sign(packed, key, "release", date(2027, 1, 1))
    with pytest.raises(TrustError, match="small letters"):
        sign(packed, key, "Release Manager", DAY)
    assert packed.read_bytes() == before
    changed = entries(packed) | {"golden/000.png": b"x"}
    damaged = tmp_path / "damaged.edgeseg"
    damaged.write_bytes(b"".join(chunks(changed)))
    with pytest.raises(BundleError, match="changed or damaged"):
        sign(damaged, key, "quality", DAY)


def test_signing_keeps_the_file_s_rights_and_a_link_to_it(packed: Path, key: Path, tmp_path: Path) -> None:
    packed.chmod(0o640)
    link = tmp_path / "current.edgeseg"
    link.symlink_to(packed)
    sign(link, key, "release", DAY)
    assert link.is_symlink() and stat.S_IMODE(packed.stat().st_mode) == 0o640
    with Bundle.open(packed) as bundle:
        assert [one.statement.role for one in bundle.signatures] == ["release"]


def test_a_signature_of_no_end_is_not_read(packed: Path) -> None:
    large = entries(packed) | {"signatures/release.0123456789abcdef": bytes((1 << 16) + 1)}
    packed.write_bytes(b"".join(chunks(large)))
    with pytest.raises(TrustError, match="larger than 65536 bytes"):
        Bundle.open(packed)


def test_a_signature_does_not_move_to_another_bundle(packed: Path, source, info, frames, key, tmp_path: Path) -> None:
    signature = sign(packed, key, "release", DAY)
    other = tmp_path / "other.edgeseg"
    pack(other, info, [source], frames[:1])
    moved = entries(other) | {signature.statement.entry: signature.to_bytes()}
    other.write_bytes(b"".join(chunks(moved)))
    with pytest.raises(TrustError, match="a signature of another bundle"):
        Bundle.open(other)
    renamed = entries(packed)
    renamed["signatures/quality.0123456789abcdef"] = renamed.pop(signature.statement.entry)
    other.write_bytes(b"".join(chunks(renamed)))
    with pytest.raises(TrustError, match="another bundle"):
        Bundle.open(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text + b"\n",
        lambda text: text + b"more: 1\n",
        lambda text: text.replace(b"role: release", b"role:  release"),
        lambda text: text.replace(b"2026-11-28", b"20261128"),
        lambda text: text.replace(b"signature 1", b"signature 2"),
        lambda text: text[:-3],
        lambda text: text.replace(b"signature: ", b"signature: A"),
        lambda text: b"",
        lambda text: text[:40],
    ],
)
def test_a_signature_has_one_spelling(packed: Path, key: Path, change) -> None:
    text = sign(packed, key, "release", DAY).to_bytes()
    assert Signature.from_bytes(text, "x").to_bytes() == text
    assert change(text) != text
    with pytest.raises(TrustError):
        Signature.from_bytes(change(text), "x")


def test_a_line_end_in_an_identity_cannot_forge_a_line(packed: Path, key: Path) -> None:
    its = state(packed, PublicKey(bytes(32)), "release", DAY)
    with pytest.raises(TrustError, match="cannot stand in a signature"):
        Statement("part\nrole: quality", its.sums_sha256, its.role, its.date, its.key)


@pytest.mark.parametrize("coded", [bytes, lambda raw: raw.hex().encode() + b"\n", base64.encodebytes])
def test_what_was_signed_elsewhere_is_attached(packed: Path, key: Path, tmp_path: Path, coded) -> None:
    public = PublicKey.from_file(key.with_suffix(".pub"))
    statement, signature = tmp_path / "to-sign.txt", tmp_path / "to-sign.sig"
    statement.write_bytes(state(packed, public, "release", DAY).text)
    raw = read_private(key).sign(statement.read_bytes())
    signature.write_bytes(coded(raw))
    directly = tmp_path / "directly.edgeseg"
    shutil.copy(packed, directly)
    sign(directly, key, "release", DAY)
    attach(packed, statement, signature)
    assert packed.read_bytes() == directly.read_bytes()


def test_openssl_makes_and_checks_the_same(packed: Path, key: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    statement, signature = tmp_path / "to-sign.txt", tmp_path / "to-sign.sig"
    public = key.with_suffix(".pub")
    statement.write_bytes(state(packed, PublicKey.from_file(public), "release", DAY).text)
    words = ["openssl", "pkeyutl", "-rawin", "-in", statement]
    subprocess.run([*words, "-sign", "-inkey", key, "-out", signature], check=True)
    attach(packed, statement, signature)
    subprocess.run([*words, "-verify", "-pubin", "-inkey", public, "-sigfile", signature], check=True)


def test_a_signature_over_something_else_is_not_attached(
    packed: Path,
    source,
    info,
    frames,
    key: Path,
    tmp_path: Path,
) -> None:
    public = PublicKey.from_file(key.with_suffix(".pub"))
    statement, signature = tmp_path / "to-sign.txt", tmp_path / "to-sign.sig"
    its = state(packed, public, "release", DAY)
    statement.write_bytes(its.text)
    before = packed.read_bytes()
    for content, words in (
        (read_private(key).sign(its.sums_sha256.encode()), "is no signature over"),
        (bytes(63), "64 bytes.*are needed, found 63"),
        (b"", "are needed"),
    ):
        signature.write_bytes(content)
        with pytest.raises(TrustError, match=words):
            attach(packed, statement, signature)
    signature.write_bytes(read_private(key).sign(its.text))
    statement.write_bytes(b"hello")
    with pytest.raises(TrustError, match="no statement of a signature"):
        attach(packed, statement, signature)
    statement.write_bytes(its.text)
    pack(packed, info, [source], frames[:1])
    with pytest.raises(TrustError, match="is of another bundle"):
        attach(packed, statement, signature)
    assert packed.read_bytes() != before and not entries(packed).keys() & {its.entry}


def test_keys_are_their_owner_s_alone_and_never_overwritten(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        generate(tmp_path / "a.key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TrustError, match="never overwritten"):
        generate(tmp_path / "a.key")
    (tmp_path / "b.pub").symlink_to(tmp_path / "nothing")
    with pytest.raises(TrustError, match="never overwritten"):
        generate(tmp_path / "b.key")
    with pytest.raises(TrustError, match="another suffix"):
        generate(tmp_path / "c.pub")
    with pytest.raises(TrustError, match="cannot be written"):
        generate(tmp_path / "a.key" / "d.key")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name[0] == "a"} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "a.pub", "b.pub"]


def private_pem(kind: str, encrypted: bool = False) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    makers = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    how = serialization.BestAvailableEncryption(b"word") if encrypted else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return makers[kind]().private_bytes(serialization.Encoding.PEM, form, how)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (lambda: private_pem("rsa"), 0o600, "of another kind"),
        (lambda: private_pem("ec"), 0o600, "of another kind"),
        (lambda: private_pem("ed25519", True), 0o600, "is encrypted"),
        (lambda: private_pem("ed25519"), 0o640, "chmod 600"),
        (lambda: private_pem("ed25519"), 0o604, "chmod 600"),
        (lambda: private_pem("ed25519")[:60], 0o600, "no private key in PEM"),
        (PublicKey(bytes(32)).pem.encode, 0o600, "no private key in PEM"),
        (lambda: b"", 0o600, "no private key in PEM"),
        (lambda: b"\x00\xff", 0o600, "not text"),
    ],
)
def test_keys_that_cannot_sign_are_refused(packed: Path, tmp_path: Path, content, mode: int, words: str) -> None:
    path = tmp_path / "some.key"
    path.write_bytes(content())
    path.chmod(mode)
    before = packed.read_bytes()
    with pytest.raises(TrustError, match=words):
        sign(packed, path, "release", DAY)
    assert packed.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_without_permission_is_named(packed: Path, key: Path) -> None:
    key.chmod(0)
    with pytest.raises(TrustError, match="Permission denied"):
        sign(packed, key, "release", DAY)


def test_a_missing_key_is_named(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=r"gone\.key cannot be read"):
        sign(packed, tmp_path / "gone.key", "release", DAY)
