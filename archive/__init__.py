"""What is known: one database is the run."""
