"""Tests of `airlock_daemon.setup.apis`: what an agent's containers reach by the HTTPS broker."""

import pytest

from airlock_daemon.errors import SetupError
from airlock_daemon.files import Finding
from airlock_daemon.setup.agents import AgentApis
from airlock_daemon.setup.checking import find_api_oddities
from airlock_modules import builtin_text
from commanding import run
from worlds import World


def _write(world: World, profile: str, *enable: str) -> None:
    names = ", ".join(f'"{name}"' for name in enable or ("sh", "git", "gh", "npm", "anthropic"))
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = [{names}]\n[log]\npath = "{world.log}"\n'
    )
    (world.agent / "airlock.toml").write_text(profile)


def _find(world: World) -> AgentApis:
    return world.load().generations["my"].apis


def _find_faults(world: World) -> list[str]:
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


def _find_oddities(world: World) -> list[Finding]:
    setup = world.load()
    agents = [each.agent for each in setup.generations.values()]
    ceiling, path = setup.config.ceiling, setup.search_path
    return list(find_api_oddities(agents, ceiling, setup.state, path))


def test_a_granted_module_grants_its_apis(world: World) -> None:
    """Both the ceiling and the profile have to name it, as a command."""
    _write(world, 'commands = ["gh", "pypi"]')
    apis = _find(world)
    assert [api.name for api in apis.apis] == ["gh"]
    assert [names for names, _ in apis.clients] == [("gh",)]
    _write(world, "commands = []")
    assert [api.name for api in _find(world).apis] == ["gh", "npm", "anthropic"]
    _write(world, 'commands = ["sh", "git"]')
    assert not _find(world)


def test_repositories_are_those_that_git_may_push_to(world: World) -> None:
    """At github.com, however they are written; `[gh] repositories` is another choice."""
    push = '"github.com/acme/app", "git@github.com/acme/lib.git", "https://github.com/own/**"'
    _write(
        world, f'commands = ["gh"]\n[git]\npush = [{push}, "gitlab.com/a/b", "github.com/x/y/z"]'
    )
    (api,) = _find(world).apis
    assert api.repositories == ("acme/app", "acme/lib", "own/*")
    assert "GET /repos/acme/lib/pulls/**" in api.allow
    _write(
        world, 'commands = ["gh"]\n[git]\npush = ["github.com/a/b"]\n[gh]\nrepositories = ["c/d"]'
    )
    assert _find(world).apis[0].repositories == ("c/d",)


def test_an_agent_has_apis_and_destinations_of_its_own(world: World) -> None:
    """A preset is without the hosts whose operations are judged."""
    own = '[api.index]\nhosts = ["pip.corp.example"]\nallow = ["GET /**"]\n'
    _write(world, f'commands = ["npm"]\n{own}[network]\nallow = ["a.example.com:443", "@packages"]')
    apis = _find(world)
    assert [api.name for api in apis.apis] == ["npm", "api.index"]
    assert apis.network[0] == "a.example.com:443"
    assert "pypi.org:443" in apis.network
    assert "registry.npmjs.org:443" not in apis.network
    assert apis.find("api.index") == apis.apis[1]
    assert apis.find("other") is None


@pytest.mark.parametrize(
    ("profile", "fault"),
    [
        ('[network]\nallow = ["api.github.com:443"]', "is the API gh"),
        ('[network]\nallow = ["*.github.com:443"]', "is the API gh"),
        ('[network]\nallow = ["@everything"]', "is no preset"),
        ('[network]\nallow = ["a.example.com"]', "is no HOST:PORT"),
        ('[api.own]\nhosts = ["**.github.com"]', "is a host of gh too"),
        ('[api.a]\nhosts = ["a.b.c"]\n[api.b]\nhosts = ["*.b.c"]', "is a host of api.a too"),
        ('[api.own]\nhosts = ["a.example.com"]\nalow = []', "unknown key"),
        ('[gh]\nrepos = ["a/b"]', "unknown key"),
        ('[deny]\npypi = ["upload"]', "has no arguments"),
        ('[nosuch]\nallow = ["GET /"]', "unknown table"),
        ('[env]\nset = { GH_TOKEN = "ghp_x" }', "would be a credential in the container"),
        ('[env]\nset = { GITHUB_TOKEN = "ghp_x" }', "would be a credential in the container"),
    ],
)
def test_a_contradiction_is_a_fault(world: World, profile: str, fault: str) -> None:
    """Of the profile, with its key and a remedy."""
    _write(world, f'commands = ["gh"]\n{profile}')
    found = _find_faults(world)
    assert any(fault in each and "airlock.toml: " in each for each in found), found


