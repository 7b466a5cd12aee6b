"""Answers a Count request: walks a few programs of each launch at full size and scales what they do to the grid.

No data exist: loads give zero, so loops and branches that depend on data are walked as zeros lead them.
"""

import math
from collections.abc import Callable

from tilewright.sandbox import shims
from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.counting_builder import CountingBuilder
from tilewright.sandbox.counting_tally import Budget, BudgetSpentError, Tally
from tilewright.sandbox.failure import Stage
from tilewright.sandbox.interpreter import kernel_fault
from tilewright.sandbox.launches import Call
from tilewright.sandbox.offline_driver import offline_driver
from tilewright.sandbox.protocol import Answer, Count, Counted, Entered, LaunchCount
from tilewright.sandbox.shims_launch import Program, programs_of, run_programs
from tilewright.sandbox.shims_numeric import UnsupportedError
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, trace_case

# Walking a program of a large product takes about a tenth of a second; what needs more than this is extrapolated.
_LAUNCH_SECONDS = 2.0
# Two programs that take longer than this together stand for all.
_ENOUGH_SECONDS = 0.1
# Places in a grid, as shares of each axis. In binary a third and two thirds look alike at every scale, so that they
# are a fair pair for work that grows along an axis, and along whatever a kernel folds into one axis as well (two
# thirds of 1024 is 682, which is 10 of 16 and 2 of 4; one third is 341, which is 5 of 16 and 1 of 4).
_PLACES = (1 / 3, 2 / 3, 5 / 9)
_GOLDEN = 0.618034
_AMOUNTS = (
    "load_bytes", "store_bytes", "load_sectors", "store_sectors", "atomic_operations", "dot_flops",
    "arithmetic_operations", "special_operations", "load_calls",
)  # fmt: skip


def count(request: Count, emit: Callable[[Answer], None]) -> None:
    """Count the work of each launch of each case; emit one Counted a case.

    Raises:
        CandidateFault: The candidate is at fault.
    """
    shims.install()
    target = find_target(request.target)
    emit(Entered(stage=Stage.RECORD, case=None))
    module = load_candidate(request.source, request.knobs, target)
    for case in request.cases:
        emit(Entered(stage=Stage.TIMING, case=case.name))
        calls = trace_case(module, case, target, PlainSink()).calls
        with offline_driver(target):  # as in the interpreter
            launches = tuple(count_launch(call, case.name, request.programs) for call in calls)
        emit(Counted(case=case.name, launches=launches))


def count_launch(call: Call, case: str, programs: int, seconds: float = _LAUNCH_SECONDS) -> LaunchCount:
    """Walk some programs of one launch and scale what was counted to its whole grid.

    Args:
        call: The launch.
        case: Name of the case, for faults.
        programs: How many programs are walked at most, spread over the grid.
        seconds: Wall time after which loops are cut short and scaled.

    Raises:
        CandidateFault: INTERPRETER_ERROR, if the kernel raises.
    """
    total = math.prod(call.grid)
    tally, budget = Tally(), Budget(seconds)
    semantic = shims.interpreting_semantic()
    before, semantic.builder = semantic.builder, CountingBuilder(tally, budget)
    walked, is_complete = 0, True
    try:
        for program in _choose(call.grid, programs):
            run_programs(call, (program,), semantic)
            walked += 1
            if budget.is_half_spent or (walked > 1 and budget.spent > _ENOUGH_SECONDS):
                break
    except (BudgetSpentError, UnsupportedError):
        walked, is_complete = walked + 1, False
    except MemoryError:
        raise
    except Exception as error:
        raise kernel_fault(call, error, case, Stage.TIMING) from None
    finally:
        semantic.builder = before
    scale = total / walked if walked else 0.0
    return LaunchCount(
        kernel=call.name,
        programs=total,
        dot_dtype=tally.dot_dtype,
        is_exact=is_complete and walked == total and not tally.is_extrapolated,
        **{name: round(tally.amounts.get(name, 0.0) * scale) for name in _AMOUNTS},
    )


def _choose(grid: Program, most: int) -> tuple[Program, ...]:
    """Return programs spread over every axis of a grid, or all of them if they are few."""
    if math.prod(grid) <= most:
        return tuple(programs_of(grid))
    places = _PLACES[-most:] if most < 2 else _PLACES[:most]
    places += tuple((places[0] + i * _GOLDEN) % 1 for i in range(len(_PLACES), most))
    spread = ((int(grid[0] * one), int(grid[1] * one), int(grid[2] * one)) for one in places)
    return tuple(dict.fromkeys(spread))
