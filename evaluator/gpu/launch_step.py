"""A launch of a plan, prepared once on fixed addresses."""

from collections.abc import Sequence

from tilewright.evaluator.gpu.driver import Function
from tilewright.evaluator.gpu.launcher import Launcher, Shape, allow
from tilewright.evaluator.gpu.packing import Parameters, encode_map, pack
from tilewright.sandbox.plan import Launch

_WARP_THREADS = 32


class LaunchStep:
    """One launch with its parameters packed.

    Args:
        launch: The step.
        function: Its kernel.
        addresses: Address of each of the plan's buffers.
        scratch: Addresses of global and profile scratch memory, 0 where there is none.
        device: Index of the device.

    Raises:
        PackingError: The kernel takes other parameters.
        DriverError: The hardware refuses a tensor descriptor or the shared memory.
    """

    def __init__(
        self, launch: Launch, function: Function, addresses: Sequence[int], scratch: tuple[int, int], device: int
    ) -> None:
        self._launcher: Launcher | None = None
        if not launch.programs:
            return  # a grid of no programs is no launch, as in Triton; its tensors may be empty and lie nowhere
        self._parameters = Parameters(pack(launch, addresses, scratch, encode_map), function.slots)
        shape = shape_of(launch)
        allow(function, shape, device)
        self._launcher = Launcher(function, shape, self._parameters.address)

    def enqueue(self, stream: int) -> None:
        """Put the launch on a stream; see `Launcher.enqueue`."""
        if self._launcher is not None:
            self._launcher.enqueue(stream)


def shape_of(launch: Launch) -> Shape:
    """Return how a launch is made: Triton's clusters lie along x."""
    across, *rest = launch.grid
    return Shape(
        grid=(across * launch.num_ctas, rest[0], rest[1]),
        threads=_WARP_THREADS * launch.num_warps,
        shared_bytes=launch.shared_bytes,
        cluster=launch.num_ctas,
        is_dependent="pdl" in launch.flags,
        is_cooperative="cooperative" in launch.flags,
    )
