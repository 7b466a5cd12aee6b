"""Is it right, how fast, and what is that worth."""
