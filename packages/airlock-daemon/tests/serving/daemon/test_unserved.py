"""An agent whose workspace has a fault is not served, and the others are."""

import json
import os
import shutil
from pathlib import Path

import pytest

from airlock_daemon.setup.state import State
from airlock_modules import Fault
from commanding import Done, airlock_daemon, reload, run
from running import Daemon, connect_to, read_answer, request
from worlds import World


@pytest.fixture
def app(world: World) -> Path:
    """The workspace of the agent `part`, beside `my`; `mono` has the directory above of it."""
    app = world.root / "src" / "app"
    app.mkdir(parents=True)
    world.add_agent("part")
    write(world, "part", app)
    return app


def write(world: World, name: str, path: Path) -> None:
    profile = world.agent.with_name(name) / "airlock.toml"
    profile.write_text(f'commands = []\n[workspace]\nsame_path = ["{path}"]\nhost = true\n')


def nest(world: World, app: Path) -> None:
    """Register the one who can replace it."""
    world.add_agent("mono")
    write(world, "mono", app.parent)


def replace_by_link(world: World, app: Path) -> None:
    """What a container does that can write the directory above."""
    secret = world.root / "secret"
    secret.mkdir()
    app.rename(app.with_name("old"))
    app.symlink_to(secret)


def replace_by_directory(world: World, app: Path) -> None:
    """The same without a link."""
    secret = world.root / "secret"
    secret.mkdir()
    app.rename(app.with_name("old"))
    secret.rename(app)


def remove(world: World, app: Path) -> None:
    shutil.rmtree(app)


ATTACKS = {
    "nested": (nest, "lies inside"),
    "link": (replace_by_link, "is a symbolic link"),
    "directory": (replace_by_directory, "has become another directory"),
    "missing": (remove, "is no directory"),
}
each_attack = pytest.mark.parametrize("attack", ATTACKS)


def serves(world: World, name: str) -> bool:
    """Whether the agent has a socket on which somebody answers."""
    try:
        connection = connect_to(Path(world.locations.sockets_dir) / name / "airlock.sock")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    with connection:
        connection.sendall(request("sh", "-c", "echo ran"))
        return read_answer(connection).text() == "ran\n"


@each_attack
def test_at_a_reload_its_socket_goes(world: World, app: Path, attack: str) -> None:
    """The reload says why, and so does its record; the others are served as before."""
    make, said = ATTACKS[attack]
    with Daemon(world) as daemon:
        assert serves(world, "part")
        make(world, app)
        done = reload(world, status=1)
        assert "removed: part\n" in done.stdout
        assert "airlock: agent part is not served: " in done.stderr
        assert said in done.stderr
        assert not serves(world, "part")
        assert serves(world, "my")
        (record,) = daemon.records("reload")
        assert record["outcome"] == "allowed"
        assert record["detail"] == "removed part; not served part" or attack == "nested"
        assert "not served part" in record["detail"]
        assert str(record["reason"]).count("airlock.toml")


@pytest.mark.parametrize("attack", ["link", "directory"])
def test_at_a_restart_it_has_no_socket(world: World, app: Path, attack: str) -> None:
    """What was noted before the restart counts."""
    make, said = ATTACKS[attack]
    with Daemon(world) as daemon:
        assert daemon.stop() == 0
    make(world, app)
    with Daemon(world) as daemon:
        assert not serves(world, "part")
        assert serves(world, "my")
        assert "agent part is not served: " in daemon.messages()
        assert said in daemon.messages()


@pytest.mark.parametrize("attack", ["nested", "missing"])
def test_every_command_says_why(world: World, app: Path, attack: str) -> None:
    """check fails and names it; run and test refuse; the lists tell it beside the others."""
    make, said = ATTACKS[attack]
    with Daemon(world) as daemon:
        assert daemon.stop() == 0
    make(world, app)
    done = run(world, "check", status=1)
    assert "fault: workspace: " in done.stdout
    assert said in done.stdout
    checked = json.loads(run(world, "--json", "check", status=1).stdout)
    assert checked["unserved"] == ["part"]
    assert "my" in checked["agents"]
    for words in ("run --print part image", "test part sh"):
        assert said in run(world, *words.split(), status=1).stderr
    for words in ("profile list", "agent list"):
        listed = run(world, *words.split())
        assert said in listed.stderr
        assert "my\t" in listed.stdout


