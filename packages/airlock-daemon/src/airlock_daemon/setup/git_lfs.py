"""What has git-lfs transfer its objects by the shim: settings of git's, as variables."""


def lfs_variables(agent: str) -> dict[str, str]:
    """Variables that set what `airlock-shim --install-git` sets in an image (git-config(1)).

    `agent` is the path of the shim as git-lfs-agent, where git-lfs runs.
    """
    settings = (
        ("lfs.customtransfer.airlock.path", agent),
        ("lfs.standalonetransferagent", "airlock"),
        ("lfs.file:///.standalonetransferagent", "lfs-standalone-file"),
        ("lfs.sshtransfer", "never"),
        ("lfs.locksverify", "false"),
    )
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
