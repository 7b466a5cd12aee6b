"""Our own failures while working with a sandbox; never a verdict on a candidate."""


class SandboxError(Exception):
    """The sandbox could not do its work, for a reason that is not the candidate's."""


class ZygoteLostError(SandboxError):
    """The zygote died or could not be started; the candidate may be tried again elsewhere."""


class ConfinementError(SandboxError):
    """A protection that was asked for could not be put in place on this machine."""