@each_attack
def test_put_right_it_is_served_again(world: World, app: Path, attack: str) -> None:
    """Without a restart."""
    make, _ = ATTACKS[attack]
    with Daemon(world):
        make(world, app)
        reload(world, status=1)
        if attack == "nested":
            shutil.rmtree(world.agent.with_name("mono"))
            text = world.agents_file.read_text()
            world.agents_file.write_text(text[text.index("[part]") :])
        elif attack == "missing":
            app.mkdir()
            trust(world)
        else:
            os.rename(app, world.root / "evil")
            app.with_name("old").rename(app)
        reload(world)
        assert serves(world, "part")


def trust(world: World, *words: str, status: int = 0) -> Done:
    options = ("--config", str(world.config), "agent", "trust", *words, "part")
    return airlock_daemon(*options, *(() if status else ("--yes",)), status=status)


def test_a_person_accepts_a_new_directory(world: World, app: Path) -> None:
    """It shows both and asks; the running daemon serves the agent from then on."""
    old = app.stat().st_ino
    with Daemon(world):
        replace_by_directory(world, app)
        reload(world, status=1)
        done = trust(world, status=1)
        assert f"{app}: inode {app.stat().st_ino} on device" in done.stdout
        assert f"it was inode {old} on device" in done.stdout
        assert not serves(world, "part")
        assert "the running daemon has reloaded" in trust(world).stdout
        assert serves(world, "part")


def test_what_cannot_be_noted_on_disk_is_noted_in_memory(world: World, app: Path) -> None:
    """A warning says so; a reload compares all the same."""
    world.write_config('[daemon]\nstate = "/proc/airlock"\n')
    with Daemon(world) as daemon:
        assert "warning: " in daemon.messages()
        assert "until this daemon ends" in daemon.messages()
        replace_by_directory(world, app)
        assert "has become another directory" in reload(world, status=1).stderr
        assert not serves(world, "part")


def test_the_state_is_private_and_no_workspace(world: World, app: Path) -> None:
    """Who could write it could say which directory was noted."""
    with Daemon(world) as daemon:
        assert daemon.stop() == 0
    state = world.config / "state"
    file = state / "workspaces.json"
    assert state.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    (noted,) = json.loads(file.read_text())[str(world.agent.with_name("part"))].items()
    assert noted[0] == str(app)
    assert noted[1]["inode"] == app.stat().st_ino
    file.chmod(0o666)
    said = run(world, "check", status=1).stdout
    assert "state/workspaces.json: is writable for everybody" in said
    file.chmod(0o600)
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    world.write_config(f'[daemon]\nstate = "{elsewhere}"\n')
    write(world, "part", elsewhere)
    assert f"it contains the state ({elsewhere})" in run(world, "check", status=1).stdout


def test_removing_an_agent_forgets_its_workspaces(world: World, app: Path) -> None:
    """Registered anew, what is there then is noted."""
    with Daemon(world) as daemon:
        assert daemon.stop() == 0
    run(world, "agent", "remove", "part", "--yes")
    noted = json.loads((world.config / "state" / "workspaces.json").read_text())
    assert str(world.agent.with_name("part")) not in noted
    replace_by_directory(world, app)
    run(world, "agent", "add", "part", "--yes", "--workspace", str(app))
    assert "part" in world.load().generations


def test_after_a_reboot_a_device_may_have_another_number(world: World, app: Path) -> None:
    """The inode may not; without a reboot neither."""
    with Daemon(world) as daemon:
        assert daemon.stop() == 0
    file = world.config / "state" / "workspaces.json"
    key = str(world.agent.with_name("part"))

    def note(**changed: object) -> bool:
        notes = json.loads(file.read_text())
        notes[key][str(app)] |= changed
        file.write_text(json.dumps(notes))
        return "part" in world.load().generations

    boot = json.loads(file.read_text())[key][str(app)]["boot"]
    assert not note(device=1)
    assert note(boot="another")
    with Daemon(world) as daemon:
        assert serves(world, "part")
        assert daemon.stop() == 0
    noted = json.loads(file.read_text())[key][str(app)]
    assert (noted["device"], noted["boot"]) == (app.stat().st_dev, boot)
    assert not note(inode=1, boot="another")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_state_directory_of_another_user_is_none(world: World, app: Path) -> None:
    """As in an image that runs as some other user: nothing is read there, and a warning says so."""
    state = State(str(world.root / "theirs"))
    notes = world.load().noted
    state.write_notes(notes)
    os.chown(state.directory, 4712, 4712)
    for path in (world.root, *world.root.parents[:2]):
        path.chmod(0o755)
    pid = os.fork()
    if not pid:
        os.setuid(4711)
        faults: list[Fault] = []
        is_none = state.read_notes(faults=faults) == {} and not faults
        warning = state.write_notes(notes)
        os._exit(not (is_none and warning is not None))
    assert os.waitpid(pid, 0)[1] == 0
