"""The backward pass of a launcher: autograd's graph, walked here.

Autograd's own engine asks for the streams of a device as soon as a gradient is a CUDA tensor, fake or not, and
would run a candidate's backward in threads of its own. Walking the graph asks for nothing and keeps every ATen
operation of the pass in sight: casts, sums over broadcast dimensions and the additions where branches meet.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.autograd.graph import Node, get_gradient_edge

from tilewright.sandbox.fake_device import replaced

Gradient = torch.Tensor | None

# Stands at the end of each path, for a leaf.
_END = "torch::autograd::AccumulateGrad"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What a tensor that a node differentiates looks like."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True)
class GraphWalk:
    """Runs a backward pass.

    Attributes:
        sparing: Contexts of functions that asked for None instead of zeros where an output has no gradient.
    """

    sparing: list[object] = field(default_factory=list)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note what functions ask for while a `with` block runs forward: torch does not tell afterwards."""

        def note(context: FunctionCtx, value: bool) -> None:
            if not value:
                self.sparing.append(context)

        with replaced(FunctionCtx, "set_materialize_grads", note):
            yield

    def run(
        self, outputs: Sequence[torch.Tensor], grad_outputs: Sequence[torch.Tensor], leaves: Sequence[torch.Tensor]
    ) -> tuple[Gradient, ...]:
        """Return the gradient of each leaf, or None where no path leads to it.

        Raises:
            RuntimeError: A function returned gradients of the wrong number or shape, as autograd's engine would say.
        """
        pending: dict[Node, list[Gradient]] = {}
        starts = [get_gradient_edge(output) for output in outputs]
        for edge, grad in zip(starts, grad_outputs, strict=True):
            _give(pending, edge.node, edge.output_nr, grad)
        ends = [get_gradient_edge(leaf).node for leaf in leaves]
        with torch.no_grad():
            for node in _in_order([edge.node for edge in starts]):
                if node in pending and node.name() != _END:
                    self._run_node(pending, node)
        return tuple(pending.get(end, [None])[0] for end in ends)

    def _run_node(self, pending: dict[Node, list[Gradient]], node: Node) -> None:
        given = pending.pop(node)
        results = (self._call_function if isinstance(node, BackwardCFunction) else _call)(node, given)
        for (following, number), grad in zip(node.next_functions, results, strict=True):
            if following is not None and grad is not None:
                _give(pending, following, number, grad)

    def _call_function(self, node: Node, given: list[Gradient]) -> list[Gradient]:
        """Run a candidate's `backward` and return a gradient for each edge of its node."""
        if not any(one is node for one in self.sparing):
            given = _filled(node, given)
        returned = node.apply(*given)  # type: ignore[attr-defined]  # what torch's nodes for Python functions have
        results = list(returned) if isinstance(returned, tuple | list) else [returned]
        needed: tuple[bool, ...] = node.needs_input_grad  # type: ignore[attr-defined]  # as above
        if len(results) < len(needed) or any(one is not None for one in results[len(needed) :]):
            raise RuntimeError(
                f"{node.name()} returned an incorrect number of gradients (expected {len(needed)}, got {len(results)})"
            )
        found = iter([one for one, is_needed in zip(results, needed, strict=False) if is_needed])
        return [next(found, None) if following is not None else None for following, _ in node.next_functions]


def _call(node: Node, given: list[Gradient]) -> list[Gradient]:
    """Run one of torch's own nodes, which answers with a tuple unless it has a single result."""
    returned = node(*given)  # type: ignore[operator]  # torch's annotations leave the call out
    return list(returned) if isinstance(returned, tuple) else [returned]


def _give(pending: dict[Node, list[Gradient]], node: Node, number: int, grad: torch.Tensor) -> None:
    """Add a gradient to what a node is to get, in the shape and the type of the tensor that it belongs to."""
    if not isinstance(grad, torch.Tensor):
        raise TypeError(f"expected a gradient for {node.name()} to be a tensor or None; got {type(grad).__name__}")
    forms = _forms(node)
    shape, dtype = forms[number].shape, forms[number].dtype
    if tuple(grad.shape) != shape:
        if not _is_expansion(tuple(grad.shape), shape):
            raise RuntimeError(f"expected a gradient of shape {shape} for {node.name()}; got {tuple(grad.shape)}")
        grad = grad.sum_to_size(shape)
    if grad.dtype is not dtype:
        grad = grad.to(dtype)
    given = pending.setdefault(node, [None] * len(forms))
    before = given[number]
    given[number] = grad if before is None else before + grad


def _is_expansion(shape: tuple[int, ...], of: tuple[int, ...]) -> bool:
    """Whether a tensor of shape `of` broadcasts to a shape."""
    extra = len(shape) - len(of)
    return extra >= 0 and all(size in (1, wide) for size, wide in zip(of, shape[extra:], strict=True))


def _filled(node: Node, given: list[Gradient]) -> list[Gradient]:
    """Put zeros in the place of gradients that are missing.

    An output that forward marked as non-differentiable gets none: torch does not tell its form, only a placeholder's.
    """
    device = next(one.device for one in given if one is not None)
    return [
        torch.zeros(form.shape, dtype=form.dtype, device=device) if one is None and form.device == device else one
        for one, form in zip(given, _forms(node), strict=True)
    ]


def _forms(node: Node) -> list[_Form]:
    """Return the form of each tensor that a node differentiates."""
    return [
        _Form(shape=tuple(int(size) for size in one.shape), dtype=one.dtype, device=one.device)
        for one in node._input_metadata
    ]


def _in_order(starts: Sequence[Node]) -> list[Node]:
    """Return the nodes that lie behind some, each before those that it leads to: the youngest first."""
    seen: dict[Node, None] = {}
    waiting = list(starts)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = None
            waiting += [following for following, _ in node.next_functions if following is not None]
    return sorted(seen, key=lambda node: node._sequence_nr(), reverse=True)
