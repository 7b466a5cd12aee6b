"""What a task file's functions give for one assignment of its constants, without running at full size."""

import msgspec
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.gradients import observe_gradients
from tilewright.tasks.layouts import lay_out
from tilewright.tasks.spec import DType, Gradients, InputSpec, Layout, ParameterSpec, Size, TensorSpec

_UNFAKEABLE = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
# Largest number of elements that is allocated for a reference whose shapes depend on data.
_MOST_REAL_ELEMENTS = 1 << 24

# Enough to recognise a single operation; a network makes thousands of calls.
_MOST_OPERATIONS = 4


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An ATen call of the reference's forward: tensors as their specs, anything else as its `repr`."""

    name: str
    arguments: tuple[TensorSpec | str, ...]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one assignment gives.

    Attributes:
        init_args: Python literal of the list that `get_init_inputs` gave.
        dtype: Floating type of the inputs after casting.
        inputs: What `get_inputs` gave, laid out, then the grad outputs.
        parameters: The model's `state_dict`.
        outputs: What forward returned, flattened, then the gradients.
        operations: The first calls that compute, in order.
        calls: Number of all calls that compute.
        work: Elements written by all calls, plus multiply-adds of products and convolutions.
        gradients: What is differentiated, where the file sets GRADIENTS.
    """

    init_args: str
    dtype: DType
    inputs: tuple[InputSpec, ...]
    parameters: tuple[ParameterSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operations: tuple[Operation, ...]
    calls: int
    work: int
    gradients: Gradients | msgspec.UnsetType = msgspec.UNSET

    @property
    def elements(self) -> int:
        """Elements of all inputs and outputs."""
        inputs = tuple(one for one in self.inputs if isinstance(one, TensorSpec))
        return sum(tensor.elements for tensor in inputs + self.outputs)

    @property
    def parameter_elements(self) -> int:
        """Elements of all parameters and buffers."""
        return sum(one.tensor.elements for one in self.parameters)


class _Shapes(FakeTensorMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Fake tensors whose copies belong to the same mode: modules are often cloned with `deepcopy`."""

    def __deepcopy__(self, memo: dict[int, object]) -> "_Shapes":
        return self


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Writes down the calls that pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.operations: list[Operation] = []
        self.calls = 0
        self.work = 0

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func.namespace == "prim" or func.is_view:
            return result
        packet = func.overloadpacket
        parts = result if isinstance(result, tuple | list) else (result,)
        self.work += sum(part.numel() for part in parts if isinstance(part, torch.Tensor))
        if packet in flop_registry:
            self.work += flop_registry[packet](*args, **(kwargs or {}), out_val=result) // 2
        self.calls += 1
        if self.calls <= _MOST_OPERATIONS:
            self.operations.append(Operation(name=str(packet), arguments=tuple(_argument(one) for one in args)))
        return result


def _argument(value: object) -> TensorSpec | str:
    spec = task_module.spec_of(value) if isinstance(value, torch.Tensor) else None
    return spec if isinstance(spec, TensorSpec) else repr(value)


def observe(
    source: str, sizes: tuple[Size, ...], dtype: DType | None = None, layout: Layout = Layout.CONTIGUOUS
) -> Observation:
    """Run a task file's functions under fake tensors, which have shapes but no data.

    A reference whose shapes depend on data is run for real if it is small.

    Args:
        source: The task file.
        sizes: Values of its size constants.
        dtype: Type to which floating inputs and parameters are cast; None leaves what the file gives.
        layout: Memory layout of the floating inputs.

    Raises:
        TaskError: The file does not work with these sizes.
    """
    try:
        with _Shapes():
            return _observe(source, sizes, dtype, layout)
    except TaskError as error:
        if not isinstance(error.__cause__, _UNFAKEABLE):
            raise
        elements = _input_elements(source, sizes)
        if elements > _MOST_REAL_ELEMENTS:
            raise TaskError(
                f"expected a forward whose shapes do not depend on data; got {type(error.__cause__).__name__} "
                f"with inputs of {elements} elements, too many to run here: choose smaller sizes"
            ) from error
        return _observe(source, sizes, dtype, layout)


def read_members(source: str) -> dict[str, object]:
    """Return what the file's top level defines, by name.

    Raises:
        TaskError: The file does not run.
    """
    with _Shapes():
        return dict(vars(task_module.load_module(source)))


def observe_inputs(source: str, sizes: tuple[Size, ...]) -> tuple[InputSpec, ...]:
    """Return what `get_inputs` gives, without constructing the model.

    Raises:
        TaskError: The file does not work with these sizes.
    """
    with _Shapes():
        return tuple(
            task_module.spec_of(value) for value in task_module.find_inputs(task_module.load_module(source, sizes))
        )


def _input_elements(source: str, sizes: tuple[Size, ...]) -> int:
    return sum(spec.elements for spec in observe_inputs(source, sizes) if isinstance(spec, TensorSpec))


def _observe(source: str, sizes: tuple[Size, ...], dtype: DType | None, layout: Layout) -> Observation:
    module = task_module.load_module(source, sizes)
    init_args = task_module.find_init_args(module)
    model = task_module.make_model(module, init_args)
    drawn = task_module.find_inputs(module)
    drawn_specs = tuple(task_module.spec_of(value) for value in drawn)
    cast = dtype or _floating_type(drawn_specs, model)
    specs = tuple(lay_out(spec, cast, layout) if isinstance(spec, TensorSpec) else spec for spec in drawn_specs)
    inputs = task_module.realise_all(drawn, specs)
    model = task_module.cast_model(model, cast)
    gradients: Gradients | msgspec.UnsetType = msgspec.UNSET
    grad_outputs: tuple[torch.Tensor, ...] = ()
    with _Watch() as watch, torch.no_grad(), task_module.blaming("forward to accept what get_inputs gives"):
        if vars(module).get("GRADIENTS", False):
            found = observe_gradients(model, inputs)
            gradients, grad_outputs, outputs = found.gradients, found.grad_outputs, found.outputs
        else:
            outputs = task_module.flatten(model(*inputs))
    return Observation(
        init_args=repr(list(init_args)),
        dtype=cast,
        inputs=(*specs, *(_laid_out(one, layout) for one in grad_outputs)),
        parameters=tuple(
            ParameterSpec(name=name, tensor=_tensor_spec(tensor)) for name, tensor in model.state_dict().items()
        ),
        outputs=tuple(_tensor_spec(output) for output in outputs),
        operations=tuple(watch.operations),
        calls=watch.calls,
        work=watch.work,
        gradients=gradients,
    )


def _laid_out(grad_output: torch.Tensor, layout: Layout) -> TensorSpec:
    spec = _tensor_spec(grad_output)
    return lay_out(spec, spec.dtype, layout)


def _tensor_spec(tensor: torch.Tensor) -> TensorSpec:
    spec = task_module.spec_of(tensor)
    assert isinstance(spec, TensorSpec)
    return spec


def _floating_type(inputs: tuple[InputSpec, ...], model: torch.nn.Module) -> DType:
    found = {spec.dtype for spec in inputs if isinstance(spec, TensorSpec) and spec.dtype.is_floating}
    found = found or {
        DType(str(one.dtype).removeprefix("torch.")) for one in model.parameters() if one.is_floating_point()
    }
    if len(found) > 1:
        raise TaskError(
            f"expected floating inputs of one type; got {' and '.join(sorted(found))}: convert them in get_inputs"
        )
    return found.pop() if found else DType.FLOAT32
