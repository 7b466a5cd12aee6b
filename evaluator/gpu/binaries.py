"""Kernels on the device: each binary is loaded once for the life of the process."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.gpu.driver import Function, get_function, load_module, synchronize, unload_module
from tilewright.sandbox.plan import Launch


class Binaries:
    """Loads what launches name; open the device first, as an `Arena` does.

    Args:
        binaries: Those of the first candidate.
        limit: Most modules to keep loaded; the least recently used ones go when others are added.
    """

    def __init__(self, binaries: Iterable[Binary] = (), limit: int = 512) -> None:
        self._limit = limit
        self._known: dict[str, Binary] = {}
        # by the binary's own hash: what calls itself by another kernel's name does not become it
        self._modules: OrderedDict[bytes, int] = OrderedDict()
        self._functions: dict[tuple[bytes, str], Function] = {}
        self.replace(binaries)

    @property
    def known(self) -> Mapping[str, Binary]:
        """The binaries of the present candidate by their PTX's hash."""
        return MappingProxyType(self._known)

    def replace(self, binaries: Iterable[Binary]) -> None:
        """Take the next candidate's binaries; what is loaded stays loaded, up to the limit."""
        self._known = {binary.ptx_sha: binary for binary in binaries}
        while len(self._modules) > self._limit:
            self._drop(next(iter(self._modules)))

    def of(self, launch: Launch) -> Function:
        """Return a launch's kernel.

        Raises:
            KeyError: No such binary is known.
            DriverError: It cannot be loaded here, or has no such kernel.
        """
        data = self._known[launch.ptx_sha].data
        digest = hashlib.sha256(data).digest()
        if digest not in self._modules:
            self._modules[digest] = load_module(data)
        self._modules.move_to_end(digest)
        if (digest, launch.entry) not in self._functions:
            self._functions[digest, launch.entry] = get_function(self._modules[digest], launch.entry)
        return self._functions[digest, launch.entry]

    def close(self) -> None:
        """Unload everything."""
        for digest in tuple(self._modules):
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        synchronize()
        unload_module(self._modules.pop(digest))
        self._functions = {key: one for key, one in self._functions.items() if key[0] != digest}
