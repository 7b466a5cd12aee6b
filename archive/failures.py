"""What failures of one cause have in common."""

import hashlib
import re

import msgspec

from tilewright.archive.records import FailedAttempt
from tilewright.sandbox.failure import Failure

# What differs between two failures of one cause: numbers, addresses, and names in quotes.
_VARIABLE = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|'[^']*'|\"[^\"]*\"|`[^`]*`")


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failures that read the same once numbers and names are left out; `latest` is the newest of them."""

    fingerprint: str
    count: int
    latest: FailedAttempt


def fingerprint(failure: Failure) -> str:
    """Return 16 hex digits that failures of one cause share, whatever their numbers and names."""
    words = _VARIABLE.sub("#", failure.message)
    return hashlib.sha256(f"{failure.kind}\n{failure.stage}\n{words}".encode()).hexdigest()[:16]
