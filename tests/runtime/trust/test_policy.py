"""The policy of a device: read strictly, never lost in silence, obeyed by everything that opens a bundle."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from edgeseg.runtime import Segmenter, Worker
from edgeseg.runtime.__main__ import main
from edgeseg.runtime.device.verify import verify_bundle, verify_code
from edgeseg.runtime.errors import EdgesegError, ManifestError, RefusedError, TrustError
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.trust import policy as policies
from edgeseg.runtime.trust.policy import ANY, Policy, TrustedKey, device_policy, version_key
from edgeseg.runtime.trust.public_key import PublicKey

from .signers import DAY, new_key, signed

Keys = dict[str, tuple[Path, PublicKey]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    return {name: new_key(folder, name) for name in ("release", "quality", "stranger")}


@pytest.fixture
def sign_tiny(tiny_bundle: Path, keys: Keys, tmp_path: Path) -> Callable[..., Path]:
    """Make a copy of the tiny bundle that is signed by `KEY:ROLE` each."""

    def make(name: str, *signers: str, day: date = DAY) -> Path:
        pairs = [(keys[who][0], role) for who, _, role in (one.partition(":") for one in signers)]
        return signed(tiny_bundle, tmp_path / name, *pairs, day=day)

    return make


@pytest.fixture
def bundle(tiny_bundle: Path, keys: Keys, tmp_path: Path) -> Path:
    """The tiny bundle, version 1.0, signed as release."""
    return signed(tiny_bundle, tmp_path / "signed.edgeseg", (keys["release"][0], "release"))


def policy_json(release: PublicKey, **changes: Any) -> dict[str, Any]:
    key = {"name": "house", "public_key": release.line, "roles": ["release"], "expires": "2027-12-31"}
    return {"schema_version": 1, "require_signature": True, "keys": [key]} | changes


@pytest.fixture
def device(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make this machine a device with a policy, by its JSON's keys."""

    def become(**changes: Any) -> Path:
        path = tmp_path / "policy.json"
        path.write_text(json.dumps(policy_json(keys["release"][1], **changes)))
        path.chmod(0o644)  # whatever the umask here
        monkeypatch.setenv("EDGESEG_POLICY", str(path))
        return path

    return become


def test_a_signed_bundle_runs_and_an_unsigned_one_does_not(
    device: Callable[..., Path], bundle: Path, tiny_bundle: Path, stripes
) -> None:
    device()
    with Segmenter.open(bundle) as segmenter:
        assert segmenter(stripes).mask.any()
    with pytest.raises(RefusedError, match="a trusted signature is required, none is in it"):
        Segmenter.open(tiny_bundle)
    with Segmenter.open(tiny_bundle, policy=ANY):
        pass


def test_a_worker_s_process_obeys_the_policy_it_is_handed(
    device: Callable[..., Path], keys: Keys, bundle: Path, tiny_bundle: Path, stripes
) -> None:
    key = TrustedKey("house", keys["release"][1], ("release",), date(2027, 12, 31))
    policy = Policy(True, ("release",), (key,), {"tiny": "1.0"})
    assert Policy.from_json(json.loads(json.dumps(policy.to_json())), "policy") == policy
    with Worker.open(bundle, "onnx-fp32", 1, policy=policy) as worker:
        assert worker(stripes).status == "ok"
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert worker(stripes).tries == 2  # started again under the same
    for path, asked in ((tiny_bundle, policy), (bundle, replace(policy, min_bundle_version={"tiny": "2"}))):
        with pytest.raises(RefusedError, match="refused by the policy"):
            Worker.open(path, policy=asked)
    device()
    with pytest.raises(RefusedError, match="refused by the policy"):
        Worker.open(tiny_bundle)
    with Worker.open(tiny_bundle, policy=ANY):
        pass


