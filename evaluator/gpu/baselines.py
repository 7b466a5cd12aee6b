"""What PyTorch itself takes for a bench case: eager, compiled and autotuned, captured over the same input sets."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.gpu.captured import Captured, Contestant, take_turns
from tilewright.evaluator.gpu.input_sets import InputSets
from tilewright.evaluator.gpu.spreads import to_span
from tilewright.evaluator.timing import Baseline

EAGER = "eager"
COMPILED = "torch.compile"
AUTOTUNED = "max-autotune"
BASELINE_NAMES = (EAGER, COMPILED, AUTOTUNED)
_POISON = 0xFF
_TURNS = 24
_WARM_TURNS = 4
_NOTE_CHARACTERS = 160

Answers = tuple[torch.Tensor, ...]


class BaselineError(Exception):
    """PyTorch cannot run, compile or capture the reference in one of its ways."""


class CompilerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the compiled baselines are made.

    Attributes:
        threads: Processes that compile at once; 1 compiles in this process.
        cache_dir: A folder of ours alone for what was compiled: nothing that a candidate can write to.
    """

    threads: int = 1
    cache_dir: str


def set_precision() -> None:
    """Set the arithmetic that candidates and baselines are held to: products of float32 without TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


class BaselineWork:
    """One baseline of a case, captured over all input sets.

    Args:
        name: `eager`, `torch.compile` or `max-autotune`.
        sets: The data.
        forward: The model, or what a compiler made of it.
        stream: Where it is captured.

    Raises:
        CaptureError: It cannot be captured.
        Exception: Whatever the compiler raises.
    """

    def __init__(self, name: str, sets: InputSets, forward: Callable[..., object], stream: torch.cuda.Stream) -> None:
        self.name = name
        self.sets = sets
        self._forward = forward
        self.outputs: tuple[Answers, ...] = ()
        self._holds_answers = True
        with torch.cuda.stream(stream), torch.no_grad():
            self._enqueue(range(min(2, sets.count)))  # compiles, tunes, loads
            self._graph = Captured(lambda: self._enqueue(range(sets.count)), stream)

    def _enqueue(self, numbers: range) -> None:
        """Answer some sets; keep the answers."""
        answers = []
        for number in numbers:
            self.sets.install(number)
            answers.append(self.sets.answer(number, self._forward))
        self.outputs = tuple(answers)

    def prepare(self) -> None:
        """Nothing is left to do before a turn."""

    def run(self) -> None:
        """Enqueue one answer to every set."""
        with torch.no_grad():
            self._graph.replay()
        self._holds_answers = True

    def overwrite(self) -> None:
        """Enqueue the filling of every answer and of what led to it, so that no candidate can find it."""
        if self._holds_answers:
            self._graph.overwrite(_POISON)
        self._holds_answers = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineWorks:
    """The baselines of a case that work here.

    Attributes:
        works: Eager first.
        notes: Which ones do not, and why.
    """

    works: tuple[BaselineWork, ...]
    notes: tuple[str, ...]

    def of(self, name: str) -> BaselineWork:
        """Return the baseline of a name.

        Raises:
            KeyError: It does not work here.
        """
        for work in self.works:
            if work.name == name:
                return work
        raise KeyError(name)


def capture_baseline(name: str, sets: InputSets, stream: torch.cuda.Stream, settings: CompilerSettings) -> BaselineWork:
    """Compile and capture one baseline of a case; compiling takes seconds, tuning may take a minute.

    Raises:
        BaselineError: It does not work here.
        torch.OutOfMemoryError: The device is too small for it.
    """
    try:
        return BaselineWork(name, sets, _forward(name, sets.model, settings), stream)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # compilers raise whatever they like; the reference itself is the user's
        reason = " ".join(str(error).split())[:_NOTE_CHARACTERS]
        raise BaselineError(f"no baseline {name}: {type(error).__name__}: {reason}") from error


def measure_baselines(works: BaselineWorks, flush: Callable[[], None]) -> tuple[Baseline, ...]:
    """Time baselines in turns; the fastest comes first.

    Args:
        works: The baselines.
        flush: Empties the cache, before each turn.
    """
    contestants: dict[str, Contestant] = {one.name: one for one in works.works}
    names = list(contestants)
    for turns in (_WARM_TURNS, _TURNS):
        # forwards and backwards: a drift is shared by all
        order = (names + names[::-1]) * (turns // 2)
        times = take_turns(contestants, order, flush)
    count = works.works[0].sets.count
    spans = (Baseline(name=name, span=to_span([one / count for one in times[name]])) for name in names)
    return tuple(sorted(spans, key=lambda one: one.span.median_us))


def import_compiler() -> None:
    """Import the larger part of PyTorch's compiler, seconds of it: a process that forks judges does it for all of them.

    Only what starts no thread and touches no device: the rest would leave a thread of CUDA's behind, and is imported
    where something is compiled.
    """
    import torch._dynamo  # noqa: F401 - loading it is the point


def prepare_compiler(settings: CompilerSettings) -> None:
    """Point the compiler at its folder and set how many processes it may start; once, before the first compilation."""
    os.environ["TORCH_WARM_POOL"] = "0"  # else the import starts as many processes that compile as there are CPUs
    # not at the top: see `import_compiler`
    import torch._inductor.config as inductor
    import torch._inductor.select_algorithm as selection

    Path(settings.cache_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = settings.cache_dir
    os.environ["TRITON_CACHE_DIR"] = str(Path(settings.cache_dir) / "triton")
    inductor.compile_threads = settings.threads
    inductor.max_autotune_report_choices_stats = False
    selection.PRINT_AUTOTUNE = False
    # configurations that do not fit the device are tried and dropped: no error of ours
    logging.getLogger("torch._inductor").setLevel(logging.CRITICAL)


def _forward(name: str, model: torch.nn.Module, settings: CompilerSettings) -> Callable[..., object]:
    """Return the model, or a compiled version of it (compiled when it first runs)."""
    if name == EAGER:
        return model
    prepare_compiler(settings)
    mode = "max-autotune-no-cudagraphs" if name == AUTOTUNED else "default"
    compiled: Callable[..., object] = torch.compile(model, dynamic=False, mode=mode)
    return compiled
