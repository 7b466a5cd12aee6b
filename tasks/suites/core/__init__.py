"""Nine operators with the shapes of published benchmarks."""
