"""What reading a candidate's source turns up, one line of the file at a time."""

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong, or will not compile, at a line of a candidate's file.

    Attributes:
        line: Line of the file, from 1.
        rule: Name of the rule that it breaks, such as `import` or `tl-name`.
        message: What stands there and why it is wrong.
        right_form: What to write instead; may be empty.
    """

    line: int
    rule: str
    message: str
    right_form: str = ""

    @property
    def sentence(self) -> str:
        """The finding on one line."""
        advice = f"; {self.right_form}" if self.right_form else ""
        return f"line {self.line}: {self.message}{advice}"
