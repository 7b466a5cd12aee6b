"""The judge on a GPU: replays recorded plans on buffers of its own, checks, times and profiles them."""
