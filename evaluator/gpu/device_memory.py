"""Device memory by the page, through the driver's virtual memory management."""

from dataclasses import dataclass

from tilewright.evaluator.gpu.driver import api, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Physical memory at an address of our choice.

    Attributes:
        address: Where it is mapped.
        bytes: Its size, a multiple of the granularity.
        handle: The driver's handle of the physical memory.
    """

    address: int
    bytes: int
    handle: int


def _location(device: int) -> object:
    cuda = api()
    location = cuda.CUmemLocation()
    location.type = cuda.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    location.id = device
    return location


def _properties(device: int) -> object:
    cuda = api()
    properties = cuda.CUmemAllocationProp()
    properties.type = cuda.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    properties.location = _location(device)
    return properties


def granularity(device: int) -> int:
    """Return the smallest piece of physical memory, in bytes."""
    cuda = api()
    least = cuda.CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_MINIMUM
    (size,) = check(cuda.cuMemGetAllocationGranularity(_properties(device), least), "cuMemGetAllocationGranularity")
    return int(str(size))


def reserve_addresses(count: int) -> int:
    """Reserve a range of addresses with nothing behind it and return its start.

    Raises:
        DriverError: There is no such range.
    """
    (address,) = check(api().cuMemAddressReserve(count, 0, 0, 0), "cuMemAddressReserve")
    return int(address)  # type: ignore[call-overload, no-any-return]  # a handle is a number to Python, not to its types


def free_addresses(address: int, count: int) -> None:
    """Give a reserved range back; nothing may be mapped in it."""
    check(api().cuMemAddressFree(address, count), "cuMemAddressFree")


def map_memory(device: int, address: int, count: int) -> Mapping:
    """Put physical memory behind reserved addresses.

    Raises:
        DriverError: The device has no more memory.
    """
    cuda = api()
    (handle,) = check(cuda.cuMemCreate(count, _properties(device), 0), "cuMemCreate")
    try:
        check(cuda.cuMemMap(address, count, 0, handle, 0), "cuMemMap")
        access = cuda.CUmemAccessDesc()
        access.location = _location(device)
        access.flags = cuda.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
        check(cuda.cuMemSetAccess(address, count, [access], 1), "cuMemSetAccess")
    except BaseException:
        cuda.cuMemRelease(handle)
        raise
    return Mapping(address=address, bytes=count, handle=int(handle))  # type: ignore[call-overload]  # see driver


def unmap_memory(mapping: Mapping) -> None:
    """Take physical memory away again; nothing may use it any more."""
    cuda = api()
    check(cuda.cuMemUnmap(mapping.address, mapping.bytes), "cuMemUnmap")
    check(cuda.cuMemRelease(mapping.handle), "cuMemRelease")
