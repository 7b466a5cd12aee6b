"""Plans and facts of kernels whose times on an H200 are known, as recorded and compiled for it."""

from tilewright.evaluator.recording import (
    CaseCount,
    InstructionMix,
    KernelBuild,
    KernelFacts,
    Occupancy,
    Recording,
)
from tilewright.sandbox.plan import (
    Alloc,
    Aten,
    Buffer,
    BufferOrigin,
    Launch,
    LaunchPlan,
    Literal,
    Pointer,
    Step,
    View,
)
from tilewright.sandbox.protocol import LaunchCount
from tilewright.tasks.spec import (
    Case,
    CaseRole,
    Domain,
    DType,
    KernelTask,
    ParameterSpec,
    Size,
    TensorSpec,
    Tolerance,
)

HALF = DType.FLOAT16


def tensor(*shape: int, dtype: DType = HALF) -> TensorSpec:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return TensorSpec(shape=shape, strides=tuple(strides[: len(shape)]), dtype=dtype)


def bench(
    name: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    *,
    parameters: tuple[TensorSpec, ...] = (),
    sizes: tuple[Size, ...] = (),
) -> Case:
    return Case(
        name=name,
        role=CaseRole.BENCH,
        sizes=sizes,
        dtype=HALF,
        init_args="[]",
        inputs=inputs,
        parameters=tuple(ParameterSpec(name=f"p{i}", tensor=one) for i, one in enumerate(parameters)),
        outputs=outputs,
    )


def task_of(*cases: Case, source: str = "") -> KernelTask:
    return KernelTask(
        title="sample",
        family="other",
        reference_source=source,
        cases=cases,
        domain=Domain(sizes=(), dtypes=(HALF,), layouts=(), values=()),
        tolerance=Tolerance(),
    )


def plan_of(case: Case, steps: tuple[Step, ...], *, scratch: tuple[TensorSpec, ...] = ()) -> LaunchPlan:
    """A plan whose buffers are the inputs, the parameters, the outputs and then scratch, in this order."""
    specs = [(one, BufferOrigin.INPUT) for one in case.inputs if isinstance(one, TensorSpec)]
    specs += [(one.tensor, BufferOrigin.PARAMETER) for one in case.parameters]
    specs += [(one, BufferOrigin.SCRATCH) for one in (*case.outputs, *scratch)]
    buffers = tuple(
        Buffer(
            index=index,
            bytes=spec.storage_bytes,
            origin=origin,
            name=f"b{index}",
            dtype=spec.dtype.value,
            first_step=-1,
            last_step=len(steps),
        )
        for index, (spec, origin) in enumerate(specs)
    )
    first_output = len(case.inputs) + len(case.parameters)
    return LaunchPlan(
        target="cuda:90",
        case=case.name,
        buffers=buffers,
        steps=steps,
        outputs=tuple(View(buffer=first_output + i, tensor=one) for i, one in enumerate(case.outputs)),
    )


def launch(
    *buffers: int, programs: int, warps: int = 8, stages: int = 3, shared: int = 0, kernel: str = "kernel"
) -> Launch:
    return Launch(
        kernel=kernel,
        entry=kernel,
        ptx_sha=kernel,
        grid=(programs, 1, 1),
        num_warps=warps,
        num_stages=stages,
        num_ctas=1,
        shared_bytes=shared,
        global_scratch_bytes=0,
        arguments=tuple(Pointer(name=f"p{i}", buffer=i, offset_bytes=0, signature="*fp16") for i in buffers),
    )


def alloc(buffer: int) -> Alloc:
    return Alloc(buffer=buffer)


def fill(view: View) -> Aten:
    return Aten(operation="aten.fill_.Scalar", arguments=(view, Literal(text="0")), keywords=(), outputs=(view,))


def facts(
    *, blocks: int, registers: int = 48, spill: int = 0, shared: int = 32, persistent: bool = False, **mix: int
) -> KernelFacts:
    return KernelFacts(
        registers=registers,
        spill_bytes=spill,
        stack_bytes=0,
        shared_bytes=shared,
        occupancy=Occupancy(blocks=blocks, share=min(1.0, blocks / 8), limiter="registers"),
        mix=InstructionMix(**mix),
        sass_sha="",
        grid_rank_loops=persistent,
    )


