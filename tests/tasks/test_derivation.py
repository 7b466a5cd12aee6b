import time

import pytest
from task_files import ATTENTION, CONV, KINDS, MATMUL, RELU, task_file

from tilewright.tasks.derivation import describe
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import Case, CaseRole, DType, KernelTask, Layout, TensorSpec, Values


@pytest.fixture(scope="session")
def tasks() -> dict[str, KernelTask]:
    """Every kind of file, described once."""
    return {name: describe(source, name) for name, source in KINDS.items()}


def elements(case: Case) -> int:
    return sum(spec.elements for spec in (*case.inputs, *case.outputs) if isinstance(spec, TensorSpec))


def shapes(task: KernelTask, role: CaseRole) -> list[tuple[int, ...]]:
    return [case.inputs[0].shape for case in task.cases_of(role) if isinstance(case.inputs[0], TensorSpec)]


def varying(task: KernelTask) -> dict[str, tuple[int, int, int]]:
    return {one.name: (one.low, one.high, one.multiple) for one in task.domain.sizes}


@pytest.mark.parametrize("kind", KINDS)
def test_every_role_gets_cases_that_the_interpreter_can_run(kind: str, tasks: dict[str, KernelTask]) -> None:
    task = tasks[kind]
    for role in CaseRole:
        assert task.cases_of(role)
    assert all(elements(case) <= 20_000 for case in task.cases if case.role is not CaseRole.BENCH)
    assert len({case.name for case in task.cases}) == len(task.cases)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bench_case_is_the_file_as_it_is(kind: str, tasks: dict[str, KernelTask]) -> None:
    (bench,) = tasks[kind].cases_of(CaseRole.BENCH)
    assert {size.name: size.value for size in bench.sizes}.items() >= {
        (one.name, one.high) for one in tasks[kind].domain.sizes
    }
    assert elements(bench) > 1_000_000


def test_deriving_twice_gives_the_same_task(tasks: dict[str, KernelTask]) -> None:
    assert describe(CONV, "conv").id == tasks["conv"].id


def test_large_extents_vary_and_options_stay(tasks: dict[str, KernelTask]) -> None:
    assert set(varying(tasks["conv"])) == {"batch", "channels", "filters", "height", "width"}
    assert varying(tasks["relu"]) == {"rows": (1, 4096, 1), "cols": (1, 8192, 1)}


def test_a_constant_that_must_divide_varies_in_steps(tasks: dict[str, KernelTask]) -> None:
    low, high, multiple = varying(tasks["norm"])["features"]
    assert (low, high, multiple) == (8, 64, 8)


def test_constants_that_must_be_equal_are_lowered_together(tasks: dict[str, KernelTask]) -> None:
    task = tasks["heads"]
    assert {"length", "longest"}.isdisjoint(varying(task))
    for case in task.cases:
        sizes = {size.name: size.value for size in case.sizes}
        assert sizes["length"] == sizes["longest"]


def test_constants_of_which_one_is_twice_the_other_are_divided_together(tasks: dict[str, KernelTask]) -> None:
    assert set(varying(tasks["doubled"])) == {"batch", "channels"}
    for case in tasks["doubled"].cases:
        sizes = {size.name: size.value for size in case.sizes}
        assert sizes["normed"] == 2 * sizes["width"]


def test_shapes_hold_primes_and_neighbours_of_powers_of_two(tasks: dict[str, KernelTask]) -> None:
    cols = {shape[1] for shape in shapes(tasks["relu"], CaseRole.SHAPE)}
    assert {127, 128, 129, 131, 1031} <= cols


def test_edges_hold_ones(tasks: dict[str, KernelTask]) -> None:
    found = shapes(tasks["relu"], CaseRole.EDGE)
    assert (1, 1) in found
    assert {shape for shape in found if 1 in shape} >= {(1, 1), (1, 128), (8, 1)}


def test_every_layout_that_the_reference_accepts_is_an_edge(tasks: dict[str, KernelTask]) -> None:
    assert {case.layout for case in tasks["matmul"].cases_of(CaseRole.EDGE)} == set(Layout)
    flat = task_file("(self, x): return x.view(-1) * 2", "torch.rand(rows, cols)", "rows = 4096; cols = 4096")
    assert describe(flat, "flat").domain.layouts == (Layout.CONTIGUOUS, Layout.OFFSET)


def test_a_structured_input_is_neither_expanded_nor_given_infinities(tasks: dict[str, KernelTask]) -> None:
    domain = tasks["triangle"].domain
    assert Layout.EXPANDED not in domain.layouts
    assert Values.INFINITIES not in domain.values
    assert Values.SIGNED in domain.values


def test_values_that_the_reference_does_not_answer_are_left_out() -> None:
    source = task_file("(self, x): return torch.log(x)", "torch.rand(rows, cols) + 0.1", "rows = 4096; cols = 4096")
    values = describe(source, "log").domain.values
    assert Values.SIGNED not in values
    assert Values.MIXED_SCALE in values


def test_inputs_without_floats_get_the_plain_layout_and_values(tasks: dict[str, KernelTask]) -> None:
    domain = tasks["embedding"].domain
    assert (domain.layouts, domain.values) == ((Layout.CONTIGUOUS,), (Values.DRAWN,))
    assert tasks["embedding"].cases_of(CaseRole.STABILITY)


def test_a_half_precision_file_is_benched_in_half_precision() -> None:
    source = task_file("(self, x): return x + 1", "torch.rand(rows, cols).half()", "rows = 4096; cols = 4096")
    assert describe(source, "add").domain.dtypes == (DType.FLOAT16,)


