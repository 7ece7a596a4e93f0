"""Keys that AWS's client exports for a box, outside of it."""

from pathlib import Path

import shared_fixtures
from boxing import needs_bubblewrap
from holding import SECRET, hold, run, serve
from worlds import World

pytestmark = needs_bubblewrap

EXPORTS = """#!/bin/sh
[ "$*" = "configure export-credentials --profile login" ] && [ -z "$(ls -A)" ] || exit 1
cat "$HOME/exported"
"""
AWS = """aws_export = ["EXPORT", "configure", "export-credentials"]
files."${AWS_CONFIG_FILE}" = "~/config"
files."${AWS_SHARED_CREDENTIALS_FILE}" = "~/none?"
"""

home = shared_fixtures.home
world = shared_fixtures.mapped


def test_keys_of_a_login_are_exported_for_the_box(world: World, home: Path) -> None:
    """By the human's client, outside; where it has none the log says so, and the tool its own."""
    (home / "config").write_text("[profile login]\nsso_session = corp\nregion = eu-west-1\n")
    (home / "export").write_text(EXPORTS)
    (home / "export").chmod(0o755)
    (home / "exported").write_text('{"AccessKeyId": "ASIA", "SecretAccessKey": "secret"}')
    hold(world, AWS.replace("EXPORT", str(home / "export")))
    show = 'cat "$AWS_CONFIG_FILE" "$AWS_SHARED_CREDENTIALS_FILE"'
    with serve(world, home) as daemon:
        assert run(daemon, show).endswith("No such file or directory\n")
    hold(world, AWS.replace("EXPORT", str(home / "export")) + 'env.AWS_PROFILE = "AWS_PROFILE?"')
    with serve(world, home, AWS_PROFILE="login") as daemon:
        said = run(daemon, show)
        (home / "exported").write_text("Error: log in once more, s3cr3t")
        without = run(daemon, show)
        daemon.stop()
        told = daemon.messages()
    assert "sso_session" not in said
    assert "region = eu-west-1" in said
    assert "[login]\naws_access_key_id = ASIA\naws_secret_access_key = secret\n" in said
    assert "sso_session = corp" in without
    assert 'warning: the profile "login" of AWS is not exported for a box: ' in told
    assert f"{home}/export configure export-credentials --profile login" in told
    assert SECRET not in told
