"""The two consoles of a command: results on standard output, progress on standard error."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 180  # columns of a table that is written to a file or a pipe, where nothing wraps it again


def results_console() -> "Console":
    """Return the console for results; as wide as the terminal, or wide enough for every table."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def progress_console() -> "Console":
    """Return the console for progress and complaints."""
    from rich.console import Console

    return Console(stderr=True)
