"""What `doctor` says where it is asked, and the lines in it that somebody would type."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from e2e.world.command import Completed, run

FILES = (
    *("--config", "/etc/airlock", "--sockets", "/run/airlock/sockets"),
    *("--agents", "/etc/airlock/agents.toml"),
)
"""Where Airlock's files are in the daemon's image."""

PROFILE = "airlock-seccomp.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`boxes` is what makes them here; `remedies` are those that were found, by name."""

    boxes: str
    remedies: dict[str, str]

    @classmethod
    def ask(cls, ask: Callable[..., Completed], *options: str) -> Self:
        """Have `ask` run doctor, as whoever the daemon runs as."""
        return cls.of(json.loads(ask("airlock-daemon", *options, "--json", "doctor").stdout))

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Return what is in the report of `doctor --json`."""
        found = (*said["findings"], *said["notes"])
        return cls(boxes=said["boxes"], remedies={one["name"]: one["remedy"] for one in found})

    def options(self, folder: Path) -> list[str]:
        """Return the `--security-opt` that are advised; the profile is in `folder`."""
        found = re.findall(r"--security-opt ([^\s,;]+)", self.remedies["container"])
        return [f"--security-opt={each.replace(PROFILE, str(folder / PROFILE))}" for each in found]

    def write_profile(self, folder: Path, *, image: str) -> None:
        """Type the line that writes the profile, in `folder`."""
        run(("sh", "-c", self.printing("docker", image=image)), cwd=str(folder)).succeeded()

    def printing(self, engine: str, *, image: str) -> str:
        """Return the line that writes the profile, with the name of `image` put in."""
        (line,) = re.findall(rf"{engine} run --rm IMAGE [^;,]+", self.remedies["container"])
        return str(line).replace("IMAGE", f"--network=none {image}")


def find_report(text: str) -> dict[str, Any]:
    """Return the first object of JSON in what was said on a machine, among other lines."""
    report: dict[str, Any] = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    return report
