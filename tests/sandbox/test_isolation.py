import errno
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from tilewright.sandbox import privileges, seccomp, syscalls
from tilewright.sandbox.doctor import probe
from tilewright.sandbox.isolation import Confinement, Protection
from tilewright.sandbox.landlock import landlock_version
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.syscalls import Machine

PID = 4242
ALLOWED = "allowed"
MACHINES = {name: machine for name, machine in syscalls._MACHINES.items()}
# Numbers from the kernel's tables, on (x86-64, aarch64): what must never be allowed whatever the arguments.
NEVER = {
    "clone": (56, 220), "execve": (59, 221), "execveat": (322, 281), "socket": (41, 198), "connect": (42, 203),
    "bind": (49, 200), "sendto": (44, 206), "sendmsg": (46, 211), "ptrace": (101, 117), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "bpf": (321, 280), "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434), "process_vm_readv": (310, 270), "memfd_create": (319, 279), "shmget": (29, 194),
    "prctl": (157, 167), "setsid": (112, 157), "setpgid": (109, 154), "unlinkat": (263, 35), "renameat2": (316, 276),
    "mkdirat": (258, 34), "fchmodat": (268, 53), "utimensat": (280, 88), "truncate": (76, 45), "setresuid": (117, 147),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "perf_event_open": (298, 241), "linkat": (265, 37), "symlinkat": (266, 36), "ftruncate": (77, 46),
    "splice": (275, 76), "sched_setattr": (314, 274), "chroot": (161, 51), "fsopen": (430, 430), "unknown": (999, 999),
}  # fmt: skip


def run_filter(machine: Machine, number: int, *arguments: int, arch: int | None = None) -> str:
    """Interpret the filter for one call, as the kernel would."""
    program = seccomp.complete(seccomp.build_common(machine), machine, PID)
    instructions = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=IIQ6Q", number, arch or machine.audit_arch, 0, *(*arguments, *[0] * 6)[:6])
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            action, detail = value & 0xFFFF0000, value & 0xFFFF
            return {0x7FFF0000: ALLOWED, 0x80000000: "killed"}.get(action) or errno.errorcode[detail]
        else:
            is_true = {0x15: accumulator == value, 0x45: bool(accumulator & value), 0x35: accumulator >= value}[code]
            at += if_true if is_true else if_false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


@pytest.mark.parametrize("name", NEVER)
def test_the_filter_refuses_what_a_candidate_never_needs(name: str, machine: Machine) -> None:
    number = NEVER[name][list(MACHINES.values()).index(machine)]
    assert run_filter(machine, number) == "EPERM"


def test_the_filter_allows_opening_for_reading_only(machine: Machine) -> None:
    assert run_filter(machine, machine.openat, 0, 0, 0o2000000) == ALLOWED  # O_CLOEXEC
    for flags in (1, 2, 0o100, 0o1000, 0o20000000):  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE's own bit
        assert run_filter(machine, machine.openat, 0, 0, flags) == "EPERM"
        if machine.legacy_open is not None:
            assert run_filter(machine, machine.legacy_open, 0, flags) == "EPERM"


def test_the_filter_allows_signals_to_the_own_process_only(machine: Machine) -> None:
    for number in (machine.kill, machine.tgkill):
        assert run_filter(machine, number, PID, 9) == ALLOWED
        for target in (1, 0, PID + 1, (1 << 64) - 1, (1 << 32) - PID):
            assert run_filter(machine, number, target, 9) == "EPERM"


def test_the_filter_allows_harmless_controls_of_descriptors_only(machine: Machine) -> None:
    assert run_filter(machine, machine.fcntl, 3, 1) == ALLOWED
    for command in (8, 10, 15, 1024, 1033):  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_ADD_SEALS
        assert run_filter(machine, machine.fcntl, 3, command) == "EPERM"
    assert run_filter(machine, machine.ioctl, 0, 0x5401) == ALLOWED
    for command in (0x5412, 0x541C, 0x8901, 0x8902):  # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
        assert run_filter(machine, machine.ioctl, 0, command) == "EPERM"


def test_the_filter_asks_for_fallbacks_where_arguments_lie_in_memory(machine: Machine) -> None:
    assert run_filter(machine, machine.clone3) == "ENOSYS"
    assert run_filter(machine, machine.openat2) == "ENOSYS"


def test_the_filter_knows_one_table_of_calls_only(machine: Machine) -> None:
    assert run_filter(machine, 0, arch=0x40000003) == "killed"  # 32-bit x86
    assert run_filter(machine, 0x40000000 | 1) == "EPERM"  # x32


def test_the_filter_stays_small_enough_for_the_kernel(machine: Machine) -> None:
    assert len(seccomp.build_common(machine)) // 8 < 400


def run_alone(code: str) -> str:
    """Run a lock-down by one layer alone, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not landlock_version(), reason="needs a kernel with Landlock")
def test_landlock_alone_allows_the_installation_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    said = run_alone(f"""
        import os
        from pathlib import Path
        from tilewright.sandbox import landlock, privileges
        ruleset = landlock.build_ruleset(privileges.readable_paths())
        privileges.surrender_capabilities()
        landlock.restrict_self(ruleset)
        said = []
        for attempt in (lambda: open({str(secret)!r}), lambda: open({str(secret)!r}, "w"), lambda: os.listdir("/"),
                        lambda: os.unlink({str(secret)!r}), lambda: open("/etc/passwd"), lambda: open(os.__file__)):
            try:
                attempt()
                said.append("done")
            except PermissionError as error:
                said.append(str(error.errno))
        print(*said)
    """)
    assert said == f"{'13 ' * 5}done"
    assert secret.read_text() == "key"


def test_what_may_be_read_is_the_installation_and_the_packages_in_use() -> None:
    paths = privileges.readable_paths()
    assert Path(sys.prefix).resolve() in paths
    assert any(Path(privileges.__file__).resolve().is_relative_to(path) for path in paths)
    for closed in ("/", "/home", "/etc", "/proc", "/tmp", "/root", "/var"):
        assert Path(closed) not in paths


def test_limits_and_confinement_travel_as_values() -> None:
    limits = Limits(memory_bytes=1, run_as_uid=7)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(limits), type=Limits) == limits
    confinement = Confinement(active=(Protection.FILES,), missing=(Protection.USER,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(confinement), type=Confinement) == confinement


def test_the_doctor_names_every_layer_once_and_says_something_on_each() -> None:
    probes = probe()
    names = [one.name for one in probes]
    assert len(set(names)) == len(names)
    assert {"landlock", "seccomp", "rlimits", "user"} <= set(names)
    assert all(one.detail and "\n" not in one.detail for one in probes)


def test_root_does_not_become_a_user_that_cannot_read_what_python_needs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: an ordinary user cannot become another")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    said = run_alone(f"""
        from pathlib import Path
        from tilewright.sandbox import privileges
        print(privileges.can_read_as(privileges.NOBODY, (Path({str(closed)!r}),)))
    """)
    assert said == "False"
