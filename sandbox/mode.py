"""What a zygote is for: compiling kernels or interpreting them."""

from enum import StrEnum


class ZygoteMode(StrEnum):
    """The mode decides how Triton is imported, which cannot be changed afterwards in one process."""

    COMPILE = "compile"
    INTERPRET = "interpret"
