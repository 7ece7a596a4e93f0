"""Counting the code that has to be trusted."""

from pathlib import Path

from tasks.trusted import (
    GRANTS,
    count_lines,
    find_loaded,
    find_sources,
    name_floor,
    read_budgets,
)

# By the beginnings of their names: what only other grants, boxes and hooks need.
NOT_GRANTED = (
    *("airlock_modules/reading/grammar", "airlock_modules/rules/grammar_rules"),
    *("airlock_modules/reading/option_table", "airlock_modules/reading/description"),
    *("airlock_modules/files/review", "airlock_modules/files/sandbox_table"),
    *("airlock_modules/remotes/session_words", "airlock_modules/remotes/ssh_words"),
    *("airlock_modules/remotes/signing", "airlock_modules/files/sign_table"),
    *("airlock_modules/apis/", "airlock_modules/remotes/lfs", "airlock_wire/client"),
    *("airlock_daemon/admin/toml_edit", "airlock_daemon/setup/human_git"),
    *("airlock_daemon/setup/stored", "airlock_daemon/setup/client"),
    *("airlock_daemon/setup/api", "airlock_daemon/setup/bridge", "airlock_daemon/admin/change"),
    *("airlock_daemon/setup/command_findings", "airlock_daemon/setup/profile_findings"),
    *("airlock_daemon/setup/checking", "airlock_daemon/admin/migrate/layout"),
    *("airlock_modules/reading/parsed", "airlock_modules/rules/glob"),
    *("airlock_modules/remotes/hosts", "airlock_modules/files/ssh_table"),
    *(
        f"airlock_daemon/{name}"
        for name in (
            *("boundary/brokers/https/", "boundary/brokers/docker/", "boundary/brokers/egress/"),
            *("boundary/brokers/ssh/", "boundary/brokers/git/lfs", "boundary/command/stdio"),
            *(
                "boundary/box/box",
                "boundary/box/plan",
                "boundary/box/launch",
                "boundary/box/prewarmed",
            ),
            *(
                "boundary/workspace/directory",
                "boundary/workspace/mapping",
                "boundary/identity/engine",
            ),
            *("serving/daemon/https", "serving/request/tool", "serving/request/boxed"),
            *("serving/request/relay", "setup/trusted_command", "setup/answering"),
            *("boundary/approval/", "serving/request/approvals", "serving/daemon/control"),
            *("serving/request/hooks", "serving/request/post_exec", "serving/request/ssh_broker"),
            *("boundary/brokers/sign/", "serving/request/sign_broker"),
        )
    ),
)


def test_a_file_counts_for_its_floor() -> None:
    """The floor is the daemon's folder; what is in none belongs to the platform."""
    assert name_floor("/x/src/airlock_daemon/boundary/brokers/git/rules.py") == "boundary"
    assert name_floor("/x/src/airlock_daemon/errors.py") == "platform"
    assert name_floor("/x/src/airlock_wire/text.py") == "airlock_wire"


def test_a_program_in_zig_is_what_it_imports(tmp_path: Path) -> None:
    """Sources are followed from file to file, once each; tests beside them are not among them."""
    main, part, inner = (tmp_path / name for name in ("main.zig", "part.zig", "inner/deep.zig"))
    inner.parent.mkdir()
    main.write_text('const std = @import("std");\nconst part = @import("part.zig");\n')
    part.write_text('const deep = @import("inner/deep.zig").deep;\n')
    inner.write_text('const part = @import("../part.zig");\n')
    (tmp_path / "tests.zig").write_text('test { _ = @import("part.zig"); }\n')
    assert find_sources(main) == {main, part, inner}


def test_there_is_a_budget_for_each_grant() -> None:
    """A push alone never needs more than everything does."""
    budgets = read_budgets()
    assert set(budgets) == {*GRANTS, "all"}
    assert budgets["git"] <= budgets["all"]


def test_a_push_loads_its_broker_and_not_that_of_apis() -> None:
    """What is loaded is what a daemon really used, within its budget."""
    files = find_loaded(["git"])
    rooms = {path.rpartition("/src/")[2] for path in files}
    assert "airlock_daemon/boundary/brokers/git/smart_http.py" in rooms
    loaded = [path for path in rooms for name in NOT_GRANTED if path.startswith(name)]
    assert loaded == []
    assert count_lines(files).total() <= read_budgets()["git"]
