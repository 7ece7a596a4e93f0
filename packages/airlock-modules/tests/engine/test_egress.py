from typing import Any

import pytest

from airlock_modules.engine import DockerGrant, Egress, ImageConfig, Ownership, read_image_config
from airlock_modules.engine.container import read_container
from airlock_modules.engine.egress import hide_line, hide_words, lead_out, restore_words
from airlock_modules.engine.strict import encode

_EGRESS = Egress(
    directory="/srv/a", shim="/usr/lib/shim", environment={"HTTPS_PROXY": "p", "A": "1"}
)
_FIRST = ["/opt/airlock-shim", "--exec"]
_IMAGE = ImageConfig(entrypoint=("/entry",), command=("serve", "-x"), environment=("PATH=/bin",))
_OWN = Ownership("a", "0")


def _lead(body: dict[str, Any], image: ImageConfig = _IMAGE) -> dict[str, Any]:
    order = read_container(
        encode({"Image": "alpine", **body}), name="web", grant=DockerGrant(), ownership=_OWN
    )
    led: Any = order.lead_out(_EGRESS, image).body
    return led  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("body", "entrypoint", "command"),
    [
        ({}, ["/entry"], ["serve", "-x"]),
        ({"Cmd": None, "Entrypoint": None}, ["/entry"], ["serve", "-x"]),
        ({"Cmd": ["other"]}, ["/entry"], ["other"]),
        ({"Cmd": "other words"}, ["/entry"], ["other words"]),
        ({"Entrypoint": ["sh", "-c"]}, ["sh", "-c"], []),
        ({"Entrypoint": "sh", "Cmd": ["-c", "true"]}, ["sh"], ["-c", "true"]),
        ({"Entrypoint": [""], "Cmd": ["ls"]}, [], ["ls"]),
        ({"Entrypoint": []}, ["/entry"], ["serve", "-x"]),
    ],
)
def test_the_shim_executes_what_the_engine_would(
    body: dict[str, Any], entrypoint: list[str], command: list[str]
) -> None:
    """Entrypoint and command are those that an engine takes from client and image."""
    led = _lead(body)
    assert (led["Entrypoint"], led["Cmd"]) == ([*_FIRST, *entrypoint], command)
    assert hide_words(led["Entrypoint"]) == entrypoint
    words = [*entrypoint, *command]
    assert hide_line(" ".join([*led["Entrypoint"], *command])) == " ".join(words)
    made = restore_words(read_image_config({"Config": led}))
    assert made == {"Entrypoint": entrypoint or [""], "Cmd": command}


def test_variables_of_client_and_image_stay() -> None:
    """Also in another case; one without a value is one that the client takes away."""
    image = ImageConfig(command=("x",), environment=("https_proxy=corporate",))
    assert _lead({"Env": ["B=2"]}, image)["Env"] == ["B=2", "A=1"]
    assert _lead({"Env": ["a"]})["Env"] == ["a", "HTTPS_PROXY=p"]


def test_socket_and_shim_are_mounted_read_only() -> None:
    """Beside the client's own mounts."""
    mounts = _lead({"HostConfig": {"Binds": ["data:/d"]}})["HostConfig"]["Mounts"]
    found = [(each.get("Source"), each["Target"], each.get("ReadOnly")) for each in mounts[1:]]
    shim = ("/usr/lib/shim", "/opt/airlock-shim", True)
    assert found == [shim, ("/srv/a", "/run/airlock", True)]


def test_without_a_way_out_a_container_has_the_shim_alone() -> None:
    """Its command and variables are its own."""
    led: Any = lead_out({"Cmd": ["x"]}, Egress(shim="/usr/lib/shim"), _IMAGE)
    [mount] = led.pop("HostConfig")["Mounts"]
    assert (mount["Source"], led) == ("/usr/lib/shim", {"Cmd": ["x"]})


@pytest.mark.parametrize(
    "host",
    [
        {"NetworkMode": "none"},
        {"Tmpfs": {"/run/airlock": ""}},
        {"Binds": ["data:/opt/airlock-shim"]},
    ],
)
def test_a_container_that_has_no_use_for_it_stays_as_it_is(host: dict[str, Any]) -> None:
    """One without a network, or with something of its own at these paths."""
    led = _lead({"HostConfig": host, "Cmd": ["x"]})
    assert led["Cmd"] == ["x"]
    assert "Entrypoint" not in led


def test_without_a_command_the_engine_says_so() -> None:
    """The shim would say something else."""
    assert "Entrypoint" not in _lead({}, ImageConfig())


def test_an_image_is_read_as_the_engine_tells_of_it() -> None:
    """What is null there counts as empty."""
    config: dict[str, Any] = {
        "Entrypoint": None,
        "Cmd": ["x"],
        "Env": ["A=1"],
        "ExposedPorts": {"80/tcp": {}},
    }
    assert read_image_config({"Architecture": "arm64", "Config": config}) == ImageConfig(
        architecture="arm64", command=("x",), environment=("A=1",), exposed=("80/tcp",)
    )
    assert read_image_config({"Config": None}) == ImageConfig()


def test_words_of_others_are_not_hidden() -> None:
    """A container that executes something else is shown as it is."""
    assert hide_words(["/opt/airlock-shim", "--help"]) == ["/opt/airlock-shim", "--help"]
    assert hide_line("sh -c /opt/airlock-shim --exec") == "sh -c /opt/airlock-shim --exec"
