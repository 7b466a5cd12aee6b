"""NVIDIA machine code: sections of a cubin, instruction counts and a hash, read from the bytes.

Disassembling one kernel with nvdisasm costs 0.4 s of CPU, whatever its size, which is more than recording and
compiling it; the few fields needed here stand at fixed places of each 16-byte instruction since Volta.
`assembly.disassemble` gives the text, and a test holds both to the same counts.
"""

import hashlib
import re
import struct
from collections import Counter

import msgspec

from tilewright.evaluator.recording import InstructionMix

_INSTRUCTION_BYTES = 16
# Bank 0 holds the launch's parameters; the others hold literals, which decide results as code does.
_LITERALS = re.compile(r"\.nv\.(constant[1-9]|global\.init)")
_NOP = 0x118
_BRA = 0x147
_EXIT = 0x14D
_WIDTH_128 = 6
_WIDTHS = (1, 1, 2, 2, 4, 8, 16, 16)  # bytes of a load, by its three bits
_LOADS = frozenset((0x181, 0x1AE))  # LDG, LDGSTS

# Bits 0 to 8 of an instruction: the operation; bits 9 to 11 choose the operands' form.
_COUNTED = {
    0x1F0: "hgmma", 0x1F1: "hgmma", 0x1F3: "hgmma",  # HGMMA, IGMMA, QGMMA
    0x1EA: "hgmma",  # UTCHMMA, Blackwell's successor
    0x03C: "hmma", 0x037: "hmma", 0x03F: "hmma",  # HMMA, IMMA, DMMA
    0x1AE: "ldgsts", 0x1B4: "utmaldg",
    0x181: "global_loads", 0x186: "global_stores",
    0x184: "shared_loads", 0x03B: "shared_loads",  # LDS, LDSM
    0x188: "shared_stores", 0x044: "shared_stores",  # STS, STSM
    0x183: "local_accesses", 0x187: "local_accesses",  # LDL, STL
    0x1A3: "atomics", 0x1A8: "atomics", 0x1A9: "atomics", 0x18C: "atomics",  # ATOMG, ATOMS
    0x18E: "atomics", 0x1A6: "atomics",  # RED, REDG
    0x11D: "barriers", 0x189: "shuffles", 0x108: "special",
}  # fmt: skip
_WIDE = {0x181: "global_loads_128", 0x186: "global_stores_128"}


class MachineCode(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes of a cubin say.

    Attributes:
        sha: SHA-256 of instructions and constants: neither addresses nor names are in them.
        mix: Instruction counts.
    """

    sha: str
    mix: InstructionMix


class CubinError(ValueError):
    """The assembler gave something that is not the ELF file of a kernel."""


def read_machine_code(cubin: bytes, *, arch: int) -> MachineCode:
    """Return hash and instruction counts of a cubin.

    Args:
        cubin: The ELF file that ptxas wrote.
        arch: Compute capability times ten; branches are encoded differently before 90.

    Raises:
        CubinError: It is not a cubin.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    for name, data in _sections(cubin):
        if name.startswith(".text.") or _LITERALS.match(name):
            digest.update(struct.pack("<Q", len(data)) + data)
        if name.startswith(".text."):
            counts.update(_count(data, arch))
    return MachineCode(sha=digest.hexdigest(), mix=InstructionMix(**counts))


def _sections(cubin: bytes) -> list[tuple[str, bytes]]:
    """Return name and contents of each section that has contents, in their order."""
    if cubin[:5] != b"\x7fELF\x02":
        raise CubinError("expected a 64-bit ELF file from ptxas")
    (table,) = struct.unpack_from("<Q", cubin, 40)
    count, names_index = struct.unpack_from("<HH", cubin, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", cubin, table + 64 * i) for i in range(count)]
    names = headers[names_index][4]
    without_bits = 8  # SHT_NOBITS: occupies no bytes of the file
    found = []
    for header in headers:
        start = names + header[0]
        name = cubin[start : cubin.index(b"\0", start)].decode()
        if header[1] != without_bits:
            found.append((name, cubin[header[4] : header[4] + header[5]]))
    return found


def _count(code: bytes, arch: int) -> Counter[str]:
    words = list(struct.iter_unpack("<QQ", code[: len(code) // _INSTRUCTION_BYTES * _INSTRUCTION_BYTES]))
    while words and words[-1][0] & 0x1FF == _NOP:
        words.pop()  # padding
    if words and words[-1][0] & 0x1FF == _BRA:
        words.pop()  # a branch to itself stands before the padding
    counts: Counter[str] = Counter(total=len(words))
    for low, high in words:
        operation = low & 0x1FF
        if operation in _COUNTED:
            counts[_COUNTED[operation]] += 1
        if operation in _WIDE and (high >> 9) & 7 == _WIDTH_128:
            counts[_WIDE[operation]] += 1
        if operation == _BRA and _branch_offset(low, high, arch) < 0:
            counts["branches_back"] += 1
    for place in _looping(words, arch):
        low, high = words[place]
        counts["loop_total"] += 1
        if low & 0x1FF in _LOADS:
            counts["loop_load_bytes"] += _WIDTHS[(high >> 9) & 7]
    for low, high in words:
        if low & 0x1FF in _LOADS:
            counts["load_bytes"] += _WIDTHS[(high >> 9) & 7]
    return counts


def _looping(words: list[tuple[int, int]], arch: int) -> frozenset[int]:
    """Return the places of instructions that lie within a loop.

    What comes after the last exit is out of the way of the main path, and its branches go back to it, not round.
    """
    exits = [place for place, (low, _) in enumerate(words) if low & 0x1FF == _EXIT]
    inside: set[int] = set()
    for place, (low, high) in enumerate(words[: exits[-1] if exits else len(words)]):
        offset = _branch_offset(low, high, arch) if low & 0x1FF == _BRA else 0
        if offset < 0:
            inside.update(range(max(0, place + 1 + offset // 4), place + 1))
    return frozenset(inside)


def _branch_offset(low: int, high: int, arch: int) -> int:
    """Return the distance of a branch's target from the next instruction, in units of four bytes."""
    offset = ((high << 64 | low) >> 34) & ((1 << 48) - 1)
    if offset >> 47:
        offset -= 1 << 48
    return offset if arch < 90 else offset << 8 | (low >> 16) & 0xFF
