"""Our own failures while judging on a GPU; never a verdict on a candidate."""

from tilewright.tasks.errors import UserError


class UnfitError(Exception):
    """A child cannot work on its device; the message says why in one line."""


class DeviceGoneError(UserError):
    """The GPU cannot be used, or not any more: what was judged is kept, and the run can go on once it is back."""


class JudgeFaultError(Exception):
    """The judge itself failed, twice, while the device was healthy; the candidate was not judged."""
