"""A linked worktree of git as the workspace of an agent."""

from pathlib import Path

from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.person import newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage

from .errands.git import GitOverSsh

WORK = """
git commit --quiet --allow-empty --message=one
git push --quiet origin HEAD:agent/tree
git worktree add --quiet inner -b inner
cd inner
git commit --quiet --allow-empty --message=two
git push --quiet origin HEAD:agent/inner
! git push origin HEAD:main
"""


def test_the_git_of_a_container_works_in_it(
    user_stage: Stage,
    git_ssh_errand: GitOverSsh,
    executables: Executables,
    images: Images,
    ground: Path,
) -> None:
    """It commits, pushes where the main repository does, and makes more worktrees inside."""
    account = user_stage.account
    tree = account.make_directory(ground / "linked-tree")
    repository = user_stage.server.make_repository("worktrees")
    project = Project.make(account, ground / "linked-main", repository)
    project.git("worktree", "add", "--quiet", str(tree), "-b", "tree").succeeded()
    main = repository.commit("main")
    with newcomer(account, executables) as person:
        add = "airlock-daemon agent add my --workspace . --command git-remote --yes"
        said = person.run(add, cwd=tree)
        assert f"{tree} is a linked worktree: {project.path}/.git is a workspace too" in said
        with person.start(said=ground / "linked.log"):
            refused = person.run(
                f"airlock-daemon run my {images.debian} sh -euc '{WORK}' 2>&1", cwd=tree
            )
    assert "allowed: refs/heads/agent/**" in refused
    # The human's own git sees what was made there.
    for branch in ("tree", "inner"):
        tip = project.git("rev-parse", branch).succeeded().stdout
        assert repository.commit(f"agent/{branch}") == tip
    assert repository.commit("main") == main
