"""Counted work equals closed forms; what is not walked is scaled from what is."""

import pytest
from interpreting import Child, case_of, contiguous, launcher

from tilewright.sandbox.failure import Stage
from tilewright.sandbox.protocol import Count, Counted, Entered

COPY = """
@triton.jit
def copy(x_ptr, y_ptr, n, stride, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs * stride, mask=offs * stride < n), mask=offs < n)
"""


def copy(stride: int = 1) -> str:
    call = f"""
y = torch.empty_like(x)
copy[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), {stride}, BLOCK=1024)
return y
"""
    return launcher(COPY, call)


def test_a_copy_moves_each_byte_once_in_whole_sectors(child: Child) -> None:
    work = child.count(copy(), (1 << 20,))
    assert (work.kernel, work.programs) == ("copy", 1024)
    assert (work.load_bytes, work.store_bytes) == (2 << 20, 2 << 20)
    assert (work.load_sectors, work.store_sectors) == (65536, 65536)
    assert (work.dot_flops, work.arithmetic_operations, work.special_operations) == (0, 0, 0)


def test_masked_lanes_move_nothing(child: Child) -> None:
    work = child.count(copy(), (1000,), programs=10)
    assert (work.load_bytes, work.store_bytes) == (2000, 2000)
    assert work.load_sectors == 63  # 2000 bytes over 32, rounded up


def test_strided_loads_touch_a_sector_each(child: Child) -> None:
    work = child.count(copy(stride=16), (1024,))
    assert (work.load_bytes, work.load_sectors) == (2 * 64, 64)


def test_walking_the_whole_grid_is_exact_and_a_sample_is_not(child: Child) -> None:
    assert child.count(copy(), (3 * 1024,), programs=3).is_exact
    assert not child.count(copy(), (4 * 1024,), programs=3).is_exact


SOFTMAX = """
@triton.jit
def softmax(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(y_ptr + row * n + cols, e / tl.sum(e, axis=0), mask=cols < n)
"""


def test_a_softmax_counts_as_its_formula_says(child: Child) -> None:
    call = "y = torch.empty_like(x)\nsoftmax[(x.shape[0],)](x, y, x.shape[1], BLOCK=8192)\nreturn y"
    work = child.count(launcher(SOFTMAX, call), (512, 8192))
    elements = 512 * 8192
    assert (work.load_bytes, work.store_bytes) == (2 * elements, 2 * elements)
    # maximum and sum take n - 1 each, the difference n
    assert work.arithmetic_operations == 3 * elements - 2 * 512
    assert work.special_operations == 2 * elements  # exp and division


MATMUL = """
@triton.jit
def matmul(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, K, BK):
        a = tl.load(a_ptr + m[:, None] * K + start + k[None, :])
        b = tl.load(b_ptr + (start + k[:, None]) * N + n[None, :])
        acc = tl.dot(a, b, acc)
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc.to(c_ptr.dtype.element_ty))
"""
MATMUL_CALL = """
c = a.new_empty(a.shape[0], b.shape[1])
grid = (a.shape[0] // 64, b.shape[1] // 128)
matmul[grid](a, b, c, a.shape[0], b.shape[1], a.shape[1], BM=64, BN=128, BK=32)
return c
"""


def test_a_tiled_product_counts_as_its_tiles_say(child: Child) -> None:
    m, n, k = 512, 1024, 256
    work = child.count(launcher(MATMUL, MATMUL_CALL, "a, b"), (m, k), (k, n))
    assert work.dot_flops == 2 * m * n * k
    assert work.dot_dtype == "float16"
    # each tile of c reads its rows of a and its columns of b
    assert work.load_bytes == 2 * (m * k * (n // 128) + k * n * (m // 64))
    assert work.load_sectors == work.load_bytes // 32
    assert work.store_bytes == 2 * m * n


@pytest.mark.parametrize(("dtype", "name"), [("float32", "tf32"), ("bfloat16", "bfloat16")])
def test_products_name_their_operands(child: Child, dtype: str, name: str) -> None:
    assert child.count(launcher(MATMUL, MATMUL_CALL, "a, b"), (64, 64), (64, 128), dtype=dtype).dot_dtype == name


TRIANGLE = """
@triton.jit
def triangle(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id({axis}) {fold}
    cols = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for j in range(0, i + 1):
        total += tl.load(x_ptr + j * BLOCK + cols)
    tl.store(y_ptr + i * BLOCK + cols, total)
"""


@pytest.mark.parametrize(
    ("axis", "fold", "grid"), [(0, "", "(16, 8)"), (1, "", "(8, 16)"), (0, "% 16", "(128,)"), (0, "// 8", "(128,)")]
)
def test_a_sample_stands_for_a_grid_whose_programs_differ(child: Child, axis: int, fold: str, grid: str) -> None:
    call = f"y = torch.empty_like(x)\ntriangle[{grid}](x, y, x.numel(), BLOCK=128)\nreturn y"
    work = child.count(launcher(TRIANGLE.format(axis=axis, fold=fold), call), (2048,))
    expected = 8 * sum(range(1, 17)) * 128 * 2
    assert abs(work.load_bytes / expected - 1) < 0.1


def test_atomics_and_library_calls_are_counted(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, y_ptr):
    offs = tl.arange(0, 256)
    tl.atomic_add(y_ptr + offs % 2, libdevice.tanh(tl.load(x_ptr + offs).to(tl.float32)), mask=offs < 200)
"""
    call = "y = torch.zeros(2, device=x.device, dtype=torch.float32)\nkernel[(1,)](x, y)\nreturn y"
    work = child.count(launcher(kernel, call), (256,))
    assert (work.atomic_operations, work.special_operations) == (200, 256)


def test_inline_assembly_counts_as_special_operations(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, y_ptr):
    offs = tl.arange(0, 256)
    x = tl.load(x_ptr + offs).to(tl.float32)
    y = tl.inline_asm_elementwise("tanh.approx.f32 $0, $1;", "=r,r", [x], dtype=tl.float32, is_pure=True, pack=1)
    tl.store(y_ptr + offs, y)
"""
    work = child.count(launcher(kernel, "y = torch.empty_like(x)\nkernel[(1,)](x, y)\nreturn y"), (256,))
    assert (work.special_operations, work.store_bytes) == (256, 512)


def test_a_long_loop_is_cut_short_and_scaled(child: Child) -> None:
    kernel = """
@triton.jit
def kernel(x_ptr, y_ptr, n):
    offs = tl.arange(0, 128)
    total = tl.zeros((128,), dtype=tl.float32)
    for i in range(0, 1000):
        for j in range(0, 1000):
            total += tl.load(x_ptr + offs)
    tl.store(y_ptr + offs, total)
"""
    work = child.count(launcher(kernel, "y = torch.empty_like(x)\nkernel[(1,)](x, y, 1)\nreturn y"), (128,))
    assert not work.is_exact
    assert abs(work.load_bytes / (1_000_000 * 256) - 1) < 0.05
    assert work.store_bytes == 256


def test_each_case_is_announced_before_its_counts(child: Child) -> None:
    case = case_of((contiguous((4096,), "float16"),), "float16")
    answers = child.ask(Count(source=copy(), knobs=(), target="cuda:90", cases=(case, case)))
    kinds = [type(answer) for answer in answers if not (isinstance(answer, Entered) and answer.stage is Stage.RECORD)]
    assert kinds == [Entered, Counted, Entered, Counted]
