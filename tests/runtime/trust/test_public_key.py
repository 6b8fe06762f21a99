"""Public keys: read without any library, other kinds refused by name, signatures held against the RFC's own."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from edgeseg.runtime.errors import BackendError, TrustError
from edgeseg.runtime.trust.public_key import PublicKey

# RFC 8032, section 7.1, test 2.
RAW = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
MESSAGE = bytes.fromhex("72")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_the_rfc_s_signature_is_right_and_no_other() -> None:
    pytest.importorskip("cryptography")
    key = PublicKey(RAW)
    assert key.verifies(SIGNATURE, MESSAGE)
    assert not key.verifies(SIGNATURE, MESSAGE + b"\n")
    assert not key.verifies(SIGNATURE[:-1] + b"\1", MESSAGE)
    assert not PublicKey(bytes(31) + b"\1").verifies(SIGNATURE, MESSAGE)


def test_a_file_gives_the_key_back_and_is_what_other_tools_read(tmp_path: Path) -> None:
    key = PublicKey(RAW)
    (tmp_path / "a.pub").write_text(key.pem)
    assert PublicKey.from_file(tmp_path / "a.pub") == key == PublicKey.from_line(key.line, "x")
    (tmp_path / "a.pub").write_bytes(key.pem.replace("\n", "\r\n").encode())
    assert PublicKey.from_file(tmp_path / "a.pub") == key
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    its = serialization.load_pem_public_key(key.pem.encode())
    assert its.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw) == RAW


def other_pem(kind: str) -> str:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = {
        "rsa": lambda: rsa.generate_private_key(65537, 1024 * 2),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "x25519": x25519.X25519PrivateKey.generate,
    }[kind]()
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("kind", ["rsa", "ec", "x25519"])
def test_keys_of_another_kind_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text(other_pem(kind))
    with pytest.raises(TrustError, match=r"of another kind.*Ed25519 is needed"):
        PublicKey.from_file(tmp_path / "a.pub")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no public key in PEM"),
        (b"hello", "no public key in PEM"),
        (b"\xff\xfe\x00", "not text"),
        (b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", "a private key, which has to stay"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here\n", "an SSH key"),
        (b"-----BEGIN CERTIFICATE-----\nMC4C\n-----END CERTIFICATE-----\n", "a certificate"),
        (PublicKey(RAW).pem.replace("wm", "!!").replace("Zgw", "!!!").encode(), "no Ed25519 public key"),
        (PublicKey(RAW[:-1]).pem.encode(), "no Ed25519 public key"),
        (PublicKey(RAW + b"x").pem.encode(), "no Ed25519 public key"),
    ],
)
def test_what_is_no_public_key_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_bytes(content)
    with pytest.raises(TrustError, match=words):
        PublicKey.from_file(tmp_path / "a.pub")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pub", tmp_path):
        with pytest.raises(TrustError, match="cannot be read"):
            PublicKey.from_file(path)


def test_a_key_has_one_line_only() -> None:
    line = PublicKey(RAW).line
    assert base64.b64decode(line[:-1] + "B=", validate=False)
    for other in (line[:-2] + chr(ord(line[-2]) + 1) + "=", line + "\n", " " + line, line.rstrip("=")):
        with pytest.raises(TrustError):
            PublicKey.from_line(other, "x")


def test_without_cryptography_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.exceptions", None)
    with pytest.raises(BackendError, match=r"pip install 'edgeseg\[sign\]'"):
        PublicKey(RAW).verifies(SIGNATURE, MESSAGE)
