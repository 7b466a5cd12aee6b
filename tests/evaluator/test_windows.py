"""Which bytes of a buffer are looked at for changes."""

import torch

from tilewright.evaluator.gpu.windows import elements_window
from tilewright.tasks.spec import DType, TensorSpec


def test_all_of_a_dense_buffer_is_looked_at() -> None:
    memory = torch.arange(64, dtype=torch.uint8)
    spec = TensorSpec(shape=(4, 8), strides=(8, 1), dtype=DType.FLOAT16)
    assert torch.equal(elements_window(memory, spec), memory)
    assert torch.equal(elements_window(memory, None), memory)


def test_only_the_rows_are_looked_at_where_they_lie_far_apart() -> None:
    memory = torch.zeros(4000, dtype=torch.uint8)
    spec = TensorSpec(shape=(3, 4), strides=(500, 1), dtype=DType.FLOAT16, offset=1)
    window = elements_window(memory, spec)
    assert window.numel() == 3 * 4 * 2
    for start in (2, 1002, 2002):
        memory[start] += 1
    assert int(elements_window(memory, spec).sum()) == 3
