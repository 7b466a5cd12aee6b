"""Suites that come with Tilewright."""
