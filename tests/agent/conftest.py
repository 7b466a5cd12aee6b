import sys
from pathlib import Path

# The fake pool is shared with a child process, so it is a module, not a fixture; it uses the archive's samples.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "archive")]
