import sys
from pathlib import Path

# The samples are shared with a child process and a benchmark, so they are a module, not fixtures.
sys.path.insert(0, str(Path(__file__).parent))
