"""What ``./dev build`` makes: distributions, binaries and images, the same bytes each time."""
