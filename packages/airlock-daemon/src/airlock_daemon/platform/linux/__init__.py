"""Linux: procfs, mounts, and system calls that Python lacks."""
