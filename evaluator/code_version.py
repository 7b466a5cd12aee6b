"""Version of Tilewright that is running."""

from importlib.metadata import PackageNotFoundError, version


def code_version() -> str:
    """Return the installed version, or `unknown` where the package was only put on the path."""
    try:
        return version("tilewright")
    except PackageNotFoundError:
        return "unknown"
