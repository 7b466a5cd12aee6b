"""Describe where candidates are judged: versions, the target, and what confines the sandbox."""

import platform
import re
import subprocess
from importlib.metadata import version

from tilewright.evaluator.assembly import assembler
from tilewright.evaluator.report import Environment, TimeKind
from tilewright.sandbox.isolation import Confinement
from tilewright.sandbox.targets import Target


def describe_environment(target: Target, confinement: Confinement) -> Environment:
    """Return the environment of a judge without a GPU: its times are estimates for the target's usual part."""
    return Environment(
        target=target.name,
        device=target.device,
        kind=TimeKind.ESTIMATED,
        python=platform.python_version(),
        torch=version("torch"),
        triton=version("triton"),
        ptxas=_ptxas_version(target),
        machine=f"{platform.release()} {platform.machine()}",
        confinement=tuple(confinement.active),
        missing_confinement=tuple(confinement.missing),
    )


def _ptxas_version(target: Target) -> str:
    """Return the version of the assembler that Triton ships, or `none` for targets that it does not serve."""
    if target.backend != "cuda":
        return "none"
    done = subprocess.run([assembler(target), "--version"], capture_output=True, text=True, check=True, timeout=30)
    found = re.search(r"release (\S+), V(\S+)", done.stdout)
    return found[2] if found else "unknown"
