"""Parametrised Triton kernels for the families of the core suite."""
