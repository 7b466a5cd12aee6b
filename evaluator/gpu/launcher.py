"""Launches through the driver: shared memory, clusters, dependent and cooperative launches as Triton asks for them."""

from dataclasses import dataclass

from tilewright.evaluator.gpu.driver import Function, api, check, device_attribute

_DEFAULT_SHARED_BYTES = 48 << 10  # more must be asked for, function by function
_PORTABLE_CLUSTER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a kernel is launched.

    Attributes:
        grid: Blocks along x, y and z, those of clusters counted one by one.
        threads: Threads of a block.
        shared_bytes: Dynamic shared memory of a block.
        cluster: Blocks of a cluster, along x.
        is_dependent: Whether it may start while the kernel before it still ends (programmatic dependent launch).
        is_cooperative: Whether all its blocks must be resident at once.
    """

    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int
    cluster: int = 1
    is_dependent: bool = False
    is_cooperative: bool = False


def allow(function: Function, shape: Shape, device: int) -> None:
    """Raise a kernel's limits to what a launch needs, as Triton's launcher does.

    Raises:
        DriverError: The device has not so much shared memory.
    """
    cuda = api()
    names = cuda.CUfunction_attribute
    if shape.shared_bytes > _DEFAULT_SHARED_BYTES:
        check(cuda.cuFuncSetCacheConfig(function.handle, cuda.CUfunc_cache.CU_FUNC_CACHE_PREFER_SHARED), "cache config")
        optin = cuda.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        most = max(shape.shared_bytes, device_attribute(device, optin) - function.shared_bytes)
        dynamic = names.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        check(cuda.cuFuncSetAttribute(function.handle, dynamic, most), "shared memory of a block")
    if shape.cluster > _PORTABLE_CLUSTER:
        wide = names.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
        check(cuda.cuFuncSetAttribute(function.handle, wide, 1), "size of a cluster")


class Launcher:
    """One kernel with its parameters, ready to be enqueued any number of times.

    Args:
        function: The kernel.
        shape: How it is launched.
        parameters: Address of the host's array of addresses of parameters; it and they must stay where they are.
    """

    def __init__(self, function: Function, shape: Shape, parameters: int) -> None:
        cuda = api()
        config = cuda.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = shape.grid
        config.blockDimX, config.blockDimY, config.blockDimZ = shape.threads, 1, 1
        config.sharedMemBytes = shape.shared_bytes
        attributes = _attributes(shape)
        config.attrs, config.numAttrs = attributes, len(attributes)
        config.hStream = 0
        self._launch = cuda.cuLaunchKernelEx
        self._config = config
        self._stream = 0
        self._handle = function.handle
        self._entry = function.entry
        self._parameters = parameters

    def enqueue(self, stream: int) -> None:
        """Put the launch on a stream, by its handle.

        Raises:
            DriverError: The launch is not possible, or earlier work failed.
        """
        if stream != self._stream:
            self._config.hStream, self._stream = stream, stream
        check(self._launch(self._config, self._handle, self._parameters, 0), self._entry)


def _attributes(shape: Shape) -> list[object]:
    """Return the launch's attributes, in the order in which Triton's launcher gives them."""
    cuda = api()
    ids = cuda.CUlaunchAttributeID
    found: list[object] = []

    def add(name: str, field: str, value: object) -> None:
        attribute = cuda.CUlaunchAttribute()
        attribute.id = getattr(ids, f"CU_LAUNCH_ATTRIBUTE_{name}")
        setattr(attribute.value, field, value)
        found.append(attribute)

    if shape.is_dependent:
        add("PROGRAMMATIC_STREAM_SERIALIZATION", "programmaticStreamSerializationAllowed", 1)
    if shape.is_cooperative:
        add("COOPERATIVE", "cooperative", 1)
    if shape.cluster != 1:
        attribute = cuda.CUlaunchAttribute()
        attribute.id = ids.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = shape.cluster
        attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1
        found.append(attribute)
        spread = cuda.CUclusterSchedulingPolicy.CU_CLUSTER_SCHEDULING_POLICY_SPREAD
        add("CLUSTER_SCHEDULING_POLICY_PREFERENCE", "clusterSchedulingPolicyPreference", spread)
    return found
