"""`airlock login`: a credential stored, listed and removed by the real command."""

import json

import pytest

from api_world import TOKEN, api_world
from commanding import Done, airlock_daemon, answer, run
from worlds import World

CANARY = "c4n4ry-7f3a"


@pytest.fixture
def options(world: World) -> tuple[str, ...]:
    """The options for a world whose agent may use two APIs: one has a stored credential."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"git"', '"git", "anthropic", "gh"'))
    return ("--config", str(world.config), "--agents", str(world.agents_file))


def login(options: tuple[str, ...], *args: str, says: bytes = b"", status: int = 0) -> Done:
    """Run it with this on its stdin."""
    said = airlock_daemon(*options, "login", *args, says=says, status=status)
    assert CANARY not in said.stdout + said.stderr
    return said


def test_it_is_stored_listed_and_removed(world: World, options: tuple[str, ...]) -> None:
    """Its value is shown by nothing, and what uses it is told."""
    said = login(options, "anthropic", says=f"{CANARY}\n".encode()).stderr
    assert said == (
        "airlock: anthropic is stored for every agent\n"
        "airlock: it is put into requests of my; no container has it\n"
    )
    stored = world.config / "state" / "stored" / "anthropic"
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == (f"{CANARY}\n", 0o600)
    login(options, "gh", "--agent", "my", says=CANARY.encode())
    assert login(options).stdout == "anthropic\t*\tmy\ngh\tmy\t-\n"
    assert json.loads(login(options, "--json").stdout) == [
        {"name": "anthropic", "agent": None, "users": ["my"]},
        {"name": "gh", "agent": "my", "users": []},
    ]
    assert login(options, "anthropic", "--remove").stderr == (
        "airlock: anthropic for every agent is removed\n"
    )
    assert not stored.exists()
    said = login(options, "anthropic", "--remove", status=1).stderr
    assert "nothing is stored as anthropic for every agent" in said


def test_it_says_what_is_missing(world: World, options: tuple[str, ...]) -> None:
    """Before anybody wonders why a request has none."""
    said = login(options, "gh", says=CANARY.encode()).stderr
    assert "my has another credential for gh\n" in said
    assert '[gh]: credential = { stored = "gh" }, and run: airlock reload' in said
    said = login(options, "other", says=CANARY.encode()).stderr
    assert "no agent uses it yet" in said
    assert "hint: write [api.other] in an airlock.toml" in said
    said = login(options, "npm", says=CANARY.encode()).stderr
    assert "hint: add npm to commands of an airlock.toml, and to [commands] enable" in said
    world.write_profile("[git]\nnonsense = 1\n")
    assert "openai is stored for every agent" in login(options, "openai", says=b"x").stderr


def test_a_terminal_does_not_show_it(options: tuple[str, ...]) -> None:
    """A person is asked for it there; Ctrl-C stores nothing."""
    keys = f"{CANARY}\n"
    status, shown = answer(keys, *options, "login", "anthropic", question=b"(not shown): ")
    assert status == 0
    assert CANARY not in shown
    assert login(options).stdout == "anthropic\t*\tmy\n"
    login(options, "anthropic", "--remove")
    status, shown = answer("\x03", *options, "login", "anthropic", question=b"(not shown): ")
    assert (status, login(options).stdout) == (1, "")
    assert "airlock: nothing was stored\r\n" in shown


@pytest.mark.parametrize("says", [b"", b" \n", f"{CANARY}\nb\n".encode(), b"\xff", b"x" * 20_000])
def test_what_is_no_credential_is_not_stored(options: tuple[str, ...], says: bytes) -> None:
    """Such as the output of a command that failed."""
    assert "nothing was stored: what was read " in login(options, "gh", says=says, status=1).stderr
    assert login(options).stderr == (
        "airlock: nothing is stored\nairlock: hint: airlock login NAME\n"
    )


def test_names_lead_nowhere(options: tuple[str, ...]) -> None:
    """A name is no path, and the agent must be there."""
    for name in ("../x", "a@b", ".x"):
        assert "is no name for a credential" in login(options, name, status=1).stderr
    said = login(options, "gh", "--agent", "nobody", says=b"x", status=1).stderr
    assert "no agent nobody is registered" in said
    login(options, "--remove", status=2)


def test_a_running_daemon_uses_it_at_once(world: World) -> None:
    """Its refusal before named the command; log tail, log stats and the API see what is sent."""
    with api_world(world) as apis:
        apis.grant("GET /who", source='stored = "mine"')
        options = ("--config", str(world.config), "--agents", str(world.agents_file))
        with apis.daemon() as daemon:
            with apis.client() as client:
                status, text = client.ask("/who")
            assert (status, "airlock login mine" in text) == (403, True)
            login(options, "mine", "--agent", "my", says=TOKEN.encode())
            with apis.client() as client:
                assert client.ask("/who") == (200, "half half ")
            daemon.wait_for_records(2, "broker")
            failed, answered = run(world, "log", "tail", "-n", "2").stdout.splitlines()
            assert "  failed " in failed
            assert "  allowed  status 200 " in answered
            assert answered.endswith("  api.test GET /who")
            assert "\nmy\tapi.test\t2\t1\t" in run(world, "log", "stats").stdout
            assert [*(world.config / "state").rglob("my.*")] != []
            run(world, "agent", "remove", "my", "--yes")
        assert [path.name for path in (world.config / "state").rglob("my.*")] == []
        assert TOKEN not in world.log.read_text()
    assert apis.server.requests == [("GET /who", f"Bearer {TOKEN}")]
    assert login(options).stdout == ""


def test_that_of_an_agent_goes_with_it(world: World, options: tuple[str, ...]) -> None:
    """Another agent of that name does not get it."""
    login(options, "anthropic", says=b"all")
    login(options, "anthropic", "--agent", "my", says=b"mine")
    run(world, "agent", "remove", "my", "--yes")
    assert login(options).stdout == "anthropic\t*\t-\n"
