"""Detecting a real docker engine."""

import shutil
import subprocess


def has_engine(*plugins: str) -> bool:
    """Whether docker reaches an engine and has these plugins."""
    asked = (["docker", "info"], *(["docker", plugin, "version"] for plugin in plugins))
    return shutil.which("docker") is not None and all(
        subprocess.run(argv, capture_output=True, check=False).returncode == 0 for argv in asked
    )
