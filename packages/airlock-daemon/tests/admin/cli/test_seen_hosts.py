"""Aliases of ssh's configuration, as lines of a profile."""

from pathlib import Path

from airlock_daemon.admin.cli.repository import MAX, find_hosts


def test_names_are_proposed_and_patterns_are_not(tmp_path: Path) -> None:
    """Each once, of all lines that begin a part of the file; a file that is not there has none."""
    config = tmp_path / "config"
    config.write_text(
        "Host build Prod *.example.com 10.0.0.? !not # later\nHOST=build\n  HostName hidden\n"
        'Match host x\n\nHost "quoted" [::1] -x\nInclude other\n'
    )
    assert find_hosts(str(config)) == ("build", "Prod", "[::1]")
    config.write_text("".join(f"Host h{number}\n" for number in range(99)))
    assert len(find_hosts(str(config))) == MAX
    assert find_hosts(str(tmp_path / "none")) == ()
