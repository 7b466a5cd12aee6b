import sys
from pathlib import Path

# Shared by several test files.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "archive")]
