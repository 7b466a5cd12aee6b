"""The operations that eager PyTorch runs for a case, traced at full size without data: for workers only."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tilewright.evaluator.aten_cost import SOFTMAXES, EagerOp
from tilewright.evaluator.floor import compulsory_bytes
from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.gradients import differentiate
from tilewright.tasks.spec import Case, Gradients, KernelTask, TensorSpec

__all__ = ["EagerOp", "eager_ops"]

_FREE = frozenset(("empty", "empty_like", "empty_strided", "_unsafe_view", "detach", "alias", "lift_fresh", "set_"))
_GATHERS = frozenset(("embedding", "gather", "index_select", "index", "take"))
_SECTOR_BYTES = 32
_CAUSAL_ARGUMENT = 4  # position of `is_causal` in the fused attentions' signatures, after dropout


class _Shapes(FakeTensorMode):  # type: ignore[no-untyped-call]  # torch's class is not typed
    """Fake tensors whose copies belong to the same mode: modules are often cloned with `deepcopy`."""

    def __deepcopy__(self, memo: dict[int, object]) -> "_Shapes":
        return self


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is not typed
    """Writes down each operation that would run as a kernel."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's class is not typed
        self.operations: list[EagerOp] = []

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[-1].removesuffix("_")
        if func.namespace == "aten" and not func.is_view and name not in _FREE:
            self.operations.append(_operation(func, name, (args, kwargs or {}, result)))
        return result


def _operation(
    func: torch._ops.OpOverload, name: str, call: tuple[tuple[object, ...], dict[str, object], object]
) -> EagerOp:
    """Return what one call costs, from its arguments and its result."""
    args, kwargs, result = call
    inputs = _tensors((args, tuple(kwargs.values())))
    outputs = _tensors(result)
    distinct = {(one.untyped_storage()._cdata, one.storage_offset(), one.shape): one for one in (*inputs, *outputs)}
    flops = 0
    if "scaled_dot_product" in name:
        flops = _attention_flops(args, kwargs, inputs)
    elif func.overloadpacket in flop_registry:
        flops = int(flop_registry[func.overloadpacket](*args, **kwargs, out_val=result))
    rows = outputs[0].numel() // max(1, outputs[0].shape[-1]) if name in SOFTMAXES and outputs[0].dim() else 0
    return EagerOp(
        name=name,
        bytes=sum(_moved_bytes(one, name, outputs) for one in distinct.values()),
        flops=flops,
        dtype=str((inputs or outputs)[0].dtype).removeprefix("torch.") if inputs or outputs else "",
        rows=rows,
    )


def _attention_flops(args: tuple[object, ...], kwargs: dict[str, object], inputs: tuple[torch.Tensor, ...]) -> int:
    """Return the flops of a fused attention; a causal mask leaves half of the square and its diagonal."""
    query, key, value = inputs[:3]
    rows, columns = query.shape[-2], key.shape[-2]
    products = query.numel() // max(1, query.shape[-1]) * columns * 2 * (query.shape[-1] + value.shape[-1])
    is_causal = kwargs.get("is_causal", args[_CAUSAL_ARGUMENT] if len(args) > _CAUSAL_ARGUMENT else False)
    return products * (rows + 1) // (2 * rows) if is_causal is True and rows == columns else products


def _tensors(value: object) -> tuple[torch.Tensor, ...]:
    """Return the tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return (value,)
    if isinstance(value, tuple | list):
        return tuple(tensor for part in value for tensor in _tensors(part))
    return ()


def _moved_bytes(tensor: torch.Tensor, name: str, outputs: tuple[torch.Tensor, ...]) -> int:
    """Return bytes at different addresses; an expanded dimension counts once, a gather takes a sector an element."""
    if name == "nll_loss_forward" and tensor.dim() == 2:
        return tensor.shape[0] * _SECTOR_BYTES
    if name in _GATHERS and all(tensor is not one for one in outputs):
        return min(tensor.numel() * tensor.element_size(), max(one.numel() for one in outputs) * _SECTOR_BYTES)
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride != 0 or size == 0 else 1
    return count


def eager_ops(task: KernelTask, case: Case) -> tuple[EagerOp, ...]:
    """Return the operations that the reference runs for a case, in order, forward and then backward if it is asked.

    Nothing of the case's size is allocated. Fused operations (softmax, layer norm, attention) count as one.
    A reference that cannot run without data counts as one operation that moves the task's bytes.

    Raises:
        TaskError: The task file does not work with the case's sizes.
    """
    try:
        with _Shapes():
            return _trace(task.reference_source, case)
    except TaskError as error:
        if error.__cause__ is None or type(error.__cause__).__module__ != "torch._subclasses.fake_tensor":
            raise
    return (EagerOp(name="untraced", bytes=compulsory_bytes(case), flops=0, dtype=case.dtype.value),)


def _trace(source: str, case: Case) -> tuple[EagerOp, ...]:
    """Trace the reference under fake tensors."""
    module = task_module.load_module(source, case.sizes)
    model = task_module.make_model(module, task_module.find_init_args(module))
    model = task_module.cast_model(model, case.dtype)
    drawn = task_module.find_inputs(module)
    inputs = [
        task_module.realise(value, spec) if isinstance(value, torch.Tensor) and isinstance(spec, TensorSpec) else value
        for value, spec in zip(drawn, case.arguments, strict=True)
    ]
    tracer = _Tracer()
    with torch.no_grad(), task_module.blaming("forward to accept what get_inputs gives"):
        if isinstance(case.gradients, Gradients):
            grad_outputs = tuple(_undrawn(one) for one in case.inputs[len(inputs) :] if isinstance(one, TensorSpec))
            with tracer:
                differentiate(model, (*inputs, *grad_outputs), case.gradients)
        else:
            with tracer:
                model(*inputs)
    return tuple(tracer.operations)


def _undrawn(spec: TensorSpec) -> torch.Tensor:
    """Return a (fake) tensor of a form."""
    return task_module.realise(torch.empty(spec.shape), spec)
