"""`tilewright doctor`: what this machine has, and what its kernel can and cannot enforce."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import msgspec
from rich.console import Console
from rich.table import Table

from tilewright.agent.config import DEFAULT_TARGET, local_devices, local_target_name
from tilewright.agent.judging import choose_judging
from tilewright.sandbox.doctor import Probe, probe
from tilewright.sandbox.targets import target_names

PACKAGES = (
    "tilewright",
    "torch",
    "triton",
    "ray",
    "sqlalchemy",
    "openai",
    "anthropic",
    "cuda-bindings",
    "nvidia-ml-py",
)
SUPPORTED = {"torch": ("2.11", "2.13"), "triton": ("3.6", "3.7")}


def examine_machine() -> tuple[Probe, ...]:
    """Return versions, the GPU and each protection of the sandbox; starts no worker and no CUDA context."""
    return (
        Probe(name="python", is_available=True, detail=platform.python_version()),
        *(_package(name) for name in PACKAGES),
        Probe(name="cpus", is_available=True, detail=f"{len(os.sched_getaffinity(0))} usable"),
        *_gpus(),
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


def _gpus() -> tuple[Probe, ...]:
    """Return a row for each GPU and one for what becomes of times."""
    rows = tuple(
        Probe(
            name=f"gpu {one.index}",
            is_available=one.target in target_names(),
            detail=f"{one.name}, {one.target}, {one.memory_bytes / 2**30:.0f} GiB, driver {one.driver}, "
            f"{one.processes or 'no'} other processes",
        )
        for one in local_devices()
    )
    target = local_target_name() or DEFAULT_TARGET
    judging = choose_judging(target)
    if judging.reason:
        return (*rows, Probe(name="times", is_available=False, detail=f"estimated for {target}: {judging.reason}"))
    return (*rows, Probe(name="times", is_available=True, detail=f"measured on {judging.devices[0].name}"))
