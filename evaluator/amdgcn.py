"""AMD machine code: what the assembly text of one kernel says of itself; nothing is assembled."""

import hashlib
import re
from collections import Counter

import msgspec

from tilewright.evaluator.recording import InstructionMix

_MNEMONIC = re.compile(r"^\t([a-z]\w+)(.*)$", re.MULTILINE)
_LABEL = re.compile(r"^(\.L\w+):", re.MULTILINE)
_COUNTED = (
    (re.compile(r"v_mfma_|v_smfmac_"), "hmma"),
    (re.compile(r"(buffer|global|flat)_load_"), "global_loads"),
    (re.compile(r"(buffer|global|flat)_store_"), "global_stores"),
    (re.compile(r"(buffer|global|flat|ds)_\w*(atomic|add_rtn)"), "atomics"),
    (re.compile(r"ds_(bpermute|permute|swizzle)"), "shuffles"),
    (re.compile(r"ds_read"), "shared_loads"),
    (re.compile(r"ds_write"), "shared_stores"),
    (re.compile(r"scratch_"), "local_accesses"),
    (re.compile(r"s_barrier"), "barriers"),
    (re.compile(r"v_(exp|log|rcp|rsq|sqrt|sin|cos)_"), "special"),
)


class AmdFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Resources and instruction counts of a kernel.

    Attributes:
        registers: Vector registers a lane, accumulation registers included.
        spill_bytes: Bytes of spilled registers a lane.
        stack_bytes: Private memory of a lane.
        shared_bytes: Static local data share of a program.
        threads: Most lanes of a program.
        sha: SHA-256 of the instructions, names left out.
        mix: Instruction counts.
    """

    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    threads: int
    sha: str
    mix: InstructionMix


def read_amdgcn(text: str, entry: str) -> AmdFacts:
    """Return the facts of a kernel from its assembly.

    Args:
        text: What Triton's AMD backend emits.
        entry: Name of the kernel; left out of the hash.
    """

    def number(name: str) -> int:
        found = re.search(rf"^\s+\.{name}:\s+(\d+)", text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    body = text.split(".section", 1)[0].replace(entry, "")
    code = "\n".join(line.split(";")[0].rstrip() for line in body.splitlines())
    return AmdFacts(
        registers=number("vgpr_count"),
        spill_bytes=4 * number("vgpr_spill_count"),
        stack_bytes=number("private_segment_fixed_size"),
        shared_bytes=number("group_segment_fixed_size"),
        threads=number("max_flat_workgroup_size"),
        sha=hashlib.sha256(code.encode()).hexdigest(),
        mix=_mix(code),
    )


def _mix(code: str) -> InstructionMix:
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for line in code.splitlines():
        if label := _LABEL.match(line):
            seen.add(label.group(1))
        found = _MNEMONIC.match(line)
        if found is None:
            continue
        mnemonic, operands = found.groups()
        counts["total"] += 1
        kind = next((name for pattern, name in _COUNTED if pattern.match(mnemonic)), None)
        if kind is not None:
            counts[kind] += 1
        if kind in ("global_loads", "global_stores") and "dwordx4" in mnemonic:
            counts[f"{kind}_128"] += 1
        if mnemonic.startswith(("s_branch", "s_cbranch")) and operands.strip() in seen:
            counts["branches_back"] += 1
    return InstructionMix(**counts)
