"""Where a command runs, and where the paths among its arguments lead."""
