"""The same agent on hosts of each release, as far as that release could say it."""

from collections.abc import Callable, Mapping

from .hosts import Host

TOOL = '[command]\nbin = "echo"\n[deny]\nargs = ["--force", "destroy"]\n'
"""An override of a command that is no built-in, in the words of all releases."""
SHOW = '[command]\nbin = "printenv"\n[deny]\nargs = []\n[env]\nstrip = ["TOKEN"]\n'
BROKEN = '[command\nbin = "echo"\n'
HOOK = """\
#!/bin/sh
if grep -q forbidden; then echo '{"error":"not today"}'; exit 1; fi
"""
PROFILE = 'commands = ["tool", "show", "git"]\n[env]\nset = { TOKEN = "t", KEPT = "k" }\n'
ENABLED = '[commands]\nenable = ["tool", "show", "git"]\n'


def make_first(host: Host) -> None:
    """v0.1: all overrides and hooks are everybody's."""
    host.init("v0.1")
    _write_common(host)


def make_second(host: Host) -> None:
    """v0.2: profiles, and no ceiling."""
    host.init("v0.2")
    _write_common(host)
    host.write("profiles/web.toml", PROFILE)
    host.leave_socket("web")


def make_third(host: Host) -> None:
    """v0.3: the ceiling besides."""
    host.init("v0.3")
    _write_common(host)
    host.write("profiles/web.toml", PROFILE)
    host.leave_socket("web")
    host.write("config.toml", ENABLED)


def make_fourth(host: Host) -> None:
    """v0.4: an agent's directory, and a registration that the unit names."""
    host.init("v0.4", options=" --agents airlock/agents.toml")
    host.write("config.toml", ENABLED)
    host.write("~/airlock/agents.toml", '[web]\npath = "airlock/web"\n')
    host.write("~/airlock/web/airlock.toml", PROFILE)
    for name, text in (("tool", TOOL), ("show", SHOW), ("git", BROKEN)):
        host.write(f"~/airlock/web/commands/{name}.toml", text)
    host.write("~/airlock/web/commands/README", "notes\n")
    host.write("~/airlock/web/hooks/pre-exec", HOOK, mode=0o755)
    host.leave_socket("web")


def _write_common(host: Host) -> None:
    for name, text in (("tool", TOOL), ("show", SHOW), ("git", BROKEN)):
        host.write(f"commands/{name}.toml", text)
    host.write("commands/README", "notes\n")
    host.write("hooks/pre-exec", HOOK, mode=0o755)


MAKERS: Mapping[str, Callable[[Host], None]] = {
    "v0.1": make_first,
    "v0.2": make_second,
    "v0.3": make_third,
    "v0.4": make_fourth,
}
AGENTS: Mapping[str, str] = {"v0.1": "default", "v0.2": "web", "v0.3": "web", "v0.4": "web"}
