import pytest

from airlock_modules import select_forwarded
from airlock_modules.files.review import find_steering


def test_only_what_an_entry_names_is_taken() -> None:
    """By its name, or by the beginning before a star, which may be all of it."""
    sent = {"A": "1", "AB": "2", "X_": "3", "X_1": "4", "x_1": "5", "": "6", "*": "7", "X": "8"}
    assert select_forwarded(sent, ["A", "X_*"]) == {"A": "1", "X_": "3", "X_1": "4"}
    assert select_forwarded(sent, []) == {}


@pytest.mark.parametrize("value", ["C", "de_DE.UTF-8", "POSIX", "ca_ES@valencia", ""])
@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LC_TIME", "LANGUAGE"])
def test_a_locale_is_taken_by_its_name(name: str, value: str) -> None:
    """Scripts choose one in order to read what a tool says."""
    assert select_forwarded({name: value}, ["LANG*", "LC_*"]) == {name: value}


@pytest.mark.parametrize("value", ["/workspace/locale", "../x", "a/b", "C\nx", "%n", "C "])
@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"])
def test_a_locale_that_is_a_file_is_not_taken(name: str, value: str) -> None:
    """The C library would load it from the workspace, and print by its templates."""
    assert select_forwarded({name: value}, ["LANG*", "LC_*"]) == {}


@pytest.mark.parametrize(
    "value", ["UTC", "Europe/Vienna", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "Etc/GMT+5", ""]
)
def test_a_time_zone_is_taken_by_its_name_or_rule(value: str) -> None:
    """All forms but those that are paths."""
    assert select_forwarded({"TZ": value}, ["TZ"]) == {"TZ": value}


@pytest.mark.parametrize(
    "value", ["/workspace/zone", ":/workspace/zone", ":UTC", "../../x", "a/../b"]
)
def test_a_time_zone_that_is_a_file_is_not_taken(value: str) -> None:
    """It could be made by the client, or be a device."""
    assert select_forwarded({"TZ": value}, ["TZ"]) == {}


def test_other_values_are_taken_as_they_are() -> None:
    """Paths, shell text and bytes that are no text are the tool's business."""
    sent = {"X": "/a ~ $(b) \udcff\n"}
    assert select_forwarded(sent, ["X"]) == sent


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PATH", "HOME", "IFS", "ENV"),
        *("BASH_ENV", "BASH_FUNC_x", "PS4", "PYTHONPATH", "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT"),
        *("NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "PAGER", "MANPAGER", "LESSOPEN", "EDITOR", "VISUAL"),
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_EXEC_PATH"),
        *("GIT_DIR", "GIT_ASKPASS", "GIT_EDITOR", "SSH_ASKPASS", "SSH_AUTH_SOCK", "https_proxy"),
        *("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "DOCKER_HOST", "TF_CLI_ARGS_plan"),
        *(
            "TF_CLI_CONFIG_FILE",
            "TF_LOG",
            "KUBECONFIG",
            "SSLKEYLOGFILE",
            "GCONV_PATH",
            "OTHER_PAGER",
        ),
    ],
)
def test_what_steers_a_tool_is_found(name: str) -> None:
    """By its name, and by a beginning of it with a star."""
    assert [entry for entry, _ in find_steering([name])] == [name]
    if not name.startswith("OTHER"):
        assert [entry for entry, _ in find_steering([f"{name[:3]}*"])] == [f"{name[:3]}*"]


@pytest.mark.parametrize(
    "entry", ["LANG", "LC_*", "TZ", "GIT_AUTHOR_*", "AWS_REGION", "TF_VAR_*", "NO_COLOR", "TERM"]
)
def test_what_is_harmless_is_not_found(entry: str) -> None:
    """A finding about everything would be read by nobody."""
    assert list(find_steering([entry])) == []


def test_what_never_gets_in_is_not_found() -> None:
    """A beginning may be wide where strip or set take out what steers."""
    assert list(find_steering(["GIT_DI*"], overruled=["GIT_DIR"])) == []
    assert list(find_steering(["GIT_DI*"])) == [("GIT_DI*", "GIT_DIR")]
