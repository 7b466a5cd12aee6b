"""What a sandboxed child may use before it is stopped."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one request, and how much of the machine's protection may be absent.

    Attributes:
        memory_bytes: Address space beyond what the warmed-up zygote has; shared and anonymous mappings count.
        cpu_s: CPU seconds, whole.
        wall_s: Seconds from asking to the last answer.
        open_files: File descriptors.
        answer_bytes: Size of all answers to one request together.
        answers: Number of answers to one request.
        run_as_uid: User that the zygote becomes after its warm-up, which only root can do. None: as root, the
            unprivileged user 65534 if it can read the Python installation, else still root without capabilities;
            as an ordinary user, no change.
        allow_unconfined: Whether to run where the kernel lacks Landlock or seccomp. What is missing is then only
            reported, and a candidate can read whatever the user can read (or, without seccomp, do anything).
    """

    memory_bytes: int = 4 << 30
    cpu_s: int = 60
    wall_s: float = 60.0
    open_files: int = 64
    answer_bytes: int = 64 << 20
    answers: int = 4096
    run_as_uid: int | None = None
    allow_unconfined: bool = False
