"""A whole bundle opens; one that was changed in any way is refused, with what and what to do."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgeseg.runtime.archive.layout import chunks
from edgeseg.runtime.errors import BundleError, ManifestError
from edgeseg.runtime.opening.bundle import Bundle

Entries = dict[str, bytes]


def contents(path: Path) -> Entries:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def summed(entries: Mapping[str, bytes]) -> Entries:
    """The entries with a fresh list of hashes, as a careful forger would make it."""
    kept = {name: content for name, content in entries.items() if name != "SHA256SUMS"}
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in kept.items()]
    return kept | {"SHA256SUMS": "".join(lines).encode()}


def write(path: Path, entries: Mapping[str, bytes]) -> Path:
    """In the one form that is read."""
    path.write_bytes(b"".join(chunks(entries)))
    return path


def write_zip(path: Path, entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """As another program would."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return path


def test_a_whole_bundle_opens_and_reads(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        assert [variant.name for variant in bundle.variants] == ["onnx-fp32", "onnx-int8-x86"]
        variant = bundle.variant("onnx-fp32")
        content = bundle.read(variant.file)
        assert len(content) == variant.bytes
        assert hashlib.sha256(content).hexdigest() == variant.sha256
        assert bundle.manifest.golden
        with pytest.raises(BundleError, match="Did you mean 'onnx-int8-x86'"):
            bundle.variant("onnx-int8-x68")
        with pytest.raises(BundleError, match="no entry"):
            bundle.read("variants/none.onnx")


def test_a_changed_model_is_found_when_it_is_read(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    name = "variants/onnx-fp32.onnx"
    entries[name] = entries[name][:-1] + bytes([entries[name][-1] ^ 1])
    with Bundle.open(write(tmp_path / "b.edgeseg", entries)) as bundle:
        with pytest.raises(BundleError, match="was changed or damaged"):
            bundle.read(name)
        assert bundle.read("variants/onnx-int8-x86.onnx")


def test_a_changed_model_with_fresh_sums_differs_from_the_manifest(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle) | {"variants/onnx-fp32.onnx": b"other"}
    with pytest.raises(BundleError, match="another hash than the manifest"):
        Bundle.open(write(tmp_path / "b.edgeseg", summed(entries)))


def test_a_changed_manifest_is_found_on_opening(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    entries["manifest.json"] = entries["manifest.json"].replace(b"tests only", b"anything!!")
    with pytest.raises(BundleError, match=r"manifest\.json.*changed or damaged"):
        Bundle.open(write(tmp_path / "b.edgeseg", entries))


def with_manifest(entries: Entries, change: Callable[[dict], None]) -> Entries:
    manifest = json.loads(entries["manifest.json"])
    change(manifest)
    return summed(entries | {"manifest.json": json.dumps(manifest).encode()})


def test_what_was_changed_after_packing_is_not_the_bundle_it_calls_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    entries, path = contents(tiny_bundle), tmp_path / "b.edgeseg"
    own = json.loads(entries["manifest.json"])["bundle_id"].encode()
    for old, new in ((b'"min_area_px": 1', b'"min_area_px": 9'), (own, own[:-16] + b"0123456789abcdef")):
        changed = entries["manifest.json"].replace(old, new)
        assert changed != entries["manifest.json"]
        with pytest.raises(BundleError, match="changed after it was packed"):
            Bundle.open(write(path, summed(entries | {"manifest.json": changed})))
    for other in ({"more": b"x"}, {"golden/000.png": entries["golden/001.png"]}):
        with pytest.raises(BundleError, match="changed after it was packed"):
            Bundle.open(write(path, summed(entries | other)))
    Bundle.open(write(path, summed(entries))).close()


def test_a_manifest_of_another_version_says_so(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = with_manifest(contents(tiny_bundle), lambda manifest: manifest.update(schema_version=99))
    with pytest.raises(ManifestError, match="schema_version is 99"):
        Bundle.open(write(tmp_path / "b.edgeseg", entries))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries.pop("SHA256SUMS"), "SHA256SUMS is missing"),
        (lambda entries: entries.pop("manifest.json"), r"manifest\.json is missing"),
        (lambda entries: entries.pop("golden/000.png"), r"differ in: golden/000\.png"),
        (lambda entries: entries.pop("variants/onnx-fp32.onnx"), r"differ in: variants/onnx-fp32\.onnx"),
        (lambda entries: entries.update(extra=b"x"), "differ in: extra"),
        (lambda entries: entries.update(SHA256SUMS=b"not a sum\n"), "unusable line"),
        (lambda entries: entries.update(SHA256SUMS=entries["SHA256SUMS"] * 2), "unusable line"),
        (lambda entries: entries.update(SHA256SUMS=entries["SHA256SUMS"].replace(b"\n", b"\r\n")), "orders them"),
        (lambda entries: entries.update(SHA256SUMS=entries["SHA256SUMS"][:-1]), "orders them"),
        (lambda entries: entries.update({"golden/001.png": entries.pop("golden/000.png")}), r"differ in: golden/000"),
        (lambda entries: entries.update({"golden/000.png": entries.pop("golden/000.png")}), "orders them"),
        (lambda entries: entries.update({"manifest.json": entries.pop("manifest.json")}), "orders them"),
    ],
)
def test_entries_that_are_not_those_listed_are_refused(
    tiny_bundle: Path, tmp_path: Path, change: Callable[[Entries], object], words: str
) -> None:
    entries = contents(tiny_bundle)
    change(entries)
    with pytest.raises(BundleError, match=words):
        Bundle.open(write(tmp_path / "b.edgeseg", entries))


def test_entries_in_another_order_are_refused_though_the_list_has_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    first = {"golden/000.png": entries.pop("golden/000.png")}
    with pytest.raises(BundleError, match="orders them"):
        Bundle.open(write(tmp_path / "b.edgeseg", summed(first | entries)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries.update({"../../etc/evil": b"x"}), "leads out of the bundle"),
        (lambda entries: entries.update({"/etc/evil": b"x"}), "leads out of the bundle"),
        (lambda entries: entries.update({"golden/../../evil": b"x"}), "leads out of the bundle"),
        (lambda entries: entries.update({"C:\\evil": b"x"}), "leads out of the bundle"),
        (lambda entries: entries.update({"golden\\..\\evil": b"x"}), "leads out of the bundle"),
        (lambda entries: entries.update({"golden/": b""}), "leads out of the bundle"),
        (lambda entries: entries.update({".hidden": b"x"}), "not plain"),
    ],
)
def test_entries_that_packing_never_writes_are_refused(
    tiny_bundle: Path, tmp_path: Path, change: Callable[[Entries], object], words: str
) -> None:
    entries = contents(tiny_bundle)
    change(entries)
    with pytest.raises(BundleError, match=words):
        Bundle.open(write_zip(tmp_path / "b.edgeseg", entries))


