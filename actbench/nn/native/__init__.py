"""Kernels in C for what surrounds the matrix products: compiled on this machine once, where it has a C compiler."""
