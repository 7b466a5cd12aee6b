"""Hostile candidates against a real zygote: each attack is stopped, and by what is asserted.

Each file of `attacks/` makes one attempt. `STOPPED_BY` names what stops it: the error that the kernel answers with,
the exception that Python makes of it, or the kind of failure that the trusted side reports. Where it says
`HARMS_WHEN_UNCONFINED`, the same file is also run without a sandbox, to show that it is a real attack.
"""

import ast
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.isolation import Protection
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Finished, Record, Refused
from tilewright.sandbox.zygote import Zygote

ATTACKS = {path.stem: path for path in sorted((Path(__file__).parent / "attacks").glob("*.py"))}
FAKE_ANSWERING = str(Path(__file__).parents[1] / "sandbox" / "fake_answering.py")
NOBODY = 65534

PROLOGUE = """
import sys, types
world = types.ModuleType("world")
world.__dict__.update({facts!r})
world.__dict__.update({{name: globals().get(name) for name in ("emit", "entered")}})
sys.modules["world"] = world
"""
EPILOGUE = """
import errno
try:
    outcome = f"harm: {attack()}"
except OSError as error:
    outcome = errno.errorcode[error.errno]
except (KeyError, RuntimeError, ValueError) as error:
    outcome = type(error).__name__
report(outcome)
"""
# A parent that the attack may kill, and no sandbox.
UNCONFINED = """
import os, sys
source = sys.stdin.read()
pid = os.fork()
if pid == 0:
    exec(compile(source, "<attack>", "exec"), {"report": lambda outcome: print(outcome, flush=True)})
    os._exit(0)
os.waitpid(pid, 0)
"""


def constant(name: str, path: Path) -> object:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path.name} has no {name}")


class World:
    """What an attack finds: files, services on loopback and a key, each open to whoever is not confined."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writable = directory / "writable"
        self.writable.mkdir()
        self.secret = directory / "home" / "secret"
        self.secret.parent.mkdir()
        self.secret.write_text("key")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.by_path, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.by_path.bind(str(self.writable / "service"))
        self.abstract.bind(f"\0{directory.name}")
        for server in (self.by_path, self.abstract):
            server.listen()
        self.plant()
        # Whoever may be: what stops an attack must not be a file mode.
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o777)

    def plant(self) -> None:
        """Put the victims in their place, again."""
        for name in ("bashrc", "victim", "victim2"):
            (self.writable / name).write_text("untouched")

    @property
    def facts(self) -> dict[str, object]:
        return {
            "secret_file": str(self.secret),
            "writable_directory": str(self.writable),
            "tcp_port": self.tcp.getsockname()[1],
            "udp_port": self.udp.getsockname()[1],
            "socket_path": str(self.writable / "service"),
            "abstract_name": self.directory.name,
        }

    @property
    def state(self) -> tuple[tuple[str, str], ...]:
        """Names and contents of the files that an attack could change."""
        files = sorted(path for path in self.writable.iterdir() if not path.is_socket())
        return tuple((path.name, path.read_text()) for path in files)

    def accept_all(self) -> int:
        """Take every connection and packet that waits, and count them."""
        count = 0
        for server in (self.tcp, self.by_path, self.abstract, self.udp):
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.recv(64) if server is self.udp else server.accept()[0].close()
                    count += 1
        return count

    def close(self) -> None:
        for server in (self.tcp, self.udp, self.by_path, self.abstract):
            server.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # Not pytest's own directory, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="tilewright-") as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "key")
        made = World(Path(name))
        yield made
        made.close()


class Zygotes(msgspec.Struct, frozen=True):
    """One with time for a loaded machine, and one for attacks that only the limit of time ends."""

    patient: Zygote
    hasty: Zygote


@pytest.fixture(scope="module", params=["root", "ordinary user"])
def zygotes(request: pytest.FixtureRequest, world: World) -> Iterator[Zygotes]:
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root: the sandbox as root is tested where the tests run as root")
        uid = 0
    else:
        uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    patient = Limits(memory_bytes=256 << 20, cpu_s=5, wall_s=20, run_as_uid=uid, answer_bytes=1 << 20)
    hasty = msgspec.structs.replace(patient, wall_s=0.8)
    assert world.facts  # the key is in the environment by now
    with start(patient) as one, start(hasty) as other:
        assert (Protection.USER in one.confinement().active) == (uid != 0)
        yield Zygotes(patient=one, hasty=other)


def start(limits: Limits) -> Zygote:
    return Zygote(ZygoteMode.COMPILE, limits, answering=FAKE_ANSWERING)


def source_of(attack: str, world: World) -> str:
    return PROLOGUE.format(facts=world.facts) + ATTACKS[attack].read_text() + EPILOGUE


def record(source: str) -> Record:
    return Record(source=source, knobs=(), target="cuda:90", cases=())


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_stopped_by_what_it_names_and_the_zygote_serves_on(
    attack: str, zygotes: Zygotes, world: World
) -> None:
    stopper = constant("STOPPED_BY", ATTACKS[attack])
    zygote = zygotes.hasty if stopper == FailureKind.TIME_LIMIT else zygotes.patient
    world.plant()
    before = world.state
    last = zygote.ask(record(source_of(attack, world)))[-1]
    assert isinstance(last, Refused)
    failure = last.failure
    stopped_by = failure.message if failure.kind is FailureKind.LAUNCHER_ERROR else failure.kind.value
    assert stopped_by == stopper, failure
    assert world.state == before
    assert isinstance(zygotes.patient.ask(record(""))[-1], Finished)


@pytest.mark.parametrize("attack", [name for name in ATTACKS if constant("HARMS_WHEN_UNCONFINED", ATTACKS[name])])
def test_the_same_attack_harms_where_nothing_confines_it(attack: str, world: World) -> None:
    world.plant()
    done = subprocess.run(
        [sys.executable, "-I", "-c", UNCONFINED],
        input=source_of(attack, world),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,  # its parent may be the victim
    )
    for planted in world.writable.glob("planted*"):
        planted.rmdir() if planted.is_dir() and not planted.is_symlink() else planted.unlink()
    (world.writable / "large").unlink(missing_ok=True)
    assert done.stdout.startswith("harm"), (done.stdout, done.stderr[-500:])


def test_no_service_on_loopback_was_reached(zygotes: Zygotes, world: World) -> None:
    world.accept_all()  # the unconfined runs did connect
    for attack in ("tcp_connect", "udp_send", "unix_socket_path", "unix_socket_abstract"):
        zygotes.patient.ask(record(source_of(attack, world)))
    assert world.accept_all() == 0
