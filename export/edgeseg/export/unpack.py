"""Taking a bundle apart: all its entries, or one variant as a step's folder."""

from __future__ import annotations

from pathlib import Path

from edgeseg.export.cpp.contract import write_code
from edgeseg.runtime.files.atomic import new_folder, write_bytes, write_json
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.step_folder import SPEC
from edgeseg.runtime.trt.built_engine import write_record


def unpack(bundle: Bundle, out: Path, variant: str | None = None, with_code: bool = False) -> tuple[str, ...]:
    """Write what is in a bundle into a new folder, whole or not at all; every hash is checked on the way.

    Args:
        bundle: An open bundle.
        out: The folder: not there yet, or empty.
        variant: Write this one as a step's folder, model file and `spec.json`, beside an engine its record; None writes
            every entry as it is.
        with_code: In the place of `spec.json` write `contract.json`, a C++ file that runs it, and golden frames.

    Returns:
        The files, relative to `out`.

    Raises:
        BundleError: If an entry is damaged, or there is no such variant.
        ExportError: If the C++ file knows no way to run that variant.
        EdgesegError: If something else is in that folder, or it cannot be written.
    """
    with new_folder(out) as folder:
        if variant is None:
            for name in bundle.names:
                write_bytes(folder / name, bundle.read(name))
            return bundle.names
        one = bundle.variant(variant)
        model = f"model{Path(one.file).suffix}"
        write_bytes(folder / model, bundle.read(one.file))
        if with_code:
            return (model, *write_code(bundle, one, folder, model))
        write_json(folder / SPEC, one.spec.to_json())
        return (model, SPEC, *([] if one.engine is None else [write_record(folder / model, one.engine).name]))
