"""What the human's ssh says of a host, read from its own programs."""

import subprocess
from pathlib import Path

import pytest

from airlock_daemon.boundary.brokers.ssh.destination import (
    Known,
    read_found,
    read_own_keys,
    read_settings,
)

HOST = "git.example.com"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIKh3Hq1mC5b0uQ0Sx0m9bXl3W8y7vQmU0oQ5c8mJt2aB"


def settings_of(folder: Path, configuration: str, *words: str) -> dict[str, object]:
    """What ssh would do for these words with that configuration."""
    file = folder / "config"
    file.write_text(configuration)
    printed = subprocess.run(
        ["ssh", "-G", "-F", str(file), *words], capture_output=True, text=True, check=True
    ).stdout
    found = read_settings(printed, home="/home/me")
    return {
        "name": found.name,
        "host": found.host,
        "route": found.route,
        "files": found.known_hosts,
    }


def test_aliases_ports_and_routes_are_what_ssh_says(tmp_path: Path) -> None:
    """The name that known_hosts has, the host that is connected with, and what stands between."""
    configuration = (
        "Host forge\n HostName git.example.com\n Port 2222\n"
        " UserKnownHostsFile /home/me/known /etc/known\n GlobalKnownHostsFile none\n"
        "Host behind\n ProxyJump jump\nHost piped\n ProxyCommand nc %h %p\n"
        "Host named\n HostKeyAlias other\n"
    )
    forge = settings_of(tmp_path, configuration, "forge")
    assert forge["name"] == "[git.example.com]:2222"
    assert (forge["host"], forge["route"]) == ("git.example.com", None)
    assert forge["files"] == ("/home/me/known", "/etc/known", "none")
    assert settings_of(tmp_path, configuration, "behind")["route"] == "jump"
    assert settings_of(tmp_path, configuration, "piped")["route"] == "nc %h %p"
    assert settings_of(tmp_path, configuration, "named")["name"] == "other"
    assert settings_of(tmp_path, configuration, "plain")["name"] == "plain"


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        (f"{HOST} ssh-ed25519 {KEY}", Known(frozenset((KEY,)), is_revoked=False)),
        (f"a,Git.example.com ssh-ed25519 {KEY}", Known(frozenset((KEY,)), is_revoked=False)),
        (f"*.example.com ssh-ed25519 {KEY}", Known(frozenset(), is_revoked=False)),
        (
            f"@cert-authority {HOST} ssh-ed25519 {KEY}",
            Known(frozenset(), is_revoked=False),
        ),
        (f"@revoked {HOST} ssh-ed25519 {KEY}", Known(frozenset(), is_revoked=True)),
        (f"other.example.com ssh-ed25519 {KEY}", Known(frozenset(), is_revoked=False)),
    ],
)
@pytest.mark.parametrize("is_hashed", [False, True])
def test_only_lines_that_name_the_host_itself_make_it_known(
    tmp_path: Path, lines: str, known: Known, *, is_hashed: bool
) -> None:
    """Hashed or not; a wildcard, an authority and a revoked key are none."""
    file = tmp_path / "known_hosts"
    file.write_text(lines + "\n")
    if is_hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", file], capture_output=True, check=True)
    printed = subprocess.run(
        ["ssh-keygen", "-F", HOST, "-f", file],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert read_found(printed.splitlines(), HOST) == known


def test_the_keys_of_this_machine_are_those_of_its_sshd(tmp_path: Path) -> None:
    """What is no public key is left out."""
    key = tmp_path / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "ssh_host_x_key.pub").write_text("nothing")
    written = key.with_suffix(".pub").read_text().split()[1]
    assert read_own_keys(str(tmp_path)) == {written}
