"""Asks a child process with Triton's interpreter, and builds what it is asked."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import torch

from tilewright.sandbox.failure import Failure
from tilewright.sandbox.protocol import (
    Answer,
    CaseData,
    Count,
    Counted,
    Interpret,
    Interpreted,
    LaunchCount,
    Refused,
    Request,
)
from tilewright.tasks.spec import Case, CaseRole, DType, ParameterSpec, TensorSpec

HEAD = """
import torch, triton, triton.language as tl
from torch import nn
from triton.language.extra import libdevice
"""


class Child:
    """One process that answers many requests, so that torch and Triton are imported once."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("interpreting_child.py")
        environment = {**os.environ, "TRITON_INTERPRET": "1"}
        command = [sys.executable, str(script)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )

    def ask(self, request: Request) -> list[Answer]:
        frame = msgspec.msgpack.encode(request)
        self._process.stdin.write(struct.pack("<I", len(frame)) + frame)
        size = struct.unpack("<I", self._read(4))[0]
        return msgspec.msgpack.decode(self._read(size), type=list[Answer])

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._process.stdout.read(size - len(data))
            if not part:
                raise RuntimeError("the interpreting child died; its traceback is on standard error")
            data += part
        return data

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def interpret(self, source: str, *inputs: torch.Tensor, **options: object) -> Interpreted:
        """Interpret a candidate on tensors and return the answer; it must not be refused."""
        answer = self.ask(request_of(source, *inputs, **options))[-1]
        assert isinstance(answer, Interpreted), answer
        return answer

    def refusal(self, source: str, *inputs: torch.Tensor, **options: object) -> Failure:
        """Interpret a candidate on tensors and return why it was refused."""
        answer = self.ask(request_of(source, *inputs, **options))[-1]
        assert isinstance(answer, Refused), answer
        return answer.failure

    def output(self, source: str, *inputs: torch.Tensor, **options: object) -> torch.Tensor:
        """Interpret a candidate on tensors and return its first output."""
        return output_of(self.interpret(source, *inputs, **options))

    def apply(self, expression: str, *inputs: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Evaluate an expression of `x` (and `y`, `z`) elementwise in a kernel."""
        return self.output(elementwise(expression, len(inputs), dtype), *inputs)

    def count(self, source: str, *shapes: tuple[int, ...], dtype: str = "float16", programs: int = 3) -> LaunchCount:
        """Count the only launch of a candidate on inputs of these shapes."""
        specs = tuple(contiguous(shape, dtype) for shape in shapes)
        request = Count(source=source, knobs=(), target="cuda:90", cases=(case_of(specs, dtype),), programs=programs)
        answer = self.ask(request)[-1]
        assert isinstance(answer, Counted), answer
        return answer.launches[0]


def contiguous(shape: tuple[int, ...], dtype: str) -> TensorSpec:
    strides = torch.empty(shape, device="meta").stride()
    return TensorSpec(shape=shape, strides=tuple(strides), dtype=DType(dtype))


def spec_of(tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(
        shape=tuple(tensor.shape), strides=tuple(tensor.stride()), offset=int(tensor.storage_offset()),
        dtype=DType(str(tensor.dtype).removeprefix("torch.")),
    )  # fmt: skip


def case_of(inputs: tuple[TensorSpec, ...], dtype: str = "float32", **parts: object) -> Case:
    filled = {"role": CaseRole.SMOKE, "init_args": "[]", "parameters": (), **parts}
    return Case(name="case", sizes=(), dtype=DType(dtype), inputs=inputs, outputs=(), **filled)


def request_of(
    source: str, *inputs: torch.Tensor, parameters: dict[str, torch.Tensor] | None = None, init_args: str = "[]",
    role: CaseRole = CaseRole.SMOKE, poison: int = 0xFF,
) -> Interpret:  # fmt: skip
    named = parameters or {}
    first = next((one for one in inputs if one.dtype.is_floating_point), torch.empty(0))
    case = case_of(
        tuple(spec_of(one) for one in inputs), str(first.dtype).removeprefix("torch."), role=role, init_args=init_args,
        parameters=tuple(ParameterSpec(name=name, tensor=spec_of(one)) for name, one in named.items()),
    )  # fmt: skip
    data = CaseData(
        case=case,
        inputs=tuple(storage(one) for one in inputs),
        parameters=tuple(storage(one) for one in named.values()),
    )
    return Interpret(source=source, knobs=(), target="cuda:90", cases=(data,), poison=poison)


def storage(tensor: torch.Tensor) -> bytes:
    size = spec_of(tensor).storage_bytes
    flat = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return flat[:size].numpy().tobytes()


def output_of(answer: Interpreted, index: int = 0) -> torch.Tensor:
    assert answer.not_covered == (), answer.not_covered
    spec = answer.plan.outputs[index].tensor
    dtype = getattr(torch, spec.dtype.value)
    return torch.frombuffer(bytearray(answer.outputs[index]), dtype=dtype).reshape(spec.shape)


def launcher(kernel: str, call: str, arguments: str = "x") -> str:
    """Return a candidate with a kernel and a `forward` whose body is `call`, which ends in a return."""
    body = "\n".join(f"        {line}" for line in call.strip().splitlines())
    return f"{HEAD}\n{kernel}\n\nclass ModelNew(nn.Module):\n    def forward(self, {arguments}):\n{body}\n"


def elementwise(expression: str, operands: int, dtype: torch.dtype) -> str:
    """Return a candidate that evaluates an expression of `x`, `y`, `z` and `offs` for each element of equal shapes."""
    names = ("x", "y", "z")[:operands]
    pointers = ", ".join(f"{name}_ptr" for name in names)
    loads = "\n".join(f"    {name} = tl.load({name}_ptr + offs, mask=offs < n)" for name in names)
    kernel = f"""
@triton.jit
def kernel({pointers}, out_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
{loads}
    tl.store(out_ptr + offs, {expression}, mask=offs < n)
"""
    call = f"""
out = torch.empty_like(x, dtype={dtype})
kernel[(triton.cdiv(x.numel(), 64),)]({", ".join(names)}, out, x.numel(), BLOCK=64)
return out
"""
    return launcher(kernel, call, ", ".join(names))