def test_plain_operations_are_recognised(tasks: dict[str, KernelTask]) -> None:
    softmax = task_file("(self, x): return torch.softmax(x, dim=1)", "torch.rand(rows, cols)", "rows = 40; cols = 4096")
    across = softmax.replace("dim=1", "dim=0")
    transposed = MATMUL.replace("a @ b", "a.T @ b").replace("torch.rand(m, k)", "torch.rand(k, m)")
    assert describe(softmax, "").family == "softmax"
    assert describe(across, "").family == "other"
    assert tasks["matmul"].family == "matmul"
    assert describe(transposed, "").family == "other"
    assert tasks["loss"].family == "cross_entropy"
    assert tasks["attention"].family == "other"  # not causal


def test_declared_parts_are_kept_and_the_rest_is_derived() -> None:
    source = RELU + (
        "FAMILY = 'unary'\n"
        "CASES = {'smoke': [{'rows': 2, 'cols': 3, 'dtypes': ['float16']}], 'bench': [{'rows': 77}]}\n"
        "DOMAIN = {'sizes': {'rows': (2, 100, 1), 'cols': (3, 999, 3)}, 'dtypes': ['float16', 'float32']}\n"
    )
    task = describe(source, "relu")
    assert task.family == "unary"
    assert [case.name for case in task.cases_of(CaseRole.SMOKE)] == ["smoke-2x3-float16"]
    assert [case.name for case in task.cases_of(CaseRole.BENCH)] == ["bench-77x8192-float16"]
    assert {case.dtype for case in task.cases_of(CaseRole.SHAPE)} == {DType.FLOAT16, DType.FLOAT32}
    for case in task.cases_of(CaseRole.EDGE):
        rows, cols = (size.value for size in case.sizes)
        assert 2 <= rows <= 100
        assert cols % 3 == 0


def test_a_reference_whose_shapes_depend_on_data_is_run_if_it_is_small() -> None:
    source = task_file("(self, x): return x * x.max().item()", "torch.rand(rows, cols)", "rows = 64; cols = 128")
    assert describe(source, "scale").cases_of(CaseRole.SMOKE)


def test_a_large_reference_whose_shapes_depend_on_data_is_refused() -> None:
    source = task_file(
        "(self, x): return x * x.max().item()", "torch.rand(rows, cols)", "rows = 1 << 20; cols = 1 << 20"
    )
    with pytest.raises(TaskError, match="expected a forward whose shapes do not depend on data"):
        describe(source, "scale")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (RELU.replace("class Model(", "class Modell("), "expected a class Model in the file; got none"),
        (RELU.replace("get_inputs", "inputs"), "expected a function get_inputs in the file; got none"),
        (RELU.replace("relu(x)", "relu(y)"), r"got NameError: name 'y' is not defined \(line 5\)"),
        (RELU + "1 / 0\n", r"expected the file to run; got ZeroDivisionError: division by zero \(line 12\)"),
        (RELU + "import sys; sys.exit(3)\n", "expected the file to run; got SystemExit: 3"),
        (RELU.replace("[torch.rand(rows, cols)]", "torch.rand(rows, cols)"), "expected a list from get_inputs"),
        (RELU.replace("[torch.rand(rows, cols)]", "[[torch.rand(rows)]]"), "got a list as input 0"),
        (RELU.replace("return []", "return [torch.ones(3)]"), "make tensors in Model"),
        (RELU.replace("torch.relu(x)", "x.sum().shape"), "expected forward to return a tensor"),
        (RELU.replace("torch.relu(x)", "x, None"), "got NoneType"),
        (RELU.replace("torch.relu(x)", "F.dropout(x)"), "got different ones"),
        (RELU.replace("cols)]", "cols), torch.rand(3).half()]"), "expected floating inputs of one type"),
        (RELU + "CASES = {'smoke': [{'row': 3}]}\n", "expected sizes among rows, cols; got 'row'"),
        (RELU + "CASES = {'smoky': []}\n", "expected FAMILY, CASES, DOMAIN and GRADIENTS"),
        (RELU + "DOMAIN = {'dtypes': ['float12']}\n", "float12"),
        (RELU + "DOMAIN = {'sizes': {'rows': (5, 2)}}\n", r"expected DOMAIN sizes as \(low, high\)"),
    ],
)
def test_an_unusable_file_gets_one_line(source: str, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        describe(source, "task")
    assert "\n" not in str(caught.value)


def test_a_declared_case_without_a_finite_answer_is_refused_by_name() -> None:
    source = RELU.replace("torch.relu(x)", "x.log()")
    source += "CASES = {'stability': [{'rows': 2, 'cols': 3, 'values': 'zeros'}]}\n"
    with pytest.raises(TaskError, match="case stability-2x3-float32-zeros: expected an answer of finite numbers"):
        describe(source, "task")


def test_a_model_with_tensors_that_its_state_dict_lacks_is_refused() -> None:
    source = task_file(
        "(self, x): return x * self.scale", "torch.rand(rows, cols)", "rows = 64; cols = 4096",
        init="(self): self.scale = torch.rand(1)",
    )  # fmt: skip
    with pytest.raises(TaskError, match="expected the same answer from two models with the same state_dict"):
        describe(source, "task")


def test_describing_an_operation_takes_little_time(tasks: dict[str, KernelTask]) -> None:
    assert tasks  # torch's first use is behind us
    start = time.process_time()
    describe(ATTENTION, "attention")
    assert time.process_time() - start < 3.0
