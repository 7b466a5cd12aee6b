import sys
from pathlib import Path

# Samples of the archive's tests: tasks, candidates and recordings shaped like real ones.
sys.path.insert(0, str(Path(__file__).parents[2] / "archive"))
# Recorded plans of the tests of replaying.
sys.path.insert(0, str(Path(__file__).parent))
