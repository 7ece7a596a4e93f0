"""The box: the tool sees the workspace, the system's programs, and nothing else of the host."""
