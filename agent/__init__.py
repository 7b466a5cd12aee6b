"""Who proposes, and in what order."""
