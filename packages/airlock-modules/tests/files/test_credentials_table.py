"""`[credentials]` of a module: what is read, and what is refused by name."""

import pytest

from airlock_modules import (
    Credentials,
    HostFile,
    HostVariable,
    Logins,
    Module,
    Printed,
    review_module,
)
from written_modules import faults_of, read_module

CLOSED = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'


def read(lines: str, *, before: str = CLOSED) -> Module:
    """Read a module with these lines of `[credentials]`."""
    return read_module(f"{before}[credentials]\n{lines}\n")


def test_files_and_variables_come_from_the_host_or_from_what_a_command_prints() -> None:
    """A path may be named by a variable of the daemon, and what has a ? at its end be absent."""
    module = read(
        """
        files."~/.kube/config" = ["kubectl", "config", "view", "--raw"]
        files."~/.aws/config" = "${AWS_CONFIG_FILE:-~/.aws/config}?"
        files."/run/docker.sock" = "/var/run/docker.sock"
        files."/etc/tool/key" = "${TOOL_KEY}"
        files."~/.docker/config.json" = { logins = "~/.docker/config.json", not_for = ["ps"] }
        env.GH_TOKEN = ["/usr/bin/gh", "auth", "token"]
        env.AWS_PROFILE = "AWS_PROFILE?"
        env.KEY = "MY_KEY"
        """
    )
    assert module.is_holding
    assert module.credentials == Credentials(
        files={
            "~/.kube/config": Printed(("kubectl", "config", "view", "--raw")),
            "~/.aws/config": HostFile("~/.aws/config", "AWS_CONFIG_FILE", is_optional=True),
            "/run/docker.sock": HostFile("/var/run/docker.sock"),
            "/etc/tool/key": HostFile("", "TOOL_KEY"),
            "~/.docker/config.json": Logins(HostFile("~/.docker/config.json"), ("ps",)),
        },
        env={
            "GH_TOKEN": Printed(("/usr/bin/gh", "auth", "token")),
            "AWS_PROFILE": HostVariable("AWS_PROFILE", is_optional=True),
            "KEY": HostVariable("MY_KEY"),
        },
    )


def test_a_module_without_any_holds_nothing() -> None:
    """An empty table says so; no table says nothing, which an override may mean otherwise."""
    assert (read("").credentials, read("").is_holding) == (Credentials(), False)
    plain = read_module(CLOSED)
    assert (plain.credentials, plain.is_holding) == (None, False)


def test_a_file_may_be_where_only_the_tool_is_told() -> None:
    """By a variable that names it, or the directory in which it is."""
    module = read(
        """
        files."${AWS_CONFIG_FILE}" = "~/.aws/config?"
        files."${DOCKER_CONFIG}/config.json" = "~/.docker/config.json"
        env.AWS_PROFILE = "AWS_PROFILE?"
        """
    )
    assert module.credentials is not None
    assert module.credentials.files == {
        "${AWS_CONFIG_FILE}": HostFile("~/.aws/config", is_optional=True),
        "${DOCKER_CONFIG}/config.json": HostFile("~/.docker/config.json"),
    }
    assert module.credentials.variables == ("AWS_PROFILE", "AWS_CONFIG_FILE", "DOCKER_CONFIG")


FILE, VARIABLE = "[credentials] files", "[credentials] env"
LOGINS = 'files."~/.x" = {{ logins = "~/.x", not_for = [{}] }}'


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("ssh_agent = true", "[credentials] ssh_agent: unknown key"),
        ('files."${A}/b/c" = "~/.x"', f'{FILE}."${{A}}/b/c": "${{A}}/b/c" is no plain path'),
        ('files."${A}/.." = "~/.x"', f'{FILE}."${{A}}/..": "${{A}}/.." is no plain path'),
        ('files."${A B}" = "~/.x"', f'{FILE}."${{A B}}": "${{A B}}" is no plain path'),
        ('files."~/.x" = 1', f'{FILE}."~/.x": must be a string, not an integer'),
        ('files."~/.x" = "x/y"', f'{FILE}."~/.x": "x/y" names no file of the host'),
        ('files."~/.x" = "~/../x"', f'{FILE}."~/.x": "~/../x" names no file'),
        ('files."~/.x" = "$HOME/x"', f'{FILE}."~/.x": "$HOME/x" names no file'),
        ('files."~/.x" = "?"', f'{FILE}."~/.x": "?" names no file'),
        ('files."~/.x" = "${A:-b}"', f'{FILE}."~/.x": "${{A:-b}}" names no file'),
        ('files."~/.x" = []', f'{FILE}."~/.x": its command is no program'),
        ('files."~/.x" = ["./x"]', f'{FILE}."~/.x": its command is no program'),
        ('files."~/.x" = ["a/x"]', f'{FILE}."~/.x": its command is no program'),
        ('files."~/.x" = [".."]', f'{FILE}."~/.x": its command is no program'),
        ('files."~/.x" = ["a", 1]', f'{FILE}."~/.x": item 2: must be a string'),
        ('files."~/.x" = {}', f'{FILE}."~/.x": it has no logins'),
        (LOGINS.format('""'), f'{FILE}."~/.x".not_for: "" is no subcommand'),
        (LOGINS.format('"-D"'), f'{FILE}."~/.x".not_for: "-D" is no subcommand'),
        ('files."x" = "~/.x"', f'{FILE}.x: "x" is no plain path of a box'),
        ('files."~" = "~/.x"', f'{FILE}."~": "~" is no plain path of a box'),
        ('files."/" = "~/.x"', f'{FILE}."/": "/" is no plain path of a box'),
        ('files."/usr/x" = "~/.x"', f'{FILE}."/usr/x": "/usr/x" is a place that a box has'),
        ('files."/etc" = "~/.x"', f'{FILE}."/etc": "/etc" is a place'),
        ('files."/etc/passwd" = "~/.x"', f'{FILE}."/etc/passwd": "/etc/passwd" is a place'),
        ('files."/proc/x" = "~/.x"', f'{FILE}."/proc/x": "/proc/x" is a place'),
        ('files."/run/airlock/0" = "~/.x"', f'{FILE}."/run/airlock/0": "/run/airlock/0" is a'),
        ('files."/home/airlock" = "~/.x"', f'{FILE}."/home/airlock": "/home/airlock" is a'),
        ('files."~/a/b" = "~/b"\nfiles."~/a" = "~/b"', f'{FILE}."~/a": one of these files lies'),
        ('env.A = "my secret"', f"{VARIABLE}.A: is not the name of a variable of the daemon's"),
        ('env.A = ["x/y"]', f"{VARIABLE}.A: its command is no program"),
        ('env."A=B" = "C"', f'{VARIABLE}."A=B": "A=B" is not the name'),
    ],
)
def test_what_cannot_be_fetched_or_put_anywhere_is_a_fault(lines: str, fault: str) -> None:
    """Each names the entry, and none shows what may be the secret itself."""
    (found,) = faults_of(f"{CLOSED}[credentials]\n{lines}\n")
    assert found.startswith(f"tool.toml: {fault}"), found
    assert "my secret" not in found


