"""Wrong versions of `kernels/rms_norm.py`, as an LLM would write them: what is replaced, and how each must end."""

from pathlib import Path

import msgspec

RIGHT = (Path(__file__).parent / "kernels" / "rms_norm.py").read_text()


class Wrong(msgspec.Struct, frozen=True):
    """A fault put into the right kernel.

    Attributes:
        name: The fault.
        changes: Text of the right kernel and what stands in its place.
        endings: Every ending that counts, a kind of failure and its stage.
    """

    name: str
    changes: dict[str, str]
    endings: tuple[str, ...]

    @property
    def source(self) -> str:
        """The whole file."""
        source = RIGHT
        for before, after in self.changes.items():
            assert before in source, before
            source = source.replace(before, after)
        return source


_LAUNCH = "        _forward[(rows,)](x, weight, y, rstd, cols, eps, BLOCK=triton.next_power_of_2(cols), num_warps=8)\n"
_LAUNCH_AGAIN = (
    "        _forward[(dy.shape[0],)](x, weight, y, rstd, x.shape[1], 1e-6, "
    "BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=8)\n"
)
_SAVE = "ctx.save_for_backward(x, weight, rstd)"
_UNPACK = "x, weight, rstd = ctx.saved_tensors\n"

WRONG = (
    Wrong(
        "the weight's gradient is added over the first half of the rows",
        {"partial.sum(0)": "partial[: triton.cdiv(parts, 2)].sum(0)"},
        ("WRONG_VALUES shapes",),
    ),
    Wrong(
        "the gradient of the input misses a factor",
        {"(tl.sum(wdy * normed, 0) / cols)) * rstd": "(tl.sum(wdy * normed, 0) / cols))"},
        ("WRONG_VALUES smoke",),
    ),
    Wrong(
        "the gradient of the input misses the term of the mean",
        {"(wdy - normed * (tl.sum(wdy * normed, 0) / cols)) * rstd": "wdy * rstd"},
        ("WRONG_VALUES smoke",),
    ),
    Wrong(
        "the weight's gradient is added in half precision",
        {"(parts, cols), device=x.device, dtype=torch.float32": "(parts, cols), device=x.device, dtype=x.dtype"},
        ("WRONG_VALUES smoke", "WRONG_VALUES shapes"),
    ),
    Wrong(
        "forward answers in float32",
        {"y = torch.empty_like(x)": "y = torch.empty_like(x, dtype=torch.float32)"},
        ("OUTPUT_FORM smoke",),
    ),
    Wrong(
        "what was saved is overwritten before backward",
        {_SAVE: f"{_SAVE}\n        rstd.fill_(1.0)"},
        ("WRONG_VALUES smoke",),
    ),
    Wrong(
        "a buffer that was saved is used again by a kernel of forward",
        {_SAVE: f"{_SAVE}\n        _forward[(rows,)](y, weight, torch.empty_like(y), rstd, cols, eps, BLOCK=triton."
        "next_power_of_2(cols))"},
        ("WRONG_VALUES smoke",),
    ),
    Wrong(
        "backward reads the input as if its rows lay one after another",
        {"x = x.contiguous()\n": "given, x = x, x.contiguous()\n", _SAVE: "ctx.save_for_backward(given, weight, rstd)",
         "dx = torch.empty_like(x)": "dx = torch.empty_like(dy)"},
        ("WRONG_VALUES edges", "NOT_A_NUMBER edges", "OUT_OF_BOUNDS edges"),
    ),
    Wrong(
        "backward takes its grad output to be contiguous",
        {"dy = dy.contiguous()\n": "\n"},
        ("WRONG_VALUES edges", "NOT_A_NUMBER edges", "OUT_OF_BOUNDS edges"),
    ),
    Wrong(
        "forward is not connected with autograd",
        {"return RMSNorm.apply(x, self.weight, 1e-6)": "return RMSNorm.apply(x.detach(), self.weight.detach(), 1e-6)"},
        ("NO_GRADIENT record",),
    ),
    Wrong(
        "backward leaves the weight out",
        {"partial.sum(0).to(weight.dtype), None": "None, None"},
        ("NO_GRADIENT record",),
    ),
    Wrong(
        "backward gives too few gradients",
        {"return dx, partial.sum(0).to(weight.dtype), None": "return dx"},
        ("LAUNCHER_ERROR record",),
    ),
    Wrong(
        "a gradient has the shape of the partial sums",
        {"partial.sum(0).to(weight.dtype)": "partial.to(weight.dtype).transpose(0, 1)"},
        ("LAUNCHER_ERROR record",),
    ),
    Wrong(
        "backward is made of PyTorch's own operations",
        {"partial.sum(0).to(weight.dtype)": "(dy * x).sum(0)"},
        ("FORBIDDEN_OPERATION record",),
    ),
    Wrong(
        "the gradient of the input is written over the grad output",
        {"dx = torch.empty_like(x)": "dx = dy"},
        ("OUTPUT_FORM smoke",),
    ),
    Wrong(
        "forward's work is put off until backward, where one kernel could do both",
        {_LAUNCH: "", _SAVE: "ctx.save_for_backward(x, weight, rstd, y)",
         _UNPACK: f"x, weight, rstd, y = ctx.saved_tensors\n{_LAUNCH_AGAIN}"},
        ("UNWRITTEN smoke",),
    ),
    Wrong(
        "backward uses forward's output as scratch memory",
        {_SAVE: "ctx.save_for_backward(x, weight, rstd, y)", _UNPACK: "x, weight, rstd, y = ctx.saved_tensors\n",
         "        return dx,": "        _forward[(rows,)](dx, weight, y, torch.empty_like(rstd), cols, 1.0, "
         "BLOCK=triton.next_power_of_2(cols))\n        return dx,"},
        ("INPUT_CHANGED smoke",),
    ),
)  # fmt: skip
