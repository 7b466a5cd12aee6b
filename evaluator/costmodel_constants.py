"""The few constants of the cost model that no data sheet has; a device's own times can replace them."""

import msgspec

# How far estimates lie from times measured on an H200, for kernels that the shipped constants were fitted to.
BAND = 0.25


class CostConstants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the cost model assumes of a part beyond its rates; all positive.

    The values here are those of an H200, found by hand; `evaluator/calibration.py` fits them to times of a device.

    Attributes:
        dram_factor: Of the copy bandwidth, the part that a kernel with enough bytes under way draws.
        cache_factor: Of the second-level cache's bandwidth, likewise.
        latency_factor: Wait for a load in a kernel over the wait in an idle device.
        launch_factor: Start, ramp and drain of a kernel over `Hardware.launch_us` and `gap_us`.
        special_factor: Of the rate of exp, log, roots and divisions, the part that is reached.
        warp_group_share: Of the sustained product rate, what warp-group products reach.
        warp_share: What warp products reach on a part that has warp-group ones.
        vector_share: Of the fp32 rate, what products by fused multiply-adds reach.
        synchronous_share: Of any of them, where loads and products take turns.
        serial_share: Of element-wise work beside products, what products do not hide.
        issue_share: Of the four instructions a clock that a multiprocessor's schedulers can start.
        loop_issue_factor: Instructions that a counted operation takes beside products: addresses, casts, masks.
        cache_share: Of the second-level cache, what keeps lines that will be read again.
        spill_bytes_per_clock: Local memory that a multiprocessor moves when the caches thrash.
        spill_cached_factor: How much faster it moves where the second-level cache holds all of it.
        atomics_per_us: Atomic operations to addresses of their own.
        atomics_per_address_us: Atomic operations to one address.
        program_start_us: Start of a program.
        barrier_us: One barrier of a program.
        narrow_bytes: Bytes of a load that is not 128 bits wide, on average, where machine code was not read.
        overlap_exponent: How well resources work at once: 1 is one after another, infinity is perfect.
        overlap_blocks: Resident programs that make half of that of kernels that do not load ahead.
    """

    dram_factor: float = 1.0
    cache_factor: float = 1.0
    latency_factor: float = 1.0
    launch_factor: float = 1.0
    special_factor: float = 1.0
    warp_group_share: float = 0.86  # 128x128x64 tiles, 8 warps: 216 us at 4096^3
    warp_share: float = 0.62
    vector_share: float = 0.6
    synchronous_share: float = 0.6
    serial_share: float = 0.6
    issue_share: float = 0.85
    loop_issue_factor: float = 2.5
    cache_share: float = 0.4
    spill_bytes_per_clock: float = 14.0
    spill_cached_factor: float = 1.5
    atomics_per_us: float = 160_000.0
    atomics_per_address_us: float = 600.0
    program_start_us: float = 0.6
    barrier_us: float = 0.03
    narrow_bytes: float = 4.0
    overlap_exponent: float = 5
    overlap_blocks: float = 1.0


SHIPPED = CostConstants()