@pytest.mark.parametrize(
    ("env", "fault"),
    [
        ('forward = ["A*"]', "[env] forward lets the client choose it"),
        ('forward = ["ABC"]', "[env] forward lets the client choose it"),
        ('set = { ABC = "1" }', "[env] strip or set has it too"),
        ('strip = ["ABC"]', "[env] strip or set has it too"),
    ],
)
def test_a_variable_that_is_held_is_given_by_nothing_else(env: str, fault: str) -> None:
    """Least of all by the client, who would choose whom the tool is."""
    (found,) = faults_of(f'{CLOSED}[env]\n{env}\n[credentials]\nenv.ABC = "ABC"\n')
    assert fault in found


@pytest.mark.parametrize("box", ["home", "none"])
def test_only_a_closed_box_holds_credentials(box: str) -> None:
    """In the others there are all of the human's."""
    before = CLOSED.replace("closed", box)
    (found,) = faults_of(f'{before}[credentials]\nenv.A = "A"\n')
    assert "credentials: this table needs a closed box" in found


def test_forwarded_variables_that_steer_a_tool_matter_where_it_holds_something() -> None:
    """In a box that holds nothing there is nothing to gain by them."""
    forward = f'{CLOSED}[env]\nforward = ["LD_PRELOAD"]\n'
    assert list(review_module(read_module(forward))) == []
    (found,) = review_module(read('env.A = "A"', before=forward))
    assert found.problem.startswith("LD_PRELOAD lets in LD_*, which can choose programs")


def test_a_secret_among_the_settings_is_pointed_out() -> None:
    """By its name, and without its value."""
    settings = 'set = { GH_TOKEN = "hunter2", TOKENIZER = "x", MY_API_KEY = "", B = "c" }'
    found = [str(each) for each in review_module(read_module(f"{CLOSED}[env]\n{settings}\n"))]
    assert len(found) == 1
    assert "[env] set: the name of GH_TOKEN says that its value is a secret" in found[0]
    assert "hunter2" not in found[0]


def test_programs_of_a_box_that_holds_nothing_are_pointed_out() -> None:
    """They would promise what is not kept there."""
    (found,) = review_module(read_module(f'{CLOSED}programs = ["sh"]\n'))
    assert found.key == "sandbox.programs"


def test_keys_of_a_profile_of_aws_are_exported_for_its_two_files() -> None:
    """By a command; without the files there is no place for them."""
    files = """
        files."${AWS_CONFIG_FILE}" = "~/.aws/config?"
        files."${AWS_SHARED_CREDENTIALS_FILE}" = "~/.aws/credentials?"
    """
    export = 'aws_export = ["aws", "configure", "export-credentials"]'
    held = read(f"{export}\n{files}").credentials
    assert held is not None
    assert held.aws_export == Printed(("aws", "configure", "export-credentials"))
    (fault,) = faults_of(f"{CLOSED}[credentials]\n{export}\n")
    assert 'name "${AWS_CONFIG_FILE}" and "${AWS_SHARED_CREDENTIALS_FILE}" in files' in fault


def test_keys_of_aws_come_from_an_address_where_that_is_wanted() -> None:
    """Which needs a command, for profiles that have no keys of their own."""
    files = """
        files."${AWS_CONFIG_FILE}" = "~/.aws/config?"
        files."${AWS_SHARED_CREDENTIALS_FILE}" = "~/.aws/credentials?"
    """
    export = 'aws_export = ["aws", "configure", "export-credentials"]'
    held = read(f"aws_endpoint = true\n{export}\n{files}").credentials
    assert held is not None
    assert held.aws_endpoint
    held = read(f"{export}\n{files}").credentials
    assert held is not None
    assert not held.aws_endpoint
    (fault,) = faults_of(f"{CLOSED}[credentials]\naws_endpoint = true\n{files}\n")
    assert "name a command that prints them in aws_export" in fault
