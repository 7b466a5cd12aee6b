import sys
from pathlib import Path

# Shared by several test files.
sys.path.insert(0, str(Path(__file__).parent))
