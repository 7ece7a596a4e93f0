"""Where a command runs, and where its path arguments lead."""
