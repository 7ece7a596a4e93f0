"""How each page is followed: its blocks typed as they stand, and what has come of it looked at."""

import re
import shlex
from collections.abc import Callable, Mapping

from .host import AGENT, HOME, KEY, PROJECT, GuideHost
from .pages import Page

CONFIG = ".config/airlock"
_YES = "y\n"


def follow_readme(page: Page, host: GuideHost) -> None:
    """From the first agent to an API's, and to a daemon that was started by hand."""
    page.take("sh install.sh")  # has made the host what it is
    commit = host.commit()
    host.type(page.take("airlock agent add my"), answers=_YES)
    assert host.has_arrived("agent/first", commit)
    for words in ("--force origin HEAD:main", "origin HEAD:other", "origin HEAD:refs/tags/v1"):
        refused = host.try_typing(f"airlock run my IMAGE git push {words}")
        assert refused.exit_code == 1
        assert "allowed: refs/heads/agent/**)" in refused.stdout
    assert host.list_refs() == ["refs/heads/agent/first", "refs/heads/main"]
    host.type(_log_in(page.take("airlock agent add claude")), answers=_YES)
    assert "api.anthropic.com answers POST" in host.type("tail -n 1 notes.txt", cwd=PROJECT)
    host.type("systemctl --user stop airlock")
    with host.begin(page.take("airlock start").strip()) as daemon:
        daemon.wait_for("airlock: ready")
        host.type("airlock run my IMAGE git push origin HEAD:agent/by-hand")
        host.end(daemon)


def follow_any_image(page: Page, host: GuideHost) -> None:
    """An image with the shim in it pushes with the sockets and the project alone."""
    said = host.type(page.take("airlock agent add"), answers=_YES)
    assert "docker run" in said
    host.write("image/Dockerfile", f"FROM {AGENT}\n{page.take('COPY airlock-shim')}")
    host.type(page.take("airlock shim ."), cwd=f"{HOME}/image")
    commit = host.commit()
    host.type(page.take("cd ~/src/app"))
    assert host.has_arrived("agent/image", commit)


def follow_worktrees(page: Page, host: GuideHost) -> None:
    """The container's git pushes from a worktree, which leaves the person's own as it was."""
    said = host.type(page.take("git worktree add"), answers=_YES, cwd=PROJECT)
    assert "app-web is a linked worktree" in " ".join(said.split())
    assert host.has_arrived("agent/web", host.type("git rev-parse agent/web", cwd=PROJECT))
    host.type("git worktree remove ../app-web\ngit branch --quiet -D agent/web", cwd=PROJECT)


def follow_editors(page: Page, host: GuideHost) -> None:
    """What an editor obeys is looked at, and kept; a port is published as the page says."""
    host.type("airlock agent add my --workspace ~/src/app --command git-remote --yes")
    host.type(page.take("airlock scan my"))
    keep = page.take("airlock run --read-only")
    host.type(keep, cwd=PROJECT)
    tried = host.try_typing(keep.replace("git status", "touch .vscode/tasks.json"), cwd=PROJECT)
    assert "Read-only file system" in tried.stdout
    said = host.type(page.take("airlock run --print --network bridge"))
    assert "--publish=127.0.0.1:3000:3000" in said


def follow_index(page: Page, host: GuideHost) -> None:
    """Ten minutes to a push, on a host that has Airlock already."""
    host.type(page.take("sh install.sh"), cwd=f"{HOME}/airlock")
    commit = host.commit()
    host.type(page.take("airlock agent add"), answers=_YES)
    host.type(page.take("cd ~/src/app"))
    assert host.has_arrived("agent/first", commit)
    said = host.type(page.take("airlock log tail"))
    assert "git push git@github.com/acme/app refs/heads/agent/first " in said
    assert f"..{commit[:7]}" in said
    assert "allowed" in said.splitlines()[-1]


