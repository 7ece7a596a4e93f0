"""Linux: procfs, mounts, and system calls that Python does not have."""
