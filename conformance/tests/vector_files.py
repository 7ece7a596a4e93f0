"""Policy vectors of a tool that is not there, and runs of the suite on them."""

import json
import subprocess
from pathlib import Path

from suite_process import DAEMON, SUITE, run_suite

SPADES = {
    "tool": "spade",
    "toolVersion": "1",
    "notes": {
        "Deep": {"class": "digs too deep", "description": "Below the pipes."},
        "Everyday": {"class": "everyday", "description": "Ordinary work."},
    },
    "groups": [
        {
            "comment": "depth",
            "tests": [
                {"id": "spade-0001", "args": ["--deep"], "result": "denied", "flags": ["Deep"]},
                {
                    "id": "spade-0002",
                    "args": ["--depth=9", {"base64": "/w=="}],
                    "result": "denied",
                    "flags": ["Deep"],
                },
                {"id": "spade-0003", "args": ["dig"], "result": "allowed", "flags": ["Everyday"]},
                {
                    "id": "spade-0004",
                    "args": ["bury"],
                    "result": "allowed",
                    "flags": ["Deep"],
                    "canary": "box-spade/bury",
                },
            ],
        }
    ],
}


def write_spades(root: Path) -> Path:
    """Write the vectors into a directory of their own, and return that."""
    directory = root / "vectors"
    directory.mkdir()
    (directory / "spade.json").write_text(json.dumps(SPADES))
    return directory


def judge_spades(
    root: Path, rules: str, *options: str, daemon: str | Path = DAEMON
) -> subprocess.CompletedProcess[str]:
    """Run the vectors against a daemon whose module of the tool has these rules."""
    modules = root / "modules"
    modules.mkdir()
    (modules / "spade.toml").write_text(f'[command]\nbin = "/bin/true"\n{rules}')
    vectors = write_spades(root)
    where: list[str | Path] = ["--daemon", daemon, "--vectors", vectors, "--modules", modules]
    return run_suite(f"{SUITE}/test_vectors.py::test_policy", *where, *options)
