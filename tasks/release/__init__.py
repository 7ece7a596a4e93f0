"""The products of ``./dev build``: reproducible distributions, binaries and images."""
