"""Which tasks can tell right from wrong."""

import pytest
from torch_candidates import make_task, shared_preparations, task_of

from tilewright.evaluator.report import Verdict
from tilewright.evaluator.twins import admit

SOURCE = """
import torch
from torch import nn

rows = 4096
cols = 4096

class Model(nn.Module):
    def forward(self, x):
        return {expression}

def get_inputs():
    return [torch.rand(rows, cols)]

def get_init_inputs():
    return []
"""


def admission_of(expression: str) -> object:
    task = make_task(SOURCE.format(expression=expression), ({"rows": 4, "cols": 32}, {"rows": 7, "cols": 65}))
    return admit(task, 1)


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "cross_entropy", "matmul"])
def test_tasks_of_the_core_suite_are_admitted(name: str) -> None:
    admission = admit(task_of(name), 1, shared_preparations())
    assert admission.reason == ""
    assert admission.is_admitted


def test_the_outcome_of_each_twin_is_reported() -> None:
    twins = {one.case: one.verdict for one in admit(task_of("softmax"), 1, shared_preparations()).twins}
    failed = ["zeros", "a constant", "an input passed through", "the answer for other inputs"]
    failed += ["next lower precision", "a reduction cut by 1 %"]
    assert all(twins[name] is Verdict.FAILED for name in failed)
    assert all(verdict is Verdict.PASSED for name, verdict in twins.items() if name not in failed)


@pytest.mark.parametrize(
    ("expression", "trivial"),
    [
        ("torch.zeros_like(x)", "zeros"),
        ("torch.softmax(x.mean(-1, keepdim=True), -1)", "a constant"),
        ("x.clone()", "an input passed through"),
        ("x.double().sub(x.double().mean(-1, keepdim=True)).mean(-1).clamp(-1e-6, 1e-6).round()", "zeros"),
    ],
)
def test_a_task_that_a_trivial_answer_passes_is_degenerate(expression: str, trivial: str) -> None:
    admission = admission_of(expression)
    assert not admission.is_admitted
    assert f"degenerate: {trivial} passes" in admission.reason


@pytest.mark.parametrize(
    "expression", ["torch.relu(x - 0.5)", "x.argmax(-1)", "x.amax(-1)", "x * 2", "x.cumsum(-1)", "x.sum()", "x.std(0)"]
)
def test_exact_and_elementwise_tasks_are_admitted(expression: str) -> None:
    assert admission_of(expression).reason == ""
