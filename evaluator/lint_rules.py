"""The lint's rules: what Triton 3.6 and 3.7 refuse although it reads like Python, one function a rule."""

import ast
import re
from collections.abc import Callable, Iterator

from tilewright.evaluator.findings import Finding
from tilewright.evaluator.lint_flow import FLOW_RULES
from tilewright.evaluator.lint_kernel import KernelView, Shape
from tilewright.evaluator.triton_names import MISSING_FORMS, TL_MATH_NAMES, TL_NAMES, WRONG_KEYWORDS, words

_MAX_BLOCK = 1_048_576
_MIN_DOT_K = 16
_NEED_FLOAT32 = words("exp exp2 log log2 sqrt sqrt_rn rsqrt sin cos sigmoid softmax erf")
_K_NAME = re.compile(r"(^|_)(BLOCK_?)?B?(SIZE_?)?K(_|$)|^BLOCK_?K", re.IGNORECASE)


def _finding(node: ast.AST, rule: str, message: str, right_form: str) -> Finding:
    return Finding(line=getattr(node, "lineno", 1), rule=rule, message=message, right_form=right_form)


def missing_names(view: KernelView) -> Iterator[Finding]:
    """Find names that triton.language lacks, such as tl.prefetch and tl.math.tanh."""
    for node in view.nodes:
        name = view.tl_name(node)
        if name is None or not isinstance(node, ast.Attribute):
            continue
        head, _, rest = name.partition(".")
        missing = head if head not in TL_NAMES else ""
        if head == "math" and rest and rest.split(".")[0] not in TL_MATH_NAMES:
            missing = rest.split(".")[0]
        if missing:
            form = MISSING_FORMS.get(missing, f"tl.{missing}(...)" if missing in TL_NAMES else "")
            yield _finding(node, "tl-name", f"`tl.{name}` does not exist", f"write {form}" if form else "")


def wrong_keywords(view: KernelView) -> Iterator[Finding]:
    """Find keywords that a function lacks, and values that it does not take."""
    for name, call in view.calls():
        given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        for keyword in given:
            form = WRONG_KEYWORDS.get((name, keyword))
            if form is not None:
                yield _finding(call, "tl-keyword", f"`tl.{name}` has no `{keyword}=`", f"write {form}")
        if name == "dot" and "allow_tf32" in given:
            form = 'write input_precision="ieee", "tf32" or "tf32x3"'
            yield _finding(call, "tl-keyword", "`allow_tf32=` of `tl.dot` is deprecated", form)
        if name == "load":
            yield from _load(call, given)


def _load(call: ast.Call, given: dict[str, ast.expr]) -> Iterator[Finding]:
    """Find `other=` without `mask=` and unknown eviction policies."""
    has_mask = "mask" in given or len(call.args) > 1
    if "other" in given and not has_mask:
        yield _finding(call, "load-other", "`other=` without `mask=`", "give tl.load a mask, or drop other=")
    policy = given.get("eviction_policy")
    if isinstance(policy, ast.Constant) and policy.value not in {"", "evict_first", "evict_last"}:
        form = 'write "evict_first" or "evict_last"'
        yield _finding(call, "eviction", f"eviction_policy {policy.value!r} does not exist", form)


def powers(view: KernelView) -> Iterator[Finding]:
    """Find `x**2` on anything but constants."""
    for node in view.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and view.shape(node) is not Shape.CONSTANT:
            text = f"`{ast.unparse(node)}`: tensors have no power operator"
            yield _finding(node, "power", text, "write x * x, or libdevice.pow(x, y)")


def indexing(view: KernelView) -> Iterator[Finding]:
    """Find slices and elements of blocks, and assignments to items."""
    for node in view.nodes:
        if not isinstance(node, ast.Subscript):
            continue
        text = f"`{ast.unparse(node)}`"
        if isinstance(node.ctx, ast.Store):
            form = "make the block with tl.where, or store through a pointer with tl.store"
            yield _finding(node, "item-assignment", f"{text}: blocks have no item assignment", form)
        elif _takes_elements(node) and view.shape(node.value) is Shape.BLOCK:
            form = "only x[:, None] and x[None, :] exist: load what is needed, or select with tl.where and tl.sum"
            yield _finding(node, "indexing", f"{text}: blocks cannot be sliced or indexed", form)