def follow_claude(page: Page, host: GuideHost) -> None:
    """An agent that asks its API and pushes; the profile of the page holds it to its branches."""
    host.type(page.take("airlock agent add"), answers=_YES)
    host.type(_log_in(page.take("airlock login")))
    said = host.type(page.take("airlock run"))
    assert "network: none; reachable by HTTPS: api.anthropic.com" in said
    assert "api.anthropic.com answers POST /v1/messages" in said
    assert host.has_arrived("agent/claude", host.type("git rev-parse HEAD", cwd=PROJECT))
    host.write(f"{CONFIG}/agents/claude/airlock.toml", _grant(page.read("[git]\n")))
    host.type("airlock reload")
    assert host.try_typing("airlock run claude IMAGE git push origin main").exit_code == 1
    host.type("airlock run claude IMAGE git push origin HEAD:agent/second")


def _log_in(text: str) -> str:
    """The same lines, with the person's key on the stdin of each `login`."""
    return text.replace("airlock login", f"echo {KEY} | airlock login")


def follow_github(page: Page, host: GuideHost) -> None:
    """The agent gets the repositories of the remotes, and no other."""
    said = host.type(page.take("airlock agent add"), answers=_YES)
    assert "acme/app" in said
    host.type(_log_in(page.take("airlock login gh")))
    asked = "airlock test my gh GET /repos/acme"
    assert "allowed" in host.type(f"{asked}/app/pulls")
    assert host.try_typing(f"{asked}/other/pulls").exit_code == 1


def follow_approvals(page: Page, host: GuideHost) -> None:
    """A push to a release branch waits for the answer; the id on the page is an example."""
    commands = "--command git-remote --command gh"
    host.type(f"airlock agent add my --workspace ~/src/app {commands} --yes")
    grant = '[git]\npush = ["git@github.com/acme/app"]\nrefs = ["refs/heads/**"]\n'
    merges = '[gh]\nallow = ["PUT /repos/acme/app/pulls/*/merge"]\n'
    profile = f"{_grant(grant)}{merges}{page.read('[approve]')}"
    profile = profile.replace('commands = ["git-remote"]', 'commands = ["git-remote", "gh"]')
    host.write(f"{CONFIG}/agents/my/airlock.toml", profile)
    host.type(page.take("airlock reload"))
    line, *shown = page.take("$ airlock test my gh").splitlines()
    said = host.type(line.removeprefix("$ ")).splitlines()
    assert {*shown} <= {*said}
    approve, reject = page.take("airlock approve").splitlines()
    commit = host.commit()
    for line, branch in ((reject, "release/1"), (approve, "release/2")):
        with host.begin(f"airlock run my {AGENT} git push origin HEAD:{branch}") as push:
            (told,) = push.wait_for("is pending")
            name = told.partition("approval ")[2].split()[0]
            pending = host.type("airlock pending")
            assert f"{name}  my  git push " in pending
            assert f"creates it at {commit}" in pending
            host.type(line.replace("K7M2PQ", name))
            push.wait()
            assert ("after the freeze" in push.heard) == (line == reject)
    assert not host.has_arrived("release/1", commit)
    assert host.has_arrived("release/2", commit)


def follow_grant(page: Page, host: GuideHost) -> None:
    """The agent is added; what the page says of its grant, unit tests ask of `airlock test`."""
    host.type(_log_in(page.take("airlock agent add")), answers=_YES)
    assert "my" in host.type("airlock agent list")


def follow_signing(page: Page, host: GuideHost) -> None:
    """The container's git signs under an address of its own, and the host's verifies that."""
    host.type(page.take("ssh-keygen"), answers=_YES)
    host.write("sign", page.read("[sign]"))
    profile = "~/.config/airlock/agents/my/airlock.toml"
    host.type(f"sed -i '/^.sign.$/d' {profile} && cat sign >>{profile} && airlock reload")
    host.type(page.take("airlock run my IMAGE git config"), cwd=PROJECT)
    assert 'Good "git" signature for agent@acme.com' in host.type(page.take("echo"))
    said = host.type("airlock log tail")
    assert "sign git commit " in said
    asked = "airlock test my git-sign commit"
    assert "allowed" in host.type(f"{asked} agent@acme.com")
    assert host.try_typing(f"{asked} ceo@acme.com").exit_code == 1


