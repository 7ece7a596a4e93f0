"""Running a tool: its environment, its launcher, its streams."""
