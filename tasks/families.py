"""Recognising what kind of operation a reference is, so that ready-made kernels can be tried on it."""

from tilewright.tasks.observation import Observation
from tilewright.tasks.spec import DType, TensorSpec

OTHER = "other"


def recognise(seen: Observation) -> str:
    """Return the family of a file that declares none; `other` unless it is exactly that operation.

    The families recognised are those whose whole forward is one ATen call on inputs as they are given:
    `softmax`, `row_sum`, `layer_norm`, `matmul`, `cross_entropy` and causal `attention`, with the
    arguments that the core suite's tasks of the same family have.
    """
    names = tuple(operation.name for operation in seen.operations)
    if seen.calls != len(names) or not names:
        return OTHER
    arguments = [operation.arguments for operation in seen.operations]
    ranks = tuple(len(one.shape) if isinstance(one, TensorSpec) else -1 for one in seen.inputs)
    parameters = tuple(parameter.name for parameter in seen.parameters)
    rest = arguments[0][len(seen.inputs) :]
    if names[0] == "aten.native_layer_norm":
        return _layer_norm(seen, ranks, parameters)
    if parameters or arguments[0][: len(seen.inputs)] != seen.inputs:
        return _cross_entropy(seen, names, ranks) if not parameters else OTHER
    known = {
        ("softmax", ("aten._softmax",), (2,)): rest[:1] in (("1",), ("-1",)),
        ("row_sum", ("aten.sum",), (2,)): rest[:2] in (("[1]",), ("[-1]",), ("[1]", "False"), ("[-1]", "False")),
        ("matmul", ("aten.mm",), (2, 2)): True,
        ("attention", ("aten._scaled_dot_product_flash_attention_for_cpu",), (4, 4, 4)): rest == ("0.0", "True"),
    }
    return next(
        (family for (family, ops, shape), fits in known.items() if (ops, shape) == (names, ranks) and fits), OTHER
    )


def _layer_norm(seen: Observation, ranks: tuple[int, ...], parameters: tuple[str, ...]) -> str:
    operation = seen.operations[0]
    cols = seen.outputs[0].shape[-1] if seen.outputs else 0
    fits = ranks == (2,) and parameters == ("weight", "bias") and seen.init_args == f"[{cols}]"
    is_whole = seen.calls == 1 and operation.arguments[1] == f"[{cols}]" and operation.arguments[4] == "1e-05"
    return "layer_norm" if fits and is_whole else OTHER


def _cross_entropy(seen: Observation, names: tuple[str, ...], ranks: tuple[int, ...]) -> str:
    if names != ("aten._log_softmax", "aten.nll_loss_forward") or ranks != (2, 1):
        return OTHER
    logits, labels = seen.inputs
    first, second = (operation.arguments for operation in seen.operations)
    is_plain = first[:2] == (logits, "1") and second[1:] == (labels, "None", "1", "-100")
    is_integer = isinstance(labels, TensorSpec) and labels.dtype is DType.INT64
    return "cross_entropy" if is_plain and is_integer else OTHER