def follow_registries(page: Page, host: GuideHost) -> None:
    """npm and pypi, with tokens for what the profile lets them publish."""
    host.type(page.take("airlock agent add"), answers=_YES)
    host.write("publish", page.read("[npm]"))
    profile = "~/.config/airlock/agents/my/airlock.toml"
    host.type(f"cat publish >>{profile} && airlock reload")
    host.type(_log_in(page.take("airlock login npm")))
    stored = [line.split() for line in host.type("airlock login").splitlines()]
    assert ["pypi", "*", "my"] in stored


def follow_any_api(page: Page, host: GuideHost) -> None:
    """An API of the agent's own, and the same as a module, which tells the tool its placeholder."""
    host.type("airlock agent add my --workspace ~/src/app --command git-remote --yes")
    profile = "~/.config/airlock/agents/my/airlock.toml"
    table = page.read('[api.tracker]\nhosts = ["tracker.example.com"]\ncredential')
    host.write("tracker", table)
    host.type(f"cp {profile} before && cat tracker >>{profile}")
    host.type(_log_in(page.take("airlock login tracker")))
    for request, answer in (
        ("GET /api/issues", "tracker.example.com answers GET /api/issues"),
        ("POST /api/issues", "airlock: "),
    ):
        assert answer in _ask(host, request)
    host.write(f"{CONFIG}/modules/tracker.toml", page.read("[[api]]"))
    host.type(
        f'sed \'s/^commands = .*/commands = ["git-remote", "tracker"]/\' before >{profile}\n'
        'sed -i \'s/^enable = .*/enable = ["git-remote", "tracker"]/\' '
        "~/.config/airlock/config.toml\nairlock-daemon reload"
    )
    assert "answers GET /api/issues" in _ask(host, "GET /api/issues")


def _ask(host: GuideHost, request: str) -> str:
    """What a container is answered that sends a request to tracker.example.com."""
    name = "tracker.example.com"
    head = f"{request} HTTP/1.1\\r\\nHost: {name}\\r\\nAuthorization: Bearer %s\\r\\n"
    line = (
        f'printf "{head}Connection: close\\r\\n\\r\\n" "$TRACKER_TOKEN" | openssl s_client '
        f"-quiet -verify_return_error -verify_quiet -proxy ${{https_proxy#http://}} "
        f"-connect {name}:443 -servername {name}"
    )
    return host.type(f"airlock run my IMAGE sh -c {shlex.quote(line)}")


def _grant(text: str) -> str:
    workspace = f'[workspace]\nmounts = {{ "{PROJECT}" = "{PROJECT}" }}\n'
    return f'commands = ["git-remote"]\n{workspace}{text}'


def follow_codex(page: Page, host: GuideHost) -> None:
    """Another agent, in the same way."""
    host.type(_log_in(page.take("airlock agent add")), answers=_YES)
    assert host.has_arrived("agent/codex", host.type("git rev-parse HEAD", cwd=PROJECT))


def follow_devcontainers(page: Page, host: GuideHost) -> None:
    """The image with the shim works with the socket and the project alone."""
    host.type(page.take("airlock agent add app"), answers=_YES)
    host.type(page.take("airlock agent add my"), answers=_YES)
    host.write("image/Dockerfile", f"FROM {AGENT}\n{page.take('COPY airlock-shim')}")
    host.type("airlock shim .\ndocker build --quiet -t own .", cwd=f"{HOME}/image")
    options = f'-v {HOME}/{CONFIG}/sockets/my:/run/airlock:ro -v $PWD:$PWD -w $PWD -u "$(id -u)"'
    commit = host.commit()
    host.type(f"docker run --rm {options} own git push origin HEAD:agent/devcontainer", cwd=PROJECT)
    assert host.has_arrived("agent/devcontainer", commit)