@pytest.mark.parametrize(
    "words", [["predict", "BUNDLE", "IN", "--out", "OUT"], ["evaluate", "BUNDLE", "--data", "IN"], ["doctor", "BUNDLE"]]
)
def test_every_command_obeys(
    device: Callable[..., Path], tiny_bundle: Path, tmp_path: Path, words: list[str], stripes, capsys
) -> None:
    device()
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "a.png").write_bytes(encode_png(stripes))
    places = {"BUNDLE": str(tiny_bundle), "IN": str(tmp_path / "in"), "OUT": str(tmp_path / "out")}
    assert main([places.get(word, word) for word in words]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "refused by the policy" in err


def test_a_step_s_folder_cannot_be_signed(device: Callable[..., Path], tmp_path: Path) -> None:
    device()
    with pytest.raises(RefusedError, match="a folder, which nobody can sign"):
        Segmenter.open(tmp_path)


@pytest.mark.parametrize(
    ("signers", "changes", "day", "words"),
    [
        (["stranger:release"], {}, DAY, "which is not trusted here"),
        (["release:quality"], {}, DAY, "may sign as release only"),
        (["release:release"], {}, date(2028, 1, 1), "trusted until 2027-12-31"),
        (["release:release"], {}, date(2027, 12, 31), None),
        (["stranger:release", "release:release"], {}, DAY, None),
        (["release:release"], {"required_roles": ["release"]}, DAY, None),
        (["release:release"], {"min_bundle_version": {"tiny": "1"}}, DAY, None),
        (["release:release"], {"min_bundle_version": {"tiny": "0.9.9", "other": "7"}}, DAY, None),
        (["release:release"], {"min_bundle_version": {"tiny": "1.0.1"}}, DAY, "is 1.0, at least 1.0.1 is required"),
        (["release:release"], {"min_bundle_version": {"tiny": "10"}}, DAY, "at least 10 is required"),
    ],
)
def test_what_a_policy_asks_for(
    device: Callable[..., Path],
    sign_tiny: Callable[..., Path],
    signers: list[str],
    changes: dict[str, Any],
    day: date,
    words: str | None,
) -> None:
    device(**changes)
    path = sign_tiny("b.edgeseg", *signers, day=day)
    report = verify_bundle(path)
    if words is None:
        Bundle.open(path).close()
        assert report["ok"] and report["signed"] and verify_code(report) == 0
        return
    with pytest.raises(RefusedError, match=words):
        Bundle.open(path)
    assert not report["ok"] and words in " ".join(report["refused"]) and verify_code(report) == 3
    assert report["variants"] == [], "what is refused is not run"
    assert not verify_bundle(path, allow_unsigned=True)["ok"], "the policy has the last word"


def test_every_required_role_is_asked_for(
    device: Callable[..., Path], tiny_bundle: Path, keys: Keys, tmp_path: Path
) -> None:
    both = [
        {"name": "house", "public_key": keys["release"][1].line},
        {"name": "audit", "public_key": keys["quality"][1].line},
    ]
    device(keys=both, required_roles=["release", "quality"])
    one = signed(tiny_bundle, tmp_path / "one.edgeseg", (keys["release"][0], "release"))
    with pytest.raises(RefusedError, match="a trusted signature as quality is required"):
        Bundle.open(one)
    two = signed(one, tmp_path / "two.edgeseg", (keys["quality"][0], "quality"))
    with Bundle.open(two) as bundle:
        assert [one.statement.role for one in bundle.signatures] == ["quality", "release"]


def test_a_wrong_signature_is_an_error_with_or_without_a_policy(bundle: Path, tmp_path: Path) -> None:
    from edgeseg.runtime.archive.layout import chunks

    with Bundle.open(bundle) as opened:
        entries = {name: opened.read(name) for name in opened.names}
        name, its = opened.signatures[0].statement.entry, opened.signatures[0]
    forged = type(its)(its.statement, its.signature[:-1] + bytes([its.signature[-1] ^ 1]))
    path = tmp_path / "forged.edgeseg"
    path.write_bytes(b"".join(chunks(entries | {name: forged.to_bytes()})))
    for allow in (False, True):
        report = verify_bundle(path, allow_unsigned=allow)
        assert not report["ok"] and "did not make this signature" in report["refused"][0] and verify_code(report) == 1
        assert not any("NOT CHECKED" in one for one in report["not_checked"])


def test_a_pinned_key_on_the_command_line(bundle: Path, tiny_bundle: Path, keys: Keys, capsys) -> None:
    pub, other = (str(keys[name][0].with_suffix(".pub")) for name in ("release", "stranger"))
    assert main(["verify", str(bundle), "--trust", pub]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["signed"] and any("signature: signed as release" in one for one in report["checked"])
    assert main(["verify", str(bundle), "--trust", other, "--trust", pub]) == 0
    capsys.readouterr()
    for path, key in ((bundle, other), (tiny_bundle, pub)):
        assert main(["verify", str(path), "--trust", key, "--allow-unsigned"]) == 3
        assert "a trusted signature is required" in capsys.readouterr().err
    assert main(["verify", str(bundle), "--trust", str(keys["release"][0])]) == 1
    assert "a private key" in capsys.readouterr().err


def test_a_key_may_be_pinned_twice(keys: Keys) -> None:
    public = keys["release"][0].with_suffix(".pub")
    assert [one.key for one in ANY.trusting([public, public]).keys] == [keys["release"][1]]


def test_a_signature_without_a_trusted_key_is_not_checked(bundle: Path) -> None:
    report = verify_bundle(bundle)
    assert verify_code(report) == 3 and not report["signed"]
    assert "which is not trusted here" in report["not_checked"][0] and "NOT CHECKED" in report["not_checked"][0]
    assert verify_bundle(bundle, allow_unsigned=True)["ok"]


def test_without_cryptography_nothing_is_taken_for_signed(
    device: Callable[..., Path], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    report = verify_bundle(bundle)
    assert verify_code(report) == 3 and "NOT CHECKED" in report["not_checked"][0]
    assert "pip install 'edgeseg[sign]'" in report["not_checked"][0]
    device()
    with pytest.raises(RefusedError, match=r"edgeseg\[sign\]"):
        Segmenter.open(bundle)


def test_a_policy_that_cannot_be_read_opens_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESEG_POLICY", str(tmp_path / "gone.json"))
    with pytest.raises(TrustError, match="cannot be read"):
        Bundle.open(bundle)
    monkeypatch.delenv("EDGESEG_POLICY")
    monkeypatch.setattr(policies, "POLICY_FILE", tmp_path / "link.json")
    assert device_policy() == ANY
    (tmp_path / "link.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(TrustError, match="cannot be read"):
        Bundle.open(bundle)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_policy_that_others_may_write_opens_nothing(
    device: Callable[..., Path], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = device()
    path.chmod(mode)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for named in (path, link):
        monkeypatch.setenv("EDGESEG_POLICY", str(named))
        with pytest.raises(TrustError, match=rf"may be written by others .*mode {mode:04o}.*chmod go-w"):
            Bundle.open(bundle)
    path.chmod(0o644)
    Bundle.open(bundle).close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"require_signature": "yes"}, "require_signature"),
        ({"require_signatures": True}, "unknown key"),
        ({"keys": []}, "keys is empty"),
        ({"require_signature": False, "required_roles": ["release"]}, "required_roles without"),
        ({"required_roles": ["quality"]}, "no key may sign as 'quality'"),
        ({"required_roles": ["Release"]}, "small letters"),
        ({"min_bundle_version": {"tiny": "one"}}, "expected numbers with dots"),
        ({"min_bundle_version": {"tiny": 1}}, "expected a string"),
        ({"min_bundle_version": "1"}, "min_bundle_version"),
        ({"min_bundle_version": {"tiny": "9" * 5000}}, "expected numbers with dots"),
        ({"keys": [{"name": "x", "public_key": "abc"}]}, "no Ed25519 public key"),
        ({"keys": [{"name": name, "public_key": "KEY"} for name in "xy"]}, "'x' is there twice"),
        ({"keys": [{"name": "x", "public_key": "KEY", "expires": "soon"}]}, "expected a day"),
        ({"keys": [{"name": "x", "public_key": "KEY", "expired": "2027-01-01"}]}, "Did you mean 'expires'"),
    ],
)
def test_a_policy_is_read_strictly(
    device: Callable[..., Path], keys: Keys, changes: dict[str, Any], words: str
) -> None:
    line = keys["release"][1].line
    given = json.loads(json.dumps(changes).replace('"KEY"', json.dumps(line)))
    with pytest.raises(EdgesegError, match=words):
        Policy.from_file(device(**given))


def test_a_key_that_stands_twice_in_the_file_is_refused(device: Callable[..., Path]) -> None:
    path = device()
    path.write_text(path.read_text().replace("{", '{"require_signature": false, ', 1))
    with pytest.raises(ManifestError, match="'require_signature' twice"):
        device_policy()


def test_versions_compare_as_numbers() -> None:
    assert [version_key(one) for one in ("1", "1.0", "1.10", "0", "1.x", "", "v1", "1.")] == [
        *((1,), (1,), (1, 10), (0,)),
        *(None, None, None, None),
    ]
    assert Policy(min_bundle_version={"a": "1.9"}).min_bundle_version
    assert version_key("1.10") > version_key("1.9")  # type: ignore[operator]


def test_a_version_that_is_no_number_is_refused_where_one_is_asked_for(keys: Keys) -> None:
    from edgeseg.runtime.trust.verdict import judge

    trusted = (TrustedKey("house", keys["release"][1], expires=DAY + timedelta(1)),)
    for version in ("blue", "9" * 5000):  # more digits than Python makes a number of
        verdict = judge(Policy(keys=trusted, min_bundle_version={"a": "1"}), "a", version, ())
        assert verdict.refusals == (f"its version {version!r} is not made of numbers, at least 1 is required",)
