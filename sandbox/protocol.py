"""What travels between the trusted side and a sandboxed child: requests one way, answers the other."""

import msgspec

from tilewright.sandbox.failure import Failure, Stage
from tilewright.sandbox.plan import LaunchPlan, TensorMap
from tilewright.tasks.candidate import Knob, KnobRange
from tilewright.tasks.spec import Case


class CompiledKernel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What compiling one specialisation of a kernel gave, without the text.

    Attributes:
        key: Hash of the kernel's source, its specialised signature, its options and the target.
        ptx_sha: SHA-256 of the text.
        entry: Name of the entry function.
        num_warps: Warps of a program, those that warp specialisation adds included.
        num_stages: Depth of software pipelining.
        num_ctas: Programs of a cluster.
        shared_bytes: Shared memory of a program.
        global_scratch_bytes: Scratch memory of a program.
        flags: Launch options that are on, such as `cooperative` or `pdl`.
        global_scratch_align: Alignment of the scratch memory, in bytes.
        profile_scratch_bytes: Scratch memory of a program for Triton's in-kernel profiler.
        profile_scratch_align: Alignment of that memory, in bytes.
        tensor_maps: How each host-side tensor descriptor is passed, in the order of the parameters; empty if all of
            them are taken apart.
    """

    key: str
    ptx_sha: str
    entry: str
    num_warps: int
    num_stages: int
    num_ctas: int
    shared_bytes: int
    global_scratch_bytes: int
    flags: tuple[str, ...]
    global_scratch_align: int = 1
    profile_scratch_bytes: int = 0
    profile_scratch_align: int = 1
    tensor_maps: tuple[TensorMap | None, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="record"):
    """Run the launcher on fake tensors for each case and compile its kernels to PTX.

    Attributes:
        source: The candidate's file.
        knobs: Chosen values.
        target: Name of the target.
        cases: What to record.
        known: SHA-256 of PTX texts that the trusted side already has and need not be sent again.
        compiled: What earlier requests with this very source compiled; it is not compiled again. Never the answer
            of another source, which could plant its own binary under a foreign key.
    """

    source: str
    knobs: tuple[Knob, ...]
    target: str
    cases: tuple[Case, ...]
    known: tuple[str, ...] = ()
    compiled: tuple[CompiledKernel, ...] = ()


class CaseData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case and the bytes that its buffers start with.

    Attributes:
        case: Shapes and types.
        inputs: Storage of each tensor input, in the order of `case.inputs`, scalars left out.
        parameters: Storage of each parameter, in the order of `case.parameters`.
    """

    case: Case
    inputs: tuple[bytes, ...]
    parameters: tuple[bytes, ...]


class Interpret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="interpret"):
    """Record each case and run its plan in Triton's interpreter.

    Attributes:
        source: The candidate's file.
        knobs: Chosen values.
        target: Name of the target.
        cases: Cases with their data; one answer each, in order.
        poison: Byte that fills launcher-made buffers before the first step.
        order: Seed of the order in which the programs of a launch run; 0 is the order of a GPU with one place.
    """

    source: str
    knobs: tuple[Knob, ...]
    target: str
    cases: tuple[CaseData, ...]
    poison: int = 0xFF
    order: int = 0


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="count"):
    """Walk a few programs of each launch at full size, counting traffic and arithmetic without data.

    Attributes:
        source: The candidate's file.
        knobs: Chosen values.
        target: Name of the target.
        cases: What to count; shapes only.
        programs: Programs of each grid that are walked, spread evenly.
    """

    source: str
    knobs: tuple[Knob, ...]
    target: str
    cases: tuple[Case, ...]
    programs: int = 3


Request = Record | Interpret | Count


class Entered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="entered"):
    """The child starts on something; if it dies, this says where."""

    stage: Stage
    case: str | None
    kernel: str | None = None


class Ptx(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One compiled kernel.

    Attributes:
        sha: SHA-256 of the text.
        entry: Name of the entry function.
        text: PTX (AMD GCN assembly for `hip` targets); empty if the trusted side already has it.
    """

    sha: str
    entry: str
    text: str


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="recorded"):
    """Answer to Record: a plan a case, each distinct PTX once, and the knobs that the file declares.

    Attributes:
        plans: One plan a case, in their order.
        ptx: Each distinct kernel of the plans.
        knobs: Knobs that the file declares, one for each autotuned kernel included.
        compiled: What was compiled, to be handed in again with the same source.
    """

    plans: tuple[LaunchPlan, ...]
    ptx: tuple[Ptx, ...]
    knobs: tuple[KnobRange, ...]
    compiled: tuple[CompiledKernel, ...] = ()


class Interpreted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="interpreted"):
    """Answer to Interpret, one a case.

    Attributes:
        plan: What was recorded and then run.
        outputs: Elements of each output in row-major order.
        written: For each output, whether every element was written by some step.
        changed: Names of inputs and parameters whose storage differs after the run.
        not_covered: What the interpreter could not do faithfully; empty if nothing. Otherwise there are no outputs.
        notes: What is worth knowing but is no fault, such as reads of bytes that nothing wrote.
    """

    plan: LaunchPlan
    outputs: tuple[bytes, ...]
    written: tuple[bool, ...]
    changed: tuple[str, ...]
    not_covered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class LaunchCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work of one launch, summed over its grid by scaling the programs that were walked.

    Attributes:
        kernel: Name of the kernel.
        programs: Size of the grid.
        load_bytes: Bytes requested by unmasked lanes of loads.
        store_bytes: Bytes written by unmasked lanes of stores.
        load_sectors: 32-byte sectors touched by loads, counted for each load of a program.
        store_sectors: 32-byte sectors touched by stores.
        atomic_operations: Elements of atomic operations.
        dot_flops: Multiplications and additions of `tl.dot`.
        dot_dtype: Operand type of the products, or empty.
        arithmetic_operations: Elementwise floating-point operations.
        special_operations: exp, log, sqrt, rsqrt, sin, cos, erf, division and library calls.
        is_exact: Whether the whole grid was walked.
        load_calls: How often programs load, whatever the size: loops go round so much more often than the source says.
    """

    kernel: str
    programs: int
    load_bytes: int
    store_bytes: int
    load_sectors: int
    store_sectors: int
    atomic_operations: int
    dot_flops: int
    dot_dtype: str
    arithmetic_operations: int
    special_operations: int
    is_exact: bool
    load_calls: int = 0


class Counted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="counted"):
    """Answer to Count, one a case: the launches in order."""

    case: str
    launches: tuple[LaunchCount, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="refused"):
    """The candidate is at fault; nothing more follows for this request."""

    failure: Failure


class Finished(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="finished"):
    """Nothing more follows for this request."""


Answer = Entered | Recorded | Interpreted | Counted | Refused | Finished