def test_the_network_of_a_command_is_another_key(world: World) -> None:
    """`allow` is what containers reach; a command of that name would make it unclear."""
    _write(
        world,
        'commands = ["terraform"]\n[network]\nterraform = ["a.b:443"]\nallow = ["c.d:443"]',
        "terraform",
    )
    generation = world.load().generations["my"]
    assert generation.apis.network == ("c.d:443",)
    sandbox = generation.grant.modules["terraform"].sandbox
    assert sandbox is not None
    assert "a.b:443" in sandbox.network
    assert "c.d:443" not in sandbox.network
    world.write_module("allow", "/bin/sh")
    assert any("rename the module" in each for each in _find_faults(world))


def test_an_override_has_the_apis_that_it_names(world: World) -> None:
    """Else the built-in's; but one of an earlier release grants no more than it did."""
    _write(world, 'commands = ["gh"]')
    own = world.agent / "commands"
    own.mkdir(exist_ok=True)
    (own / "gh.toml").write_text(builtin_text("gh").replace('"GET /rate_limit",', ""))
    assert "GET /rate_limit" not in _find(world).apis[0].allow
    for box in ("none", "home"):
        world.write_module("gh", "gh", f'[deny]\nargs = []\n[sandbox]\nbox = "{box}"\n')
        assert not _find(world)
    world.write_module("gh", "gh", "[deny]\nargs = []\n")
    assert not _find(world)
    world.write_module("gh", "gh", '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n')
    assert "GET /rate_limit" in _find(world).apis[0].allow


def test_check_tells_what_a_credential_lacks(world: World) -> None:
    """Nothing stored, no program, a token that reaches far; and what presets let out."""
    _write(world, 'commands = ["gh", "anthropic", "npm"]\n[network]\nallow = ["@vscode"]')
    found = {(each.key, each.is_note): each for each in _find_oddities(world)}
    assert "no credential is stored" in found["anthropic.credential", False].problem
    assert "airlock login anthropic" in found["anthropic.credential", False].remedy
    assert "names no repository" in found["gh.repositories", False].problem
    assert "fine-grained" in found["gh.credential", False].remedy
    assert ("network.allow", True) in found
    # Nothing that is installed needs it.
    assert ("npm.credential", False) not in found
    profile = 'commands = ["gh"]\n[gh]\nrepositories = ["a/b"]\nwide = true\n'
    _write(world, f'{profile}credential = {{ file = "/no/such/file" }}')
    told = [(each.key, each.is_note) for each in _find_oddities(world)]
    assert told == [("gh.credential", False), ("gh.wide", True)]
    for table in ("", "\n[aws]"):
        _write(world, f'commands = ["aws"]{table}', "aws")
        (missing,) = _find_oddities(world)
        assert (missing.key, missing.is_note) == ("aws", False)
        assert missing.remedy == 'write [aws] with profile = "NAME" and regions = ["eu-west-1"]'


def test_check_tells_of_a_credential_that_an_agent_can_write(world: World) -> None:
    """Its program would be run as the human, its file could lead to another one."""
    written = world.workspace / "token"
    written.write_text("#!/bin/sh\n")
    written.chmod(0o755)
    for kind, value in (("command", f'["{written}"]'), ("file", f'"{written}"')):
        _write(
            world,
            f'commands = ["sh"]\n[workspace]\nsame_path = ["{world.workspace}"]\n'
            '[api.own]\nhosts = ["a.example"]\n'
            f'allow = ["GET /"]\ncredential = {{ as = "header", {kind} = {value}, '
            'placeholder = "tok_{36}" }\n',
        )
        (told,) = _find_oddities(world)
        assert (told.key, told.is_note) == ("api.own.credential", False)
        assert told.problem == f'"{written}" is reached through a workspace'


def test_profile_show_lists_the_apis(world: World) -> None:
    """Each with its hosts, the place of its credential, and how much is granted."""
    _write(world, 'commands = ["gh"]\n[gh]\nrepositories = ["acme/app"]')
    shown = run(world, "profile", "show", "my").stdout
    assert "# apis: gh = api.github.com; credential of command gh auth token; " in shown
    assert "acme/app" in shown
