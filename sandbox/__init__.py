"""Run foreign Python where it can do nothing."""
