"""`tilewright doctor`: what this machine has, and what its kernel can and cannot enforce."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import msgspec
from rich.console import Console
from rich.table import Table

from tilewright.agent.config import DEFAULT_TARGET, local_target_name
from tilewright.sandbox.doctor import Probe, probe

PACKAGES = ("tilewright", "torch", "triton", "ray", "sqlalchemy", "openai", "anthropic")
SUPPORTED = {"torch": ("2.11", "2.13"), "triton": ("3.6", "3.7")}


def examine_machine() -> tuple[Probe, ...]:
    """Return versions, the GPU and each protection of the sandbox; starts no worker and no CUDA context."""
    return (
        Probe(name="python", is_available=True, detail=platform.python_version()),
        *(_package(name) for name in PACKAGES),
        Probe(name="cpus", is_available=True, detail=f"{len(os.sched_getaffinity(0))} usable"),
        _gpu(),
        *probe(),
    )


def print_doctor(console: Console, *, as_json: bool) -> None:
    """Print what the machine has on standard output."""
    probes = examine_machine()
    if as_json:
        console.file.write(json.dumps(msgspec.to_builtins(probes), indent=2) + "\n")
        return
    table = Table("what", "here", "detail")
    for one in probes:
        table.add_row(one.name, "[green]yes[/]" if one.is_available else "[yellow]no[/]", one.detail)
    console.print(table)


def _package(name: str) -> Probe:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Probe(name=name, is_available=False, detail="not installed")
    low, high = SUPPORTED.get(name, ("", ""))
    minor = ".".join(found.split(".")[:2])
    if low and not _order(low) <= _order(minor) <= _order(high):
        return Probe(name=name, is_available=False, detail=f"{found}; supported: {low} to {high}")
    return Probe(name=name, is_available=True, detail=found)


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def _gpu() -> Probe:
    target = local_target_name()
    if target is None:
        detail = f"none that is known: times are estimated, for {DEFAULT_TARGET} unless --target says otherwise"
        return Probe(name="gpu", is_available=False, detail=detail)
    return Probe(name="gpu", is_available=True, detail=f"{target}; this version still estimates times")
