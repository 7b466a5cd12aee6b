import sys
from pathlib import Path

# The samples are shared with child processes, so they are modules, not fixtures; they build on those of the archive.
sys.path[:0] = [str(Path(__file__).parent), *(str(Path(__file__).parents[1] / name) for name in ("archive", "agent"))]
