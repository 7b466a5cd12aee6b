"""ATen steps give torch's own results in the memory that the plan names, whatever way is cheapest."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import pad

from tilewright.evaluator.gpu.aten import AtenError, AtenStep
from tilewright.sandbox.plan import Aten, AtenArgument, Keyword, Literal, View, Views
from tilewright.tasks.spec import DType, TensorSpec

CPU = torch.device("cpu")


class Memory:
    """Buffers on the CPU, by index."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self.tensors = list(tensors)

    def view(self, index: int) -> View:
        one = self.tensors[index]
        dtype = DType(str(one.dtype).removeprefix("torch."))
        return View(buffer=index, tensor=TensorSpec(shape=tuple(one.shape), strides=one.stride(), dtype=dtype))

    def step(self, operation: str, arguments: tuple[AtenArgument, ...], *outputs: int, **keywords: str) -> AtenStep:
        named = tuple(Keyword(name=key, value=Literal(text=text)) for key, text in keywords.items())
        views = tuple(self.view(index) for index in outputs)
        one = Aten(operation=operation, arguments=arguments, keywords=named, outputs=views)
        return AtenStep(one, lambda view: self.tensors[view.buffer], CPU)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


X, Y = noise(6, 4), noise(6, 4)
WAYS: dict[str, tuple[str, tuple[object, ...], dict[str, str], Callable[[], torch.Tensor]]] = {
    "a constant": ("aten.zeros_like.default", (0,), {}, lambda: torch.zeros(6, 4)),
    "a value": ("aten.full.default", ("[3, 2]", "0.25"), {}, lambda: torch.full((3, 2), 0.25)),
    "a value of another's kind": ("aten.new_full.default", (0, "[3, 2]", "2"), {}, lambda: torch.full((3, 2), 2.0)),
    "a cast": ("aten._to_copy.default", (0,), {"dtype": "torch.float16"}, X.half),
    "a copy": ("aten.clone.default", (0,), {}, X.clone),
    "written by torch": ("aten.add.Tensor", (0, 1), {"alpha": "2"}, lambda: X + 2 * Y),
    "a number": ("aten.mul.Scalar", (0, "-3"), {}, lambda: X * -3),
    "a reduction": ("aten.sum.dim_IntList", (0, "[1]", "True"), {}, lambda: X.sum(1, keepdim=True)),
    "a reduction of another type": ("aten.sum.default", (0,), {"dtype": "torch.float64"}, lambda: X.double().sum()),
    "a word": ("aten.div.Tensor_mode", (0, 1), {"rounding_mode": "'floor'"}, lambda: torch.floor(X / Y)),
    "a comparison": ("aten.ge.Scalar", (0, "0"), {}, lambda: X >= 0),
    "no writing form": ("aten.rsub.Scalar", (0, "1"), {}, lambda: 1 - X),
    "a range": ("aten.arange.start_step", ("2", "12", "3"), {"device": "device(type='cuda', index=0)"},
                lambda: torch.arange(2, 12, 3)),
    "padding": ("aten.constant_pad_nd.default", (0, "[1, 2]", "9.0"), {}, lambda: pad(X, (1, 2), value=9)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_results_lie_where_the_plan_says(way: str) -> None:
    operation, given, keywords, expected = WAYS[way]
    wanted = expected()
    memory = Memory(X.clone(), Y.clone(), torch.empty_like(wanted).fill_(77))
    arguments = tuple(memory.view(one) if isinstance(one, int) else Literal(text=str(one)) for one in given)
    step = memory.step(operation, arguments, 2, **keywords)
    place = memory.tensors[2].data_ptr()
    step.run()
    torch.testing.assert_close(memory.tensors[2], wanted)
    assert memory.tensors[2].data_ptr() == place


def test_results_keep_the_strides_that_the_plan_says() -> None:
    memory = Memory(X.clone(), torch.full((4, 6), 7.0).t())
    memory.step("aten.neg.default", (memory.view(0),), 1).run()
    torch.testing.assert_close(memory.tensors[1], -X)
    assert memory.tensors[1].stride() == (1, 6)


def test_several_results_go_to_their_own_places() -> None:
    memory = Memory(X.clone(), torch.zeros(6), torch.zeros(6, dtype=torch.int64))
    memory.step("aten.max.dim", (memory.view(0), Literal(text="1")), 1, 2).run()
    torch.testing.assert_close(tuple(memory.tensors[1:]), tuple(X.max(1)))


def test_a_list_of_tensors_is_joined() -> None:
    memory = Memory(X.clone(), Y.clone(), torch.zeros(12, 4))
    memory.step("aten.cat.default", (Views(views=(memory.view(0), memory.view(1))),), 2).run()
    torch.testing.assert_close(memory.tensors[2], torch.cat([X, Y]))


def test_a_step_in_place_changes_its_operand() -> None:
    memory = Memory(X.clone())
    memory.step("aten.add_.Scalar", (memory.view(0), Literal(text="1")), 0).run()
    torch.testing.assert_close(memory.tensors[0], X + 1)


def test_it_can_be_run_again() -> None:
    memory = Memory(X.clone(), torch.zeros(6, 4))
    step = memory.step("aten.abs.default", (memory.view(0),), 1)
    for factor in (1, 2):
        memory.tensors[0].copy_(X * factor)
        step.run()
        torch.testing.assert_close(memory.tensors[1], (X * factor).abs())


@pytest.mark.parametrize(
    "operation", ["aten.mm.default", "aten.item.default", "aten.nonzero.default", "aten.exp.default"]
)
def test_an_operation_off_the_whitelist_is_refused_even_if_validation_was_left_out(operation: str) -> None:
    memory = Memory(X.clone())
    with pytest.raises(AtenError, match="expected a whitelisted ATen operation"):
        memory.step(operation, (memory.view(0),), 0)


def test_an_operation_that_this_torch_lacks_is_refused() -> None:
    memory = Memory(X.clone())
    with pytest.raises(AtenError, match="expected an operation of torch"):
        memory.step("aten.add.Nonsense", (memory.view(0),), 0)


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
@pytest.mark.parametrize("shape", [(5, 4), (6,), (7, 4)])
@pytest.mark.parametrize("operation", ["aten.neg.default", "aten.clone.default", "aten.rsub.Scalar"])
def test_results_of_another_shape_than_the_plans_are_refused(operation: str, shape: tuple[int, ...]) -> None:
    memory = Memory(X.clone(), torch.zeros(shape))
    extra = (Literal(text="1"),) if operation == "aten.rsub.Scalar" else ()
    with pytest.raises(AtenError, match=operation):
        memory.step(operation, (memory.view(0), *extra), 1).run()


def test_arguments_that_torch_refuses_are_refused_in_one_line() -> None:
    memory = Memory(X.clone(), torch.zeros(6))
    with pytest.raises(AtenError) as raised:
        memory.step("aten.sum.dim_IntList", (memory.view(0), Literal(text="[9]")), 1).run()
    assert "\n" not in str(raised.value)
