"""`edgeseg keygen` and `edgeseg sign`: who stands for a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import BundleFile, Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from edgeseg.runtime.trust.signature import Statement


_ROLE = "release"


def keygen(
    key: Annotated[Path, typer.Argument(help="The private key to write; the public one gets .pub.", metavar="FILE")],
    as_json: Json = False,
) -> None:
    """Make an Ed25519 key: FILE for who signs, with rights for its owner alone, and FILE's .pub for every device."""
    with reported(debug=invocation.debug):
        from rich.text import Text

        from edgeseg.export.signing.keys import PUBLIC, generate
        from edgeseg.pipeline.text.shown import show

        public = generate(key)
        files = {"private": str(key), "public": str(key.with_suffix(PUBLIC))}
        report = {**files, "key_id": public.key_id, "public_key": public.line}
        said = f"wrote {files['private']} (keep it secret) and {files['public']}; key {public.key_id}, in a policy:\n"
        show(report, Text(said + f'  "public_key": "{public.line}"'), as_json=as_json)


def sign(
    bundle: BundleFile,
    key: Annotated[Path | None, typer.Option(help="Private key to sign with.", metavar="FILE")] = None,
    role: Annotated[
        str | None, typer.Option(help=f"What the signer stands for. Default: {_ROLE}.", metavar="ROLE")
    ] = None,
    digest_out: Annotated[
        Path | None,
        typer.Option(help="Write what is to be signed elsewhere, as by an HSM; needs --public.", metavar="FILE"),
    ] = None,
    public: Annotated[
        Path | None, typer.Option(help="Public key of whoever signs what --digest-out wrote.", metavar="FILE")
    ] = None,
    attach: Annotated[
        Path | None,
        typer.Option(help="Add this signature over the file that --statement names.", metavar="FILE"),
    ] = None,
    statement: Annotated[
        Path | None, typer.Option(help="The file that --digest-out wrote and that was signed.", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a bundle: by --key; or elsewhere, by --digest-out FILE --public KEY, then --attach SIG --statement FILE.

    Several may sign one bundle, each as a role. What was signed stays byte for byte as it was packed.
    """
    with reported(debug=invocation.debug):
        from rich.text import Text

        from edgeseg.pipeline.text.shown import show

        given = [name for name, value in (("key", key), ("out", digest_out), ("attach", attach)) if value is not None]
        if len(given) != 1 or (digest_out is None) != (public is None) or (attach is None) != (statement is None):
            raise typer.BadParameter("give --key, or --digest-out with --public, or --attach with --statement")
        if attach is not None and role is not None:
            raise typer.BadParameter("--role stands in the statement that was signed; leave it out with --attach")
        if key is not None:
            found, words = _sign(bundle, key, role or _ROLE), f"signed {bundle}"
        elif digest_out is not None and public is not None:
            found, words = (
                _digest(bundle, public, role or _ROLE, digest_out),
                f"wrote {digest_out}, to be signed as it is,",
            )
        else:
            assert attach is not None and statement is not None
            found, words = _attach(bundle, statement, attach), f"signed {bundle}"
        report: dict[str, Any] = {"bundle": str(bundle), "bundle_id": found.bundle_id, "entry": found.entry}
        report |= {"role": found.role, "date": found.date.isoformat(), "key_id": found.key.key_id}
        show(report, Text(f"{words} as {found.role} by key {found.key.key_id}"), as_json=as_json)


def _sign(bundle: Path, key: Path, role: str) -> Statement:
    from edgeseg.export.signing.sign import sign as sign_bundle

    return sign_bundle(bundle, key, role, _today()).statement


def _digest(bundle: Path, public: Path, role: str, out: Path) -> Statement:
    from edgeseg.export.signing.sign import state
    from edgeseg.runtime.files.atomic import write_bytes
    from edgeseg.runtime.trust.public_key import PublicKey

    statement = state(bundle, PublicKey.from_file(public), role, _today())
    write_bytes(out, statement.text)
    return statement


def _attach(bundle: Path, statement: Path, signature: Path) -> Statement:
    from edgeseg.export.signing.sign import attach

    return attach(bundle, statement, signature).statement


def _today() -> Any:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).date()
