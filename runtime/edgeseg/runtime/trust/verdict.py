"""Whether a bundle's signatures and version are what a policy asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.trust.policy import Policy, version_key
from edgeseg.runtime.trust.signature import Signature

Status = Literal["trusted", "unknown signer", "expired", "other role", "wrong", "not checked"]


@dataclass(frozen=True)
class Judged:
    """One signature as a policy sees it.

    Attributes:
        signature: The signature.
        status: `trusted`; or why not: made by no key of the policy; after the last day of its key; as what its key may
            not sign; `wrong` where the signature was not made by its key over its statement; `not checked` where
            `cryptography` is missing.
        reason: A sentence for people.
    """

    signature: Signature
    status: Status
    reason: str

    def to_json(self) -> dict[str, str]:
        """For reports."""
        its = self.signature.statement
        said = {"role": its.role, "date": its.date.isoformat(), "key_id": its.key.key_id}
        return said | {"status": self.status, "reason": self.reason}


@dataclass(frozen=True)
class Verdict:
    """What a policy says of a bundle.

    Attributes:
        judged: Its signatures.
        refusals: Why the policy refuses it; empty where it does not.
        signed: Whether a trusted key signed it.
    """

    judged: tuple[Judged, ...]
    refusals: tuple[str, ...]

    @property
    def signed(self) -> bool:
        """Whether a trusted key has signed it, and no signature is wrong."""
        statuses = {one.status for one in self.judged}
        return "trusted" in statuses and "wrong" not in statuses

    @property
    def wrong(self) -> bool:
        """Whether a signature in it was made over something else, or by another key, than it says."""
        return any(one.status == "wrong" for one in self.judged)


def judge(policy: Policy, name: str, version: str, signatures: Sequence[Signature]) -> Verdict:
    """Hold a bundle against a policy.

    Args:
        policy: What is asked for.
        name: The bundle's.
        version: The bundle's.
        signatures: Its signatures, each over this very bundle.
    """
    judged = tuple(_judge(policy, one) for one in signatures)
    refusals = [one.reason for one in judged if one.status == "wrong"]
    if policy.require_signature:
        refusals += _missing(policy, judged)
    refusals += _too_old(policy, name, version)
    return Verdict(judged, tuple(refusals))


def _judge(policy: Policy, one: Signature) -> Judged:
    its = one.statement
    who = f"signed as {its.role} on {its.date} by key {its.key.key_id}"
    try:
        right = one.is_right()
    except BackendError as err:
        return Judged(one, "not checked", f"{who}: {err}")
    if not right:
        return Judged(one, "wrong", f"{who}: this key did not make this signature: forged or damaged")
    known = next((trusted for trusted in policy.keys if trusted.key == its.key), None)
    if known is None:
        return Judged(one, "unknown signer", f"{who}, which is not trusted here")
    who = f"{who} ({known.name})"
    if known.roles and its.role not in known.roles:
        return Judged(one, "other role", f"{who}, which may sign as {', '.join(known.roles)} only")
    if known.expires is not None and its.date > known.expires:
        return Judged(one, "expired", f"{who}, which is trusted until {known.expires}")
    return Judged(one, "trusted", who)


def _missing(policy: Policy, judged: Sequence[Judged]) -> list[str]:
    trusted = {one.signature.statement.role for one in judged if one.status == "trusted"}
    if trusted and trusted >= set(policy.required_roles):
        return []
    why = "; ".join(one.reason for one in judged if one.status not in ("trusted", "wrong"))
    lacking = [role for role in policy.required_roles if role not in trusted]
    wanted = f"a trusted signature as {', '.join(lacking)}" if lacking else "a trusted signature"
    return [f"{wanted} is required, " + (f"found: {why}" if why else "none is in it")]


def _too_old(policy: Policy, name: str, version: str) -> list[str]:
    lowest = policy.min_bundle_version.get(name)
    if lowest is None:
        return []
    found, wanted = version_key(version), version_key(lowest)
    assert wanted is not None, "checked when the policy was read"
    if found is None:
        return [f"its version {version!r} is not made of numbers, at least {lowest} is required"]
    return [] if found >= wanted else [f"its version is {version}, at least {lowest} is required"]
