"""Where the package says that its binaries are."""

import platform
import sys
from pathlib import Path

import pytest

from airlock_shim import ARCHITECTURES, BinaryError, binaries, binary_for, binary_path


def test_every_architecture_has_its_own_binary(built: None) -> None:
    """All binaries are there on any machine, and each is an ELF file for its processor."""
    machines = {"x86_64": 62, "aarch64": 183}
    for arch in ARCHITECTURES:
        header = binary_for(arch).read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == machines[arch]


def test_engines_names_are_known(built: None) -> None:
    """What container engines and macOS call a processor finds the same binary."""
    assert binary_for("amd64") == binary_for("x86_64")
    assert binary_for("arm64") == binary_for("aarch64")


def test_unknown_processor_is_told() -> None:
    """The error names what was asked for and what there is."""
    with pytest.raises(BinaryError, match=r"'riscv64', only for x86_64, aarch64"):
        binary_for("riscv64")


def test_missing_binary_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package that was not built says how to install it."""
    monkeypatch.setattr(binaries, "__file__", str(tmp_path / "binaries.py"))
    with pytest.raises(BinaryError, match="is missing: the package was not built"):
        binary_for("x86_64")


def test_this_machine_has_its_own(built: None) -> None:
    """The binary for this machine is that of its processor."""
    assert binary_path() == binary_for(platform.machine())


def test_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no shim runs, the error leads to the binaries for containers."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BinaryError, match=r"not on darwin; use binary_for\(ARCH\)"):
        binary_path()
