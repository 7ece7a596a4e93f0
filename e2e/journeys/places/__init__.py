"""Which box each kind of host makes, and that the lines of `doctor` get it the better one."""
