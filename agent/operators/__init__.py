"""Ways to make a candidate from what the archive knows."""
