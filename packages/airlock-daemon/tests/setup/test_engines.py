from airlock_daemon.setup.engines import cover
from airlock_modules.engine import DockerGrant, Root


def test_what_a_client_sees_otherwise_is_covered() -> None:
    """Mount points below a workspace are noted with it; the workspace itself, and others', not."""
    root = Root(inner="/work", outer="/home/u/work", user="1000:1000", covered=("/work/hidden",))
    other = Root(inner="/works", outer="/home/u/works", user="1000:1000")
    points = ("/", "/work", "/work/.git/hooks", "/works", "/proc")
    first, second = cover(DockerGrant(roots=(root, other)), points).roots
    assert first.covered == ("/work/hidden", "/work/.git/hooks")
    assert second.covered == ()
