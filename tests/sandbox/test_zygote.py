import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tilewright.sandbox.errors import ConfinementError, ZygoteLostError
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.isolation import Protection
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Count, Entered, Finished, Record, Recorded, Refused
from tilewright.sandbox.zygote import Zygote

FAKE_ANSWERING = str(Path(__file__).parent / "fake_answering.py")
LIMITS = Limits(memory_bytes=256 << 20, cpu_s=1, wall_s=30, answer_bytes=1 << 20, answers=100)


def start(answering: str = FAKE_ANSWERING, limits: Limits = LIMITS) -> Zygote:
    return Zygote(ZygoteMode.COMPILE, limits, answering=answering)


def record(source: str) -> Record:
    return Record(source=source, knobs=(), target="cuda:90", cases=())


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with start() as made:
        yield made


@pytest.fixture
def own_zygote() -> Iterator[Zygote]:
    with start() as made:
        yield made


def failure_of(zygote: Zygote, source: str) -> Failure:
    last = zygote.ask(record(source))[-1]
    assert isinstance(last, Refused)
    return last.failure


def wait_until_gone(pid: int, limit_s: float = 10) -> bool:
    """Say whether a process that is not ours ends, and so a zombie counts as gone."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        ready = select.select([descriptor], [], [], limit_s)[0]
        os.close(descriptor)
        return bool(ready)
    return True


def wait_for_child(pid: int) -> int:
    """Return a child of a process as soon as there is one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = children.read_text().split()
        if found:
            return int(found[0])
    raise AssertionError(f"process {pid} has no child")


def test_answers_come_in_order_and_end_with_finished(zygote: Zygote) -> None:
    entered, recorded, finished = zygote.ask(record(""))
    assert isinstance(entered, Entered)
    assert isinstance(recorded, Recorded)
    assert isinstance(finished, Finished)


def test_nothing_follows_a_refusal(zygote: Zygote) -> None:
    answers = zygote.ask(record("report('no')\nemit(entered)"))
    assert [type(answer) for answer in answers] == [Entered, Refused]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import os; os.kill(os.getpid(), 11)", FailureKind.CRASH),
        ("import os; os.kill(os.getpid(), 9)", FailureKind.CRASH),
        ("import os; os._exit(0)", FailureKind.PROTOCOL),
        ("1 / 0", FailureKind.PROTOCOL),
        ("bytearray(1 << 30)", FailureKind.MEMORY_LIMIT),
        ("while True: pass", FailureKind.TIME_LIMIT),
        ("import os; os.write(3, b'0000 garbage')", FailureKind.PROTOCOL),
        ("for _ in range(200): emit(entered)", FailureKind.PROTOCOL),
    ],
)
def test_each_end_of_a_child_is_a_failure_of_its_kind_with_the_last_place_known(
    source: str, kind: FailureKind, zygote: Zygote
) -> None:
    failure = failure_of(zygote, source)
    assert failure.kind is kind
    assert failure.stage is Stage.SMOKE
    assert failure.case == "first"
    assert "\n" not in failure.message
    assert isinstance(zygote.ask(record(""))[-1], Finished)


def test_the_limit_of_cpu_seconds_is_named_apart_from_that_of_wall_seconds(zygote: Zygote) -> None:
    assert "CPU" in failure_of(zygote, "while True: pass").message


def test_the_limit_of_wall_seconds_ends_a_child_that_sleeps() -> None:
    with start(limits=Limits(wall_s=0.3, memory_bytes=256 << 20)) as zygote:
        failure = failure_of(zygote, "import time; time.sleep(1e6)")
        assert failure.kind is FailureKind.TIME_LIMIT
        assert "0.3 s" in failure.message
        assert isinstance(zygote.ask(record(""))[-1], Finished)


def test_a_crash_carries_the_kernel_and_what_was_printed_last(zygote: Zygote) -> None:
    failure = failure_of(zygote, "import os; os.write(2, b'x' * 100_000 + b'last words'); os.kill(os.getpid(), 11)")
    assert "scale" in failure.message
    assert "SIGSEGV" in failure.message
    assert "last words" in failure.detail
    assert len(failure.detail) <= 4096


def test_texts_that_a_candidate_wrote_are_shortened_and_messages_are_one_line(zygote: Zygote) -> None:
    failure = failure_of(zygote, "report('a\\nb' * 10_000)")
    assert "\n" not in failure.message
    assert len(failure.message) <= 500


def test_finished_without_all_results_is_a_failure(zygote: Zygote) -> None:
    source = "from tilewright.sandbox.protocol import Finished\nemit(Finished())"
    assert failure_of(zygote, source).kind is FailureKind.PROTOCOL


def test_answers_to_another_kind_of_request_are_a_failure(zygote: Zygote) -> None:
    last = zygote.ask(Count(source="", knobs=(), target="cuda:90", cases=()))[-1]
    assert isinstance(last, Refused)
    assert last.failure.kind is FailureKind.PROTOCOL


def test_the_environment_of_a_child_is_ours_alone(zygote: Zygote) -> None:
    message = failure_of(zygote, "import os; report(' '.join(sorted(os.environ)))").message
    assert message.split() == [
        "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH",
        "PYTHONHASHSEED", "WARMED",
    ]  # fmt: skip


def test_triton_interprets_in_an_interpreting_zygote() -> None:
    with Zygote(ZygoteMode.INTERPRET, LIMITS, answering=FAKE_ANSWERING) as zygote:
        source = "import os; report(os.environ['TRITON_INTERPRET'] + os.environ['WARMED'])"
        assert failure_of(zygote, source).message == "1interpret"


