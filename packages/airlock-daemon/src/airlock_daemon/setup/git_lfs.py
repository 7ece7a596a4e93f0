"""What has git-lfs transfer its objects by the shim: settings of git's."""

BOX_AGENT = "/run/airlock/git-lfs-agent"
"""The path of the shim as git-lfs-agent in a box."""

# As `git lfs install` sets them.
_FILTERS = """[filter "lfs"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
\trequired = true
"""


def lfs_variables(agent: str) -> dict[str, str]:
    """Variables that set what `airlock-shim --install-git` sets in an image (git-config(1)).

    `agent` is the path of the shim as git-lfs-agent, where git-lfs runs.
    """
    settings = _list_settings(agent)
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (section, name, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = f"{section}.{name}"
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def lfs_config(*, has_filters: bool) -> bytes:
    """The same as the text of a configuration for git in a box, where the host's git-lfs may be."""
    text = _FILTERS if has_filters else ""
    for section, name, value in _list_settings(BOX_AGENT):
        first, _, rest = section.partition(".")
        text += f'[{first} "{rest}"]\n' if rest else f"[{first}]\n"
        text += f"\t{name} = {value}\n"
    return text.encode()


def _list_settings(agent: str) -> tuple[tuple[str, str, str], ...]:
    """Sections, names and values."""
    return (
        ("lfs.customtransfer.airlock", "path", agent),
        ("lfs", "standalonetransferagent", "airlock"),
        # A repository on this machine needs no daemon.
        ("lfs.file:///", "standalonetransferagent", "lfs-standalone-file"),
        # What the agent does not do: git-lfs would look for a server by itself.
        ("lfs", "sshtransfer", "never"),
        ("lfs", "locksverify", "false"),
    )
