import sys
from pathlib import Path

# The samples are plain values that several modules build on, so they are a module, not fixtures.
sys.path.insert(0, str(Path(__file__).parent))
