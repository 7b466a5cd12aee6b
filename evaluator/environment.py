"""Describe where candidates are judged: versions, the target, and what confines the sandbox."""

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

from msgspec import structs

from tilewright.evaluator.assembly import AssemblerMissingError, assembler
from tilewright.evaluator.gpu.child_protocol import Device
from tilewright.evaluator.report import Environment
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.isolation import Confinement
from tilewright.sandbox.targets import Target, find_target


def describe_environment(target: Target, confinement: Confinement) -> Environment:
    """Return the environment of a judge without a GPU: its times are estimates for the target's usual part."""
    return Environment(
        target=target.name,
        device=target.device,
        kind=TimeKind.ESTIMATED,
        python=platform.python_version(),
        torch=version("torch"),
        triton=version("triton"),
        ptxas=ptxas_version(target),
        machine=f"{platform.release()} {platform.machine()}",
        confinement=tuple(confinement.active),
        missing_confinement=tuple(confinement.missing),
    )


def measured_environment(device: Device, recorder: Environment | None) -> Environment:
    """Return the environment of a judge with a GPU.

    What measures (device, driver, torch, host) is the judge's; what compiles and confines is the recorder's.

    Args:
        device: What the judge works on.
        recorder: Where candidates are recorded; None if that is not known, then this machine's compiler is named.
    """
    target = find_target(device.target)
    compiling = recorder or Environment(
        target=target.name,
        device=target.device,
        kind=TimeKind.ESTIMATED,
        python=device.python,
        torch=device.torch,
        triton=_triton_version(),
        ptxas=known_ptxas_version(target),
        machine=device.machine,
        confinement=(),
        missing_confinement=(),
    )
    return structs.replace(
        compiling,
        device=device.name,
        kind=TimeKind.MEASURED,
        python=device.python,
        torch=device.torch,
        machine=device.machine,
        driver=device.driver,
    )


def _triton_version() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "none"  # a machine that only judges needs no compiler


def known_ptxas_version(target: Target) -> str:
    """Return the version of the assembler that Triton ships for a target, or `none` where it is not installed."""
    try:
        return ptxas_version(target)
    except AssemblerMissingError:
        return "none"


def ptxas_version(target: Target) -> str:
    """Return the version of the assembler that Triton ships, or `none` for targets that it does not serve."""
    if target.backend != "cuda":
        return "none"
    done = subprocess.run([assembler(target), "--version"], capture_output=True, text=True, check=True, timeout=30)
    found = re.search(r"release (\S+), V(\S+)", done.stdout)
    return found[2] if found else "unknown"
