from msgspec import structs

from tilewright.tasks.spec import (
    Case,
    CaseRole,
    Domain,
    DType,
    KernelTask,
    Layout,
    Size,
    SizeRange,
    TensorSpec,
    Tolerance,
    Values,
)

SPEC = TensorSpec(shape=(4, 8), strides=(8, 1), dtype=DType.FLOAT16)
CASE = Case(
    name="smoke-4x8-float16",
    role=CaseRole.SMOKE,
    sizes=(Size(name="rows", value=4),),
    dtype=DType.FLOAT16,
    init_args="[]",
    inputs=(SPEC,),
    parameters=(),
    outputs=(SPEC,),
)
TASK = KernelTask(
    title="relu",
    family="other",
    reference_source="class Model: ...",
    cases=(CASE,),
    domain=Domain(
        sizes=(SizeRange(name="rows", low=1, high=9),),
        dtypes=(DType.FLOAT16,),
        layouts=(Layout.CONTIGUOUS,),
        values=(Values.DRAWN,),
    ),
    tolerance=Tolerance(),
)


def test_the_id_of_a_task_is_the_same_in_every_process_and_version() -> None:
    assert TASK.id == "ce05f74962cc897e"


def test_the_title_is_no_part_of_the_id() -> None:
    assert structs.replace(TASK, title="another").id == TASK.id


def test_everything_that_decides_the_answer_changes_the_id() -> None:
    others = (
        structs.replace(TASK, family="softmax"),
        structs.replace(TASK, reference_source="class Model: ...\n"),
        structs.replace(TASK, cases=()),
        structs.replace(TASK, cases=(structs.replace(CASE, values=Values.ZEROS),)),
        structs.replace(TASK, domain=structs.replace(TASK.domain, dtypes=(DType.FLOAT32,))),
        structs.replace(TASK, tolerance=Tolerance(factor=3.0)),
    )
    assert len({TASK.id, *(other.id for other in others)}) == len(others) + 1
