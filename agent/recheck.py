"""Recheck certificates, from files or from an archive's elites, against this machine."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from tilewright.agent.places import Place
from tilewright.archive.certificate import Certificate, certificate
from tilewright.archive.errors import UnfitCandidateError
from tilewright.archive.reader import ArchiveReader
from tilewright.archive.recheck import Difference, Machine, Rechecked, recheck, recheck_file, recheck_hashes
from tilewright.evaluator.code_version import code_version
from tilewright.evaluator.environment import known_ptxas_version
from tilewright.evaluator.gpu.devices import find_devices
from tilewright.sandbox.targets import find_target
from tilewright.tasks.errors import UserError


def machine_for(target: str) -> Machine:
    """Describe this machine as far as a certificate for a target speaks of it; starts no CUDA context."""
    first = next(iter(find_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))), None)
    return Machine(
        python=platform.python_version(),
        torch=_version("torch"),
        triton=_version("triton"),
        ptxas=known_ptxas_version(find_target(target)),
        machine=f"{platform.release()} {platform.machine()}",
        target=first.target if first else "",
        device=first.name if first else "",
        driver=first.driver if first else "",
        code_version=code_version(),
    )


def recheck_files(files: tuple[Path, ...], archive: ArchiveReader | None) -> tuple[Rechecked, ...]:
    """Recheck certificates in files; where the archive knows their candidates, hashes and kernel files too.

    Raises:
        UserError: A file is no certificate of this version.
    """
    machines = _Machines()
    return tuple(_recheck_file(file, archive, machines) for file in files)


def recheck_elites(archive: ArchiveReader, places: tuple[Place, ...]) -> tuple[Rechecked, ...]:
    """Recheck the certificates that the elites of some tasks would be exported with."""
    found, machines = [], _Machines()
    for place in places:
        for row in archive.elites(place.run_id, place.task_id):
            try:
                known = certificate(archive, row.candidate_id)
            except UnfitCandidateError:
                continue
            found.append(_rechecked(known, archive, (), machines.of(known)))
    return tuple(found)


class _Machines:
    """This machine, described once a target: asking the assembler for its version takes a moment."""

    def __init__(self) -> None:
        self._known: dict[str, Machine] = {}

    def of(self, known: Certificate) -> Machine:
        """Return the machine as a certificate speaks of it."""
        target = known.environment.target
        if target not in self._known:
            self._known[target] = machine_for(target)
        return self._known[target]


def _recheck_file(file: Path, archive: ArchiveReader | None, machines: _Machines) -> Rechecked:
    try:
        known = msgspec.json.decode(file.read_bytes(), type=Certificate)
    except OSError as error:
        raise UserError(f"expected a certificate at {file}; {error.strerror}: check the path") from error
    except msgspec.MsgspecError as error:
        raise UserError(
            f"expected a certificate of this version of Tilewright; {file} is none ({error}): "
            "name the .json file that was exported beside the kernel"
        ) from error
    kernel = file.with_suffix(".py")
    changed: tuple[Difference, ...] = ()
    if archive is not None and kernel.is_file():
        changed = recheck_file(archive, known, kernel.read_text(encoding="utf-8", errors="replace"))
    return _rechecked(known, archive, changed, machines.of(known))


def _rechecked(
    known: Certificate, archive: ArchiveReader | None, changed: tuple[Difference, ...], today: Machine
) -> Rechecked:
    hashes = recheck_hashes(archive, known) if archive is not None else ()
    differences = (*changed, *hashes, *recheck(known, today))
    return Rechecked(task=known.task, candidate_id=known.candidate_id, differences=differences)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