def follow_compose(page: Page, host: GuideHost) -> None:
    """The service that is printed, with an image in its place."""
    host.type(page.take("airlock agent add"), answers=_YES)
    commit = host.commit()
    # IMAGE itself is the image in what is typed.
    host.type(f"sed -i s#IMAG[E]#{AGENT}# {CONFIG}/agents/my/compose.yaml")
    # What a container could leave in the project for Compose to read, were it started from there.
    host.write("src/app/compose.override.yaml", "services: {agent: {entrypoint: ['false']}}\n")
    host.write("src/app/.env", "COMPOSE_FILE=compose.override.yaml\n")
    line = page.take("docker compose -f")
    host.type(line, cwd=PROJECT)
    assert host.has_arrived("agent/compose", commit)
    down = line.partition(" run ")[0]
    host.type(f"{down} down && rm compose.override.yaml .env", cwd=PROJECT)


def follow_several(page: Page, host: GuideHost) -> None:
    """Two agents with projects of their own."""
    host.type("for name in web infra; do cp -a app $name; done", cwd=f"{HOME}/src")
    said = host.type(page.take("airlock agent add web"), answers=2 * _YES)
    assert [line.split()[0] for line in said.splitlines()[-2:]] == ["web", "infra"], said


def follow_module(page: Page, host: GuideHost) -> None:
    """A module for a tool of one's own: closed first, and then with an API."""
    host.type("airlock agent add my --workspace ~/src/app --command ssh --yes")
    deploy = 'echo "deployed by ${DEPLOY_TOKEN:-nobody}"'
    _write_programs(host, {"deploy": deploy, "pass": "echo $*"})
    host.write(f"{CONFIG}/config.toml", '[commands]\nenable = ["ssh", "deploy"]\n')
    profile = "~/.config/airlock/agents/my/airlock.toml"
    host.type(f"sed -i 's/^commands = .*/commands = [\"deploy\"]/' {profile}")
    module, closed = f"{CONFIG}/agents/my/commands/deploy.toml", page.read('[command]\nbin = "dep')
    host.write(module, closed)
    assert "allowed" in host.type(page.take("airlock check"))
    deploy = "airlock run my IMAGE deploy status"
    assert _read_last_line(host.type(deploy)) == "deployed by nobody"
    host.write(module, page.read("# With an API."))
    host.type("airlock reload")
    said = host.type(deploy)
    assert "deploy: this host's, in a box" in said
    assert re.fullmatch("deployed by dep_[A-Za-z0-9]{36}", _read_last_line(said))


def _read_last_line(screen: str) -> str:
    """The last line of a container, without what `run` puts a terminal right with after it."""
    return screen.removesuffix("\x1b\\\x1b(B\x0f\x1b[0m").splitlines()[-1].rstrip()


def _write_programs(host: GuideHost, programs: Mapping[str, str]) -> None:
    """Programs of the person's own, each a line of a shell."""
    for name, line in programs.items():
        host.write(f".local/bin/{name}", f"#!/bin/sh\n{line}\n")
        host.type(f"chmod +x ~/.local/bin/{name}")


def follow_proxy(page: Page, host: GuideHost) -> None:
    """What an editor writes into the unit reaches the daemon, and git knows the authority."""
    host.type("airlock agent add my --workspace ~/src/app --command git-remote --yes")
    host.write("drop-in", page.read("[Service]"))
    # It is called with the line to begin at, which is between two that say where text belongs.
    host.write("editor", f'sed -i "2r {HOME}/drop-in" "$2"\n')
    edit = page.take("systemctl --user edit airlock")
    host.type(f"export SYSTEMD_EDITOR='sh {HOME}/editor'\n{edit}")
    shown = host.type("systemctl --user show --property=Environment airlock")
    assert "https_proxy=http://proxy.example.com:3128" in shown, shown
    host.type("systemctl --user revert airlock")
    host.type(page.take("git config --global"))
    url = "https://forge.internal.example.com/team/app"
    found = host.type(f"git config --get-urlmatch http.sslCAInfo {url}")
    assert found == "/etc/ssl/certs/company.pem"
    host.type("git config --global --remove-section http.https://forge.internal.example.com")


