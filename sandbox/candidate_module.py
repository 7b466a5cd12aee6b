"""A candidate's file as a module: executed from memory, its knobs chosen, its ModelNew built on fake tensors."""

import ast
import contextlib
import linecache
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tilewright.sandbox.aten_whitelist import OperationKind, classify, initialises, name_of
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fake_device import OfflineMode, offline_device
from tilewright.sandbox.fault import CandidateFault, blaming, fault
from tilewright.sandbox.launches import Kernel, LaunchHandler, find_autotuner, intercepted_launches, knob_of
from tilewright.sandbox.offline_driver import offline_driver
from tilewright.sandbox.targets import Target
from tilewright.sandbox.trace_buffers import fake_tensor, spec_of
from tilewright.tasks.candidate import Knob, KnobRange
from tilewright.tasks.spec import Case

# Triton and tracebacks read a kernel's source through `linecache` under this name; no file has it.
_FILE = "<candidate>"
_MODULE = "tilewright_candidate"
_MOST_CONFIGURATIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateModule:
    """An executed candidate file.

    Attributes:
        model_class: Its `ModelNew`.
        knobs: Knobs that the file declares, one for each autotuned kernel included.
        configurations: Index of the configuration chosen for each autotuned kernel, by its knob's name.
        fake: The mode that all fake tensors of this module belong to.
    """

    model_class: type[torch.nn.Module]
    knobs: tuple[KnobRange, ...]
    configurations: Mapping[str, int]
    fake: OfflineMode


def load_candidate(source: str, knobs: tuple[Knob, ...], target: Target) -> CandidateModule:
    """Execute a candidate's file and choose its knobs.

    Raises:
        CandidateFault: SYNTAX, IMPORT_ERROR, WORK_OUTSIDE_FORWARD, NO_MODEL or BAD_KNOBS.
    """
    fake = OfflineMode()
    with offline_device(target), offline_driver(target), fake, _importing():
        module = _execute(source)
    declared = _declared_knobs(module)
    _choose(module, declared, knobs)
    model_class = vars(module).get("ModelNew")
    if not (isinstance(model_class, type) and issubclass(model_class, torch.nn.Module)):
        raise fault(FailureKind.NO_MODEL, f"expected a class ModelNew(nn.Module); got {model_class!r}")
    chosen = {knob.name: knob.value for knob in knobs if knob.name.startswith("autotune_")}
    return CandidateModule(
        model_class=model_class, knobs=declared, configurations=MappingProxyType(chosen), fake=fake
    )  # fmt: skip


def build_model(module: CandidateModule, case: Case) -> torch.nn.Module:
    """Construct ModelNew for a case, with parameters of exactly the case's layout; call it under the fake mode.

    Raises:
        CandidateFault: LAUNCHER_ERROR, WORK_OUTSIDE_FORWARD, HOST_READ or PARAMETERS.
    """
    arguments = ast.literal_eval(case.init_args)
    with blaming(FailureKind.LAUNCHER_ERROR, case=case.name):
        with _constructing(module), torch.device("cuda"):
            model = module.model_class(*arguments)
        _load_parameters(model, case)
        return model.eval()


def _execute(source: str) -> ModuleType:
    module = ModuleType(_MODULE)
    module.__file__ = _FILE
    sys.modules[_MODULE] = module
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    with blaming(FailureKind.SYNTAX):
        code = compile(source, _FILE, "exec")
    with blaming(FailureKind.IMPORT_ERROR):
        exec(code, vars(module))
    return module


def _declared_knobs(module: ModuleType) -> tuple[KnobRange, ...]:
    table = vars(module).get("KNOBS", {})
    if not isinstance(table, dict) or not all(_is_row(name, values) for name, values in table.items()):
        raise fault(FailureKind.BAD_KNOBS, f"expected KNOBS = {{name: (int, ...), ...}}; got {table!r}")
    rows = [KnobRange(name=str(name), values=tuple(values)) for name, values in table.items()]
    names = {row.name for row in rows}
    for value in vars(module).values():
        tuner = find_autotuner(value)
        if tuner is not None and knob_of(tuner) not in names:
            names.add(knob_of(tuner))
            count = min(len(tuner.configs), _MOST_CONFIGURATIONS)
            rows.append(KnobRange(name=knob_of(tuner), values=tuple(range(count))))
    return tuple(rows)