def test_missing_golden_and_variant_files_are_named(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    del entries["golden/000.png"]
    with pytest.raises(BundleError, match=r"golden file 'golden/000\.png' is missing"):
        Bundle.open(write(tmp_path / "b.edgeseg", summed(entries)))
    entries = contents(tiny_bundle)
    del entries["variants/onnx-fp32.onnx"]
    with pytest.raises(BundleError, match="is missing or has another hash"):
        Bundle.open(write(tmp_path / "c.edgeseg", summed(entries)))


def test_compressed_entries_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is compressed"):
        Bundle.open(write_zip(tmp_path / "b.edgeseg", contents(tiny_bundle), zipfile.ZIP_DEFLATED))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_there_twice_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "b.edgeseg", contents(tiny_bundle))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("manifest.json", b"{}")
    with pytest.raises(BundleError, match="there twice"):
        Bundle.open(path)


def test_an_encrypted_entry_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    content = bytearray(tiny_bundle.read_bytes())
    at = content.index(b"PK\x01\x02")  # the flags of the first central header are 8 bytes on
    content[at + 8] |= 1
    (tmp_path / "b.edgeseg").write_bytes(content)
    with pytest.raises(BundleError, match="encrypted"):
        Bundle.open(tmp_path / "b.edgeseg")


def test_missing_empty_truncated_and_foreign_files(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        Bundle.open(tmp_path / "gone.edgeseg")
    with pytest.raises(BundleError, match="folder"):
        Bundle.open(tmp_path)
    path = tmp_path / "b.edgeseg"
    whole = tiny_bundle.read_bytes()
    for content, words in (
        (b"", "0 bytes"),
        (b"just some text", "not a whole zip"),
        (whole[: len(whole) // 2], "not a whole zip"),
        (whole[:-10], "not a whole zip"),
    ):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=words):
            Bundle.open(path)


def info(name: str, **changes: object) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.create_system, found.external_attr = 3, 0o644 << 16
    for key, value in changes.items():
        setattr(found, key, value)
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"external_attr": 0o120777 << 16}, "is a link"),
        ({"external_attr": 0o755 << 16}, "byte for byte"),
        ({"date_time": (2026, 11, 28, 0, 0, 0)}, "byte for byte"),
        ({"create_system": 0}, "byte for byte"),
        ({"comment": b"x"}, "byte for byte"),
        ({"extra": b"\x99\x99\x00\x00"}, "byte for byte"),
        ({"internal_attr": 1}, "byte for byte"),
    ],
    ids=str,
)
def test_what_a_zip_may_say_beside_its_contents_is_fixed(
    tiny_bundle: Path, tmp_path: Path, change: dict[str, object], words: str | None
) -> None:
    path = tmp_path / "b.edgeseg"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents(tiny_bundle).items():
            archive.writestr(info(name, **(change if name == "golden/000.png" else {})), content)
    if words is None:
        assert path.read_bytes() == tiny_bundle.read_bytes(), "another program can write the form, too"
        return
    with pytest.raises(BundleError, match=words):
        Bundle.open(path)


def test_gaps_and_what_stands_before_or_behind_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    whole = tiny_bundle.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    path = tmp_path / "b.edgeseg"
    for content in (b"#!" + whole, whole + b"\0", whole[:directory] + b"hidden" + whole[directory:]):
        path.write_bytes(content)
        with pytest.raises(BundleError):
            Bundle.open(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hidden"
    with pytest.raises(BundleError, match="byte for byte"):
        Bundle.open(path)


def test_a_bundle_from_the_future_says_so(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = with_manifest(contents(tiny_bundle), lambda manifest: manifest.update(schema_version=2, more={}))
    with pytest.raises(ManifestError, match="newer edgeseg packed it: install that one"):
        Bundle.open(write(tmp_path / "b.edgeseg", entries))
