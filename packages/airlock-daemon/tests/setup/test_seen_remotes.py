"""The remotes of a repository, as lines of a profile."""

import os
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.setup.seen_remotes import find_places, read_url


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("git@github.com:acme/app.git", "git@github.com/acme/app"),
        ("github.com:acme/app", "github.com/acme/app"),
        ("ssh://git@host:2222/srv/app.git/", "git@host:2222/srv/app"),
        ("https://github.com/acme/app.git", "github.com/acme/app"),
        ("https://user:secret@github.com/acme/app", "github.com/acme/app"),
        ("git@github.com:**", None),
        ("ssh://*/acme/app", None),
        ("/srv/app.git", None),
        ("../app", None),
        ("file:///srv/app", None),
        ("git://host/app", None),
        ("ext::sh -c id", None),
        ("host:a b", None),
    ],
)
def test_a_url_is_a_place(url: str, place: str | None) -> None:
    """Without a password; what git-remote cannot reach is none."""
    assert read_url(url) == place


def test_only_the_repositorys_own_file_is_read(tmp_path: Path) -> None:
    """It may be an agent's work: what it includes is not looked at, and nothing of it is run."""
    subprocess.run(["git", "init", "--quiet", tmp_path / "app"], check=True)
    config = tmp_path / "app" / ".git" / "config"
    (tmp_path / "more").write_text('[remote "more"]\n url = git@host:more\n')
    with config.open("a") as file:
        file.write(
            f"[include]\n path = {tmp_path}/more\n[core]\n fsmonitor = touch {tmp_path}/run\n"
        )
        file.write('[remote "a"]\n url = git@host:a\n pushurl = git@host:b\n')
    found = find_places([str(tmp_path / "app"), str(tmp_path)], search_path=os.environ["PATH"])
    assert found == ("git@host/a", "git@host/b")
    assert not (tmp_path / "run").exists()