def test_two_zygotes_hash_alike(zygote: Zygote, own_zygote: Zygote) -> None:
    source = "report(str(hash('the order of sets')))"
    assert failure_of(zygote, source).message == failure_of(own_zygote, source).message


def test_what_torch_asks_about_the_processor_can_be_read(zygote: Zygote) -> None:
    assert failure_of(zygote, "report(open('/proc/cpuinfo').readline().split()[0])").message == "processor"


def test_nothing_a_child_does_reaches_the_next(zygote: Zygote) -> None:
    zygote.ask(record("import os, sys; sys.planted = 1; os.environ['PLANTED'] = '1'"))
    source = "import os, sys; report(str(hasattr(sys, 'planted') or 'PLANTED' in os.environ))"
    assert failure_of(zygote, source).message == "False"


def test_the_layers_that_protect_are_reported(zygote: Zygote) -> None:
    confinement = zygote.confinement()
    assert Protection.FILES in confinement.active
    assert Protection.SYSTEM_CALLS in confinement.active
    assert set(confinement.active) | set(confinement.missing) == set(Protection)
    assert not set(confinement.active) & set(confinement.missing)


def test_a_zygote_that_cannot_be_warmed_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('no torch here')")
    with pytest.raises(ZygoteLostError, match="no torch here"):
        start(str(broken))


def test_a_zygote_that_dies_while_it_is_warmed_is_lost(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import os\ndef warm(mode): os.kill(os.getpid(), 11)")
    with pytest.raises(ZygoteLostError, match="-11"):
        start(str(broken))


def test_a_zygote_with_a_second_thread_does_not_fork(tmp_path: Path) -> None:
    threaded = tmp_path / "threaded.py"
    threaded.write_text(
        "import threading\ndef warm(mode): threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    with pytest.raises(ZygoteLostError, match="one thread, got 2"):
        start(str(threaded))


def test_a_zygote_that_was_killed_is_lost_and_not_the_candidates_fault(own_zygote: Zygote) -> None:
    os.kill(own_zygote.pid, signal.SIGKILL)
    with pytest.raises(ZygoteLostError):
        own_zygote.ask(record(""))


def test_a_zygote_killed_during_a_request_is_lost_and_its_child_dies_with_it(own_zygote: Zygote) -> None:
    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(own_zygote.ask, record("import time; time.sleep(1e6)"))
        child_pid = wait_for_child(own_zygote.pid)
        os.kill(own_zygote.pid, signal.SIGKILL)
        with pytest.raises(ZygoteLostError):
            asked.result()
    assert wait_until_gone(child_pid)


def test_closing_twice_is_harmless(own_zygote: Zygote) -> None:
    own_zygote.close()
    own_zygote.close()


def test_an_interrupted_request_closes_the_zygote(own_zygote: Zygote) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            own_zygote.ask(record("import time; time.sleep(1e6)"))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert wait_until_gone(own_zygote.pid)
    with pytest.raises(ZygoteLostError):
        own_zygote.ask(record(""))


TRUSTED = """
import sys
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Record
from tilewright.sandbox.zygote import Zygote
with Zygote(ZygoteMode.COMPILE, Limits(memory_bytes=1 << 28), answering=sys.argv[1]) as zygote:
    print(zygote.pid, flush=True)
    zygote.ask(Record(source="import time; time.sleep(1e6)", knobs=(), target="cuda:90", cases=()))
"""


def test_zygote_and_child_end_when_the_trusted_process_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TRUSTED, FAKE_ANSWERING], stdout=subprocess.PIPE, text=True
    ) as trusted:
        assert trusted.stdout is not None
        zygote_pid = int(trusted.stdout.readline())
        child_pid = wait_for_child(zygote_pid)
        trusted.kill()
    assert wait_until_gone(zygote_pid)
    assert wait_until_gone(child_pid)


def test_a_user_that_may_not_be_taken_on_is_an_error_of_ours() -> None:
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user: root may become anyone")
    with pytest.raises(ConfinementError, match="expected to be root"):
        start(limits=Limits(run_as_uid=os.geteuid() + 1))


# A kernel without Landlock: a filter that answers landlock_create_ruleset with ENOSYS, then the trusted process.
NO_LANDLOCK = """
import errno, sys
from tilewright.sandbox import privileges, seccomp, syscalls
from tilewright.sandbox.errors import ConfinementError
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.zygote import Zygote
program = seccomp._Program()
program.load(0)
program.when_number(444, 0x00050000 | errno.ENOSYS)
program.give(0x7FFF0000)
syscalls.prctl(38, 1)
seccomp.install_filter(syscalls.find_machine(), program.code)
for is_allowed in (False, True):
    try:
        with Zygote(ZygoteMode.COMPILE, Limits(allow_unconfined=is_allowed), answering=sys.argv[1]) as zygote:
            print("missing:", *zygote.confinement().missing)
    except ConfinementError as error:
        print(error)
"""


def test_a_kernel_without_landlock_is_refused_unless_allowed_and_then_reported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_LANDLOCK, FAKE_ANSWERING], capture_output=True, text=True, timeout=60, check=True
    )
    refused, reported = done.stdout.splitlines()
    assert "Landlock" in refused
    assert "protection of files" in refused
    assert reported.startswith("missing: files")
    assert "system calls" not in reported