def _is_row(name: object, values: object) -> bool:
    if not isinstance(name, str) or not isinstance(values, tuple | list):
        return False
    return len(values) > 0 and all(type(value) is int for value in values)


def _choose(module: ModuleType, declared: tuple[KnobRange, ...], chosen: tuple[Knob, ...]) -> None:
    """Check the choice against the table and hand it to the launcher's `knobs`."""
    ranges = {row.name: row.values for row in declared}
    for knob in chosen:
        if knob.value not in ranges.get(knob.name, ()):
            allowed = ranges.get(knob.name, f"one of the knobs {', '.join(ranges) or '(none)'}")
            raise fault(FailureKind.BAD_KNOBS, f"expected {knob.name} in {allowed}; got {knob.value}")
    table = vars(module).get("knobs")
    if isinstance(table, dict):
        table.update({knob.name: knob.value for knob in chosen if not knob.name.startswith("autotune_")})
    elif chosen and "KNOBS" in vars(module):
        raise fault(FailureKind.BAD_KNOBS, f"expected a dict `knobs` beside KNOBS; got {table!r}")


def _load_parameters(model: torch.nn.Module, case: Case) -> None:
    """Put tensors of exactly the case's layout in the place of the model's own."""
    found = {name: spec_of(tensor) for name, tensor in model.state_dict().items()}
    wanted = {one.name: one.tensor for one in case.parameters}
    if found.keys() != wanted.keys():
        raise fault(FailureKind.PARAMETERS, f"expected parameters {sorted(wanted)}; got {sorted(found)}")
    for name, spec in wanted.items():
        shape = found[name].shape
        # Floating parameters take the case's type, as the reference's do, whatever __init__ made them.
        dtype = case.dtype if found[name].dtype.is_floating else found[name].dtype
        if (shape, dtype) != (spec.shape, spec.dtype):
            expected = f"expected {name} of shape {spec.shape} and type {spec.dtype}"
            raise fault(FailureKind.PARAMETERS, f"{expected}; got {shape} and {dtype}")
    model.load_state_dict({name: fake_tensor(spec) for name, spec in wanted.items()}, assign=True)


class _OutsideForward(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's mode hooks have no annotations
    """Refuses GPU work where a launcher may only define or initialise."""

    def __init__(self, where: str, *, allows_initialisation: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._where = where
        self._allows_initialisation = allows_initialisation

    def __torch_dispatch__(
        self, func: OpOverload, _types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Run an operation that initialises, refuse any other that touches a CUDA tensor."""
        if classify(func) is OperationKind.HOST_READ:
            raise fault(FailureKind.HOST_READ, f"expected no data read on the host; got {name_of(func)} {self._where}")
        result = func(*args, **(kwargs or {}))
        is_allowed = self._allows_initialisation and initialises(func)
        if not is_allowed and any(isinstance(one, torch.Tensor) and one.is_cuda for one in tree_leaves(result)):
            raise self.work_outside(name_of(func))
        return result

    def work_outside(self, what: str) -> CandidateFault:
        """Return the fault for work done here."""
        hint = "Launch kernels and compute in forward only."
        return fault(
            FailureKind.WORK_OUTSIDE_FORWARD, f"expected GPU work in forward only; got {what} {self._where}", hint=hint
        )


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    mode = _OutsideForward("while the file is imported", allows_initialisation=False)
    with mode, intercepted_launches(_refuser(mode), {}):
        yield


@contextlib.contextmanager
def _constructing(module: CandidateModule) -> Iterator[None]:
    mode = _OutsideForward("in ModelNew.__init__", allows_initialisation=True)
    with mode, intercepted_launches(_refuser(mode), module.configurations):
        yield


def _refuser(mode: _OutsideForward) -> LaunchHandler:
    def refuse(kernel: Kernel, *_: object) -> None:
        raise mode.work_outside(f"a launch of {kernel.fn.__name__}")

    return refuse