def follow_operate(page: Page, host: GuideHost) -> None:
    """A day with the service."""
    host.type("airlock agent add my --workspace ~/src/app --command git --yes")
    host.type(page.take("airlock init"))
    host.type(page.take("airlock check"))
    told = host.try_typing(page.take("airlock test my git push origin main"), cwd=PROJECT)
    assert (told.exit_code, "allowed: refs/heads/agent/**" in told.stdout) == (1, True)
    host.type("airlock run my IMAGE git status")
    follow, *rest = page.take("airlock log tail --follow").splitlines()
    with host.begin(follow) as tail:
        tail.wait_for("git status")
        host.end(tail)
    host.type("\n".join(rest))
    host.write("src/app/.envrc", "true\n")
    try:
        look, accept = page.take("airlock scan my").splitlines()
        assert ".envrc:1: true" in host.try_typing(look).stdout
        host.type(accept)
        host.type(look)
    finally:
        host.type("rm ~/src/app/.envrc")


def follow_log(page: Page, host: GuideHost) -> None:
    """A log with a record, looked at in each way."""
    host.type("airlock agent add my --workspace ~/src/app --command git --yes")
    host.type("airlock run my IMAGE git status")
    for begins in ("$ airlock log tail", "$ airlock log stats"):
        host.type(page.take(begins).splitlines()[0].removeprefix("$ "))
    assert "whole" in host.type(page.take("$ airlock log verify").splitlines()[0][2:])
    host.type(page.take("airlock log tail -n 100000"))
    host.type(page.take("airlock log head | ssh notary"))
    host.type("git init --quiet --bare ~/witness && git clone --quiet ~/witness ~/heads")
    assert "whole" in host.type(page.take("airlock log head --to-git"))


def follow_upgrade(page: Page, host: GuideHost) -> None:
    """Files of v0.4 and its unit, migrated."""
    host.type("rm -r ~/.config/airlock && mkdir -p ~/.config/airlock/sockets ~/airlock-agents/web")
    host.write(f"{CONFIG}/config.toml", '[commands]\nenable = ["git"]\n')
    host.write("agents.toml", '[web]\npath = "airlock-agents/web"\n')
    host.write("airlock-agents/web/airlock.toml", 'commands = ["git"]\n')
    program = f"{HOME}/.local/bin/airlock-daemon"
    host.write(
        ".config/systemd/user/airlock.service",
        f"[Service]\nExecStart={program} start --agents agents.toml\nRestart=always\n",
    )
    host.type(page.take("systemctl --user stop airlock"), answers=_YES)
    assert "web" in host.type("airlock agent list")
    assert host.type("systemctl --user is-active airlock") == "active"


def follow_hooks(page: Page, host: GuideHost) -> None:
    """A hook is copied, and decides."""
    host.type("airlock agent add my --workspace ~/src/app --command git --yes")
    host.type(page.take("mkdir"), cwd=f"{HOME}/airlock/docs/hooks")


STORIES: Mapping[str, Callable[[Page, GuideHost], None]] = {
    "README.md": follow_readme,
    "docs/index.md": follow_index,
    "docs/start/any-image.md": follow_any_image,
    "docs/everyday/git.md": follow_worktrees,
    "docs/everyday/editors-and-ports.md": follow_editors,
    "docs/start/claude-code.md": follow_claude,
    "docs/start/codex.md": follow_codex,
    "docs/grants/git.md": follow_grant,
    "docs/grants/ssh.md": follow_grant,
    "docs/grants/docker.md": follow_grant,
    "docs/grants/google.md": follow_grant,
    "docs/grants/llm-keys.md": follow_grant,
    "docs/grants/gh.md": follow_github,
    "docs/everyday/approvals.md": follow_approvals,
    "docs/grants/signing.md": follow_signing,
    "docs/grants/npm-and-pypi.md": follow_registries,
    "docs/tool/any-api.md": follow_any_api,
    "docs/start/devcontainers.md": follow_devcontainers,
    "docs/start/compose.md": follow_compose,
    "docs/everyday/several-agents.md": follow_several,
    "docs/tool/write-a-module.md": follow_module,
    "docs/where/corporate-proxy.md": follow_proxy,
    "docs/operate.md": follow_operate,
    "docs/audit-log.md": follow_log,
    "docs/upgrade.md": follow_upgrade,
    "docs/hooks/README.md": follow_hooks,
}
"""The pages that have blocks to type."""