def _takes_elements(node: ast.Subscript) -> bool:
    """Whether a subscript holds anything but `:` and `None`."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for part in parts:
        is_all = isinstance(part, ast.Slice) and part.lower is part.upper is part.step is None
        is_none = isinstance(part, ast.Constant) and part.value is None
        if not is_all and not is_none:
            return True
    return False


def nested_functions(view: KernelView) -> Iterator[Finding]:
    """Find lambdas and functions inside a kernel, and chained comparisons."""
    for node in view.nodes:
        if isinstance(node, ast.Lambda):
            yield _finding(node, "lambda", "`lambda` in a kernel", "write a @triton.jit function at the top level")
        elif isinstance(node, ast.FunctionDef) and node is not view.node:
            form = "write a @triton.jit function at the top level"
            yield _finding(node, "nested-def", f"`def {node.name}` in a kernel", form)
        elif isinstance(node, ast.Compare) and len(node.ops) > 1:
            form = "write (a <= b) & (b < c)"
            yield _finding(node, "chained-comparison", f"`{ast.unparse(node)}`: chained comparison", form)


def arange_bounds(view: KernelView) -> Iterator[Finding]:
    """Find tl.arange with a runtime bound, a length that is no power of two, or one beyond the limit."""
    for name, call in view.calls():
        if name != "arange" or len(call.args) != 2:
            continue
        for bound in call.args:
            if view.shape(bound) in {Shape.SCALAR, Shape.BLOCK}:
                text = f"`{ast.unparse(call)}`: the bounds of tl.arange must be tl.constexpr"
                yield _finding(call, "arange", text, "pass a power of two as tl.constexpr and mask the rest")
        yield from _arange_length(view, call)


def _arange_length(view: KernelView, call: ast.Call) -> Iterator[Finding]:
    """Find literal lengths, and values that the file gives to a named length, that tl.arange refuses."""
    low, high = call.args
    if not isinstance(low, ast.Constant) or not isinstance(low.value, int):
        return
    ends: tuple[int, ...] = ()
    if isinstance(high, ast.Constant) and isinstance(high.value, int):
        ends = (high.value,)
    elif isinstance(high, ast.Name) and high.id in view.constants:
        ends = view.literals.get(high.id, ())
    for end in ends:
        length = end - low.value
        if length <= 0 or length & (length - 1):
            form = "use the next power of two and a mask"
            yield _finding(call, "arange", f"tl.arange of {length} elements: not a power of two", form)
        elif length > _MAX_BLOCK:
            form = "loop over smaller blocks"
            yield _finding(call, "block-size", f"a block of {length} elements exceeds {_MAX_BLOCK}", form)


def block_sizes(view: KernelView) -> Iterator[Finding]:
    """Find literal shapes beyond Triton's largest block."""
    for name, call in view.calls():
        shapes = [call.args[0]] if name in {"zeros", "full"} and call.args else []
        shapes += [k.value for k in call.keywords if k.arg == "shape"]
        for shape in shapes:
            if not isinstance(shape, ast.Tuple | ast.List):
                continue
            numbers = [n.value for n in shape.elts if isinstance(n, ast.Constant) and isinstance(n.value, int)]
            product = 1
            for number in numbers:
                product *= number
            if product > _MAX_BLOCK:
                text = f"a block of {product} elements exceeds {_MAX_BLOCK}"
                yield _finding(call, "block-size", text, "loop over smaller blocks")


def dots(view: KernelView) -> Iterator[Finding]:
    """Find tl.dot with a short K, with operands of two types, and fp32 products without a stated precision."""
    calls = [call for name, call in view.calls() if name == "dot" and len(call.args) >= 2]
    for call in calls:
        kinds = {view.dtype(call.args[0]), view.dtype(call.args[1])}
        if None not in kinds and len(kinds) == 2:
            form = "cast one: tl.dot(p.to(v.dtype), v)"
            yield _finding(call, "dot-types", "`tl.dot` of operands of different types", form)
        stated = any(keyword.arg in {"input_precision", "allow_tf32"} for keyword in call.keywords)
        if kinds == {"float32"} and not stated:
            form = 'state it: tl.dot(a, b, acc, input_precision="ieee"), or "tf32x3"'
            yield _finding(call, "dot-precision", "`tl.dot` of fp32 operands rounds them to TF32", form)
    if calls:
        for name in sorted(view.constants):
            short = [value for value in view.literals.get(name, ()) if value < _MIN_DOT_K]
            if short and _K_NAME.search(name):
                text = f"{name}={short[0]}: the K of tl.dot must be at least {_MIN_DOT_K} (32 for 8-bit types)"
                yield _finding(calls[0], "dot-k", text, f"use {_MIN_DOT_K} or more")


def low_precision_functions(view: KernelView) -> Iterator[Finding]:
    """Find exp, sqrt, sigmoid and the like on values that may be fp16 or bf16."""
    for name, call in view.calls():
        function = name.removeprefix("math.")
        if function not in _NEED_FLOAT32 or not call.args:
            continue
        kind = view.dtype(call.args[0])
        if kind in {"float16", "bfloat16", "loaded"}:
            text = f"`tl.{name}` of {'a loaded value, which may be fp16 or bf16' if kind == 'loaded' else kind}"
            yield _finding(call, "needs-fp32", text, f"cast first: tl.{name}(x.to(tl.float32))")


def foreign_names(view: KernelView) -> Iterator[Finding]:
    """Find globals that are no tl.constexpr, and torch or math inside a kernel."""
    own = view.constants | view.runtime | frozenset(view.assigned) | view.global_constants
    known = set(view.scope.kernels) | set(view.scope.functions) | set(view.scope.classes)
    decoration = {id(one) for part in view.node.decorator_list for one in ast.walk(part)}
    annotations = {id(one) for arg in ast.walk(view.node.args) for one in ast.walk(arg)}
    for node in view.nodes:
        if not isinstance(node, ast.Name) or id(node) in decoration | annotations or node.id in own:
            continue
        path = view.scope.imports.get(node.id, "")
        if path.split(".")[0] in {"torch", "math"}:
            form = "use tl types and functions, or pass the number as tl.constexpr"
            yield _finding(node, "foreign-module", f"`{node.id}` inside a kernel", form)
        elif node.id in view.scope.names and node.id not in known and isinstance(node.ctx, ast.Load):
            form = f"pass it as an argument, or write {node.id} = tl.constexpr(...)"
            yield _finding(node, "global", f"`{node.id}` is a global that is no tl.constexpr", form)


Rule = Callable[[KernelView], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    missing_names,
    wrong_keywords,
    powers,
    indexing,
    nested_functions,
    arange_bounds,
    block_sizes,
    dots,
    low_precision_functions,
    foreign_names,
    *FLOW_RULES,
)
