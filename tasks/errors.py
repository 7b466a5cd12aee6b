"""What the user did wrong, for the user: one line that says what was expected, what came and what to do."""


class UserError(ValueError):
    """The user's mistake."""


class TaskError(UserError):
    """A task file cannot be used."""