def count(programs: int, load: int, store: int, **others: int | str) -> LaunchCount:
    amounts: dict[str, int] = {
        "load_sectors": load // 32,
        "store_sectors": store // 32,
        "atomic_operations": 0,
        "dot_flops": 0,
        "arithmetic_operations": 0,
        "special_operations": 0,
    }
    amounts |= {name: value for name, value in others.items() if isinstance(value, int)}
    return LaunchCount(
        kernel="kernel",
        programs=programs,
        load_bytes=load,
        store_bytes=store,
        dot_dtype=str(others.get("dot_dtype", "")),
        is_exact=False,
        **amounts,
    )


def recording_of(*plans: LaunchPlan, **kernels: KernelFacts) -> Recording:
    builds = tuple(
        KernelBuild(kernel=name, entry=name, ptx_sha=name, cubin_sha=name, facts=one) for name, one in kernels.items()
    )
    return Recording(candidate_id="candidate", target="cuda:90", plans=plans, builds=builds, knobs=(), wall_s=0.0)


Sample = tuple[KernelTask, Recording, tuple[CaseCount, ...]]


def sample(case: Case, step: Launch, counted: LaunchCount, found: KernelFacts) -> Sample:
    first = len(case.inputs) + len(case.parameters)
    plan = plan_of(case, (alloc(first), step))
    return task_of(case), recording_of(plan, kernel=found), (CaseCount(case=case.name, launches=(counted,)),)


def softmax(rows: int, columns: int, warps: int, found: KernelFacts) -> Sample:
    """One block a row."""
    case = bench(f"softmax-{rows}x{columns}", (tensor(rows, columns),), (tensor(rows, columns),))
    moved = rows * columns * 2
    work = count(rows, moved, moved, special_operations=rows * columns, arithmetic_operations=4 * rows * columns)
    return sample(case, launch(0, 1, programs=rows, warps=warps), work, found)


def softmax_block() -> Sample:
    """8192x8192, 8 warps: 68 us measured."""
    wide = facts(blocks=5, total=520, global_loads=4, global_loads_128=4, barriers=5, special=33)
    return softmax(8192, 8192, 8, wide)


def softmax_wide(warps: int) -> Sample:
    """4096x50257 in one block of 65536: 4167 us measured with 4 warps, 808 us for Liger's with many."""
    found = {
        4: facts(blocks=16, registers=32, spill=22_248, total=18_943, global_loads=512, barriers=5),
        16: facts(blocks=1, registers=128, spill=820, total=3570, global_loads=128, barriers=5),
    }
    return softmax(4096, 50257, warps, found[warps])


def rms_norm() -> Sample:
    """16384x4096, one block a row: 67.6 us measured."""
    case = bench("rms", (tensor(16384, 4096),), (tensor(16384, 4096),), parameters=(tensor(4096),))
    moved = 16384 * 4096 * 2
    found = facts(blocks=6, registers=38, total=191, global_loads=4, global_loads_128=4, barriers=2)
    return sample(case, launch(0, 1, 2, programs=16384), count(16384, 2 * moved, moved), found)


def matmul(*, warp_groups: bool = True, pipelined: bool = True, side: int = 128) -> Sample:
    """4096^3 fp16 in square tiles; 216 us measured for 128x128x64 with 8 warps."""
    case = bench("matmul", (tensor(4096, 4096), tensor(4096, 4096)), (tensor(4096, 4096),))
    programs = (4096 // side) ** 2
    loaded = programs * 2 * side * 4096 * 2
    work = count(programs, loaded, 4096 * 4096 * 2, dot_flops=2 * 4096**3, dot_dtype="float16")
    mix = {"hgmma" if warp_groups else "hmma": 4, "ldgsts" if pipelined else "global_loads": 32}
    found = facts(blocks=1, registers=168, shared=98_304, total=800, branches_back=1, **mix)
    return sample(case, launch(0, 1, 2, programs=programs, shared=98_304), work, found)
