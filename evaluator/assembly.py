"""The trusted side's assembler runs: PTX from a sandbox becomes a binary, with arguments of our own."""

import hashlib
import importlib.util
import re
import resource
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import msgspec

from tilewright.sandbox.errors import SandboxError
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Ptx
from tilewright.sandbox.targets import Target

_WALL_S = 60.0
_MEMORY_BYTES = 8 << 30
_DETAIL_CHARACTERS = 4000
_ENTRY = re.compile(r"^\.visible \.entry (\w+)\(", re.MULTILINE)


class Cubin(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel's binary and what the assembler said of it.

    Attributes:
        data: The ELF file.
        registers: Registers a thread.
        spill_bytes: Bytes of spill stores and loads together.
        stack_bytes: Stack frame of a thread.
        shared_bytes: Static shared memory.
    """

    data: bytes
    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int

    @property
    def sha(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()


class AssemblerMissingError(SandboxError):
    """Triton is not installed with its assembler, or the assembler cannot be run."""


def assemble(ptx: Ptx, target: Target) -> Cubin | Failure:
    """Assemble PTX that came out of a sandbox.

    Nothing of the candidate reaches the command line: architecture and options are the ones that Triton itself uses.

    Args:
        ptx: The text; its hash and the name of its entry are not believed.
        target: A `cuda` target.

    Returns:
        The binary, or the candidate's fault: COMPILE_ERROR, TIME_LIMIT, or PROTOCOL if the text is not what it claims.

    Raises:
        AssemblerMissingError: There is no ptxas.
    """
    if hashlib.sha256(ptx.text.encode()).hexdigest() != ptx.sha or _ENTRY.findall(ptx.text) != [ptx.entry]:
        message = f"expected the PTX of one entry {ptx.entry} with SHA-256 {ptx.sha[:12]}...; got another text"
        return Failure(kind=FailureKind.PROTOCOL, stage=Stage.COMPILE, message=message)
    with tempfile.TemporaryDirectory(prefix="tilewright-ptxas-") as folder:
        source, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx.text, encoding="utf-8")
        options = ["-v", "--regAllocOptLevel=2", f"--gpu-name={gpu_name(target)}", str(source), "-o", str(binary)]
        ran = _run([str(assembler(target)), *options])
        if isinstance(ran, Failure):
            return ran
        if ran.returncode != 0:
            return _compile_error(ptx.entry, ran.stderr.replace(str(source), "kernel.ptx"))
        return _to_cubin(binary.read_bytes(), ran.stderr)


def disassemble(cubin: bytes) -> str:
    """Return the SASS of a binary as nvdisasm prints it; costs 0.4 s.

    Raises:
        AssemblerMissingError: There is no nvdisasm.
    """
    with tempfile.TemporaryDirectory(prefix="tilewright-nvdisasm-") as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(cubin)
        ran = _run([str(_tool("nvdisasm")), "--print-code", "--no-dataflow", str(binary)])
    if isinstance(ran, Failure) or ran.returncode != 0:
        raise AssemblerMissingError(f"expected nvdisasm to read a cubin; got {ran}")
    return ran.stdout


def assembler(target: Target) -> Path:
    """Return the path of the assembler that Triton ships for a target."""
    return _tool("ptxas-blackwell" if isinstance(target.arch, int) and target.arch >= 100 else "ptxas")


def gpu_name(target: Target) -> str:
    """Return ptxas' name of a target, with the architecture-specific features that Triton asks for from sm_90 on."""
    return f"sm_{target.arch}{'a' if isinstance(target.arch, int) and target.arch >= 90 else ''}"


@cache
def _tool(name: str) -> Path:
    # Importing triton would cost a tenth of a second and memory in every process that only assembles.
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        raise AssemblerMissingError("expected triton to be installed; it brings ptxas")
    path = Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name
    if not path.is_file():
        raise AssemblerMissingError(f"expected {name} within triton; got none at {path}")
    return path


def _run(command: list[str]) -> "subprocess.CompletedProcess[str] | Failure":
    """Run a tool on foreign input with an empty environment, bounded in time and memory."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={}, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
            out, err = process.communicate(timeout=_WALL_S)
        except ProcessLookupError:
            out, err = process.communicate()
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            message = f"expected {Path(command[0]).name} to end within {_WALL_S:.0f} s; it was stopped"
            return Failure(kind=FailureKind.TIME_LIMIT, stage=Stage.COMPILE, message=message)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _compile_error(entry: str, log: str) -> Failure:
    lines = [line for line in log.splitlines() if "error" in line or "fatal" in line] or ["no message"]
    return Failure(
        kind=FailureKind.COMPILE_ERROR,
        stage=Stage.COMPILE,
        message=f"{entry}: {' '.join(lines[0].split())[:280]}",
        detail=log[:_DETAIL_CHARACTERS],
    )


def _to_cubin(data: bytes, log: str) -> Cubin:
    def number(pattern: str) -> int:
        found = re.search(pattern, log)
        return int(found.group(1)) if found else 0

    return Cubin(
        data=data,
        registers=number(r"Used (\d+) registers"),
        spill_bytes=number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        stack_bytes=max(number(r"(\d+) bytes stack frame"), number(r"(\d+) bytes cumulative stack size")),
        shared_bytes=number(r"(\d+) bytes smem"),
    )
