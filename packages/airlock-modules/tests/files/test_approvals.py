"""Tests of `airlock_modules.files.approvals`: which operations a pattern asks about."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from airlock_modules.apis import Api, ApiCall, aws
from airlock_modules.files import approvals
from airlock_modules.files.approvals import (
    ApprovalRules,
    MaybeValue,
    list_tool_forms,
    name_place,
    parse_operation,
    read_approvals,
)
from airlock_modules.files.module_file import load_builtin
from airlock_modules.files.toml_reader import Fault, TableReader
from airlock_wire import quote


def read(text: str) -> tuple[ApprovalRules | None, list[str]]:
    faults: list[Fault] = []
    table = TableReader.parse(text, source="airlock.toml", faults=faults)
    assert table is not None
    return read_approvals(table), [str(fault) for fault in faults]


def rules_of(pattern: str) -> ApprovalRules:
    rules, faults = read(f"require = ['{pattern}']")
    assert not faults
    assert rules is not None
    return rules


@pytest.mark.parametrize(
    ("pattern", "operation"),
    [
        (
            "git push * refs/heads/release/**",
            "git push github.com/acme/app refs/heads/release/1/x 1111111..2222222",
        ),
        ("git push * refs/heads/release/**", "git push h/a refs/heads/release 1..2"),
        ("git push * refs/heads/main", "git push h/a refs/heads/MAIN 1..2"),
        ("git push github.com/acme/*", "git push github.com/acme/app refs/heads/x 1..2"),
        ("gh PUT /repos/*/*/pulls/*/merge", "gh PUT /repos/acme/app/pulls/3/merge"),
        ("gh PUT /repos/*/*/pulls/*/merge", "gh PUT /repos/acme/app//pulls/3/Merge/"),
        ("gh PUT /repos/*/*/pulls/*/merge", "gh PUT /repos/acme/app/pulls/3/%6derge"),
        ("gh * /repos/acme/**", "gh DELETE /repos/acme"),
        ("aws *:Delete*", "aws s3:DeleteObject eu-west-1 my-bucket/key"),
        ("sign *", 'sign git commit 1234abc "subject"'),
        ("sign **", "sign"),
        ("ssh *@prod-*", "ssh deploy@prod-1 uptime"),
        ('ssh * "rm **"', 'ssh build "rm -rf /srv/app"'),
        ("ssh ** systemctl restart", 'ssh prod "systemctl restart app"'),
        ("ssh prod systemctl restart", 'ssh prod "systemctl  restart app"'),
        ('ssh prod "systemctl restart"', 'ssh prod "systemctl restart app"'),
        ('ssh prod "systemctl * app"', 'ssh prod "systemctl restart app"'),
        ("ssh prod * restart app", 'ssh prod "systemctl restart app"'),
        ('ssh prod "**rm -rf**"', 'ssh prod "cd /srv && rm -rf app"'),
        ('ssh prod "reboot **"', "ssh prod reboot"),
        ('ssh prod "reboot **"', 'ssh prod "reboot now"'),
        ("ssh prod -s a", 'ssh prod -s "a b"'),
        ("* prod reboot", 'ssh prod "reboot now"'),
        ('run sh * "rm **"', "run sh -c rm"),
        ("run terraform apply", "run terraform apply plan.out"),
        ("run terraform ** apply", "run terraform -chdir=x -no-color apply"),
        ("run terraform ** apply", "run terraform apply"),
        ("*", "git fetch github.com/acme/app"),
        ("**", "run true"),
        ("** apply", "run terraform apply"),
    ],
)
def test_a_pattern_matches_what_begins_with_it(pattern: str, operation: str) -> None:
    """Also in another spelling of the same ref or path."""
    assert rules_of(pattern).find([parse_operation(operation).words]) == pattern


@pytest.mark.parametrize("rest", [("x",) * 10_000, ("/a" * 2_000_000,)])
def test_what_is_too_long_to_compare_is_asked_about(
    rest: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless another pattern cannot match: agents wait for the thread that compares."""
    folded = 0

    def fold(word: str) -> frozenset[str]:
        nonlocal folded
        folded += len(word)
        return frozenset({word})

    monkeypatch.setattr(approvals, "_fold", fold)
    operation = ("run", "terraform", *rest)
    assert rules_of("run terraform ** apply").find([operation]) == "run terraform ** apply"
    assert rules_of("run tofu ** apply").find([operation]) is None
    assert folded < 1 << 12
    # The words of a command of ssh are not all made, either.
    assert len(approvals._split_words(("a " * 2000, "b"))) == 501


@pytest.mark.parametrize(
    ("pattern", "operation"),
    [
        ("git push * refs/heads/release/**", "git push h/a refs/heads/release-2 1..2"),
        ("git push * refs/heads/*", "git push h/a refs/heads/x/y 1..2"),
        ("git push *", "git fetch github.com/acme/app"),
        ("gh PUT /repos/*/*/pulls/*/merge", "gh PUT /repos/acme/app/pulls/3/x/merge"),
        ("aws *:Delete*", "aws s3:PutObject eu-west-1 my-bucket/Delete"),
        ("run terraform apply", "run terraform plan apply"),
        ("run terraform ** apply now", "run terraform now apply"),
        ("ssh build uptime", "ssh build"),
        ("ssh build systemctl restart", 'ssh build "systemctl status restart"'),
        ('ssh prod "reboot **"', "ssh prod rebooted"),
        ('ssh prod ""', "ssh prod"),
        ('ssh prod " "', "ssh prod uptime"),
        ('run sh * "rm **"', "run sh -c rmdir"),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, operation: str) -> None:
    """`*` crosses no slash, and every word of the pattern has to be there."""
    assert rules_of(pattern).find([parse_operation(operation).words]) is None


@pytest.mark.parametrize(
    ("pattern", "place", "is_asked"),
    [
        ("git push git@h.example/acme/app", (None, "h.example", None, "/acme/app"), True),
        ("git push git@h.example/acme/*", ("git", "h.example", None, "/acme/app"), True),
        ("git push git@h.example/acme/app", ("other", "h.example", None, "/acme/app"), False),
        ("git push h.example/acme/app", ("git", "h.example", 2222, "/acme/app"), True),
        ("git push h.example:2222/acme/app", (None, "h.example", None, "/acme/app"), True),
        ("git push h.example:2222/acme/app", (None, "h.example", 443, "/acme/app"), False),
        ("ssh deploy@prod", (None, "prod", None), True),
        ("ssh deploy@prod", ("deploy", "prod", 22), True),
        ("ssh deploy@prod", ("root", "prod", None), False),
        ("ssh prod:2222", ("deploy", "prod", 2222), True),
        ("ssh prod:2222", ("deploy", "prod", None), True),
        ("ssh prod:2222", ("deploy", "prod", 22), False),
        ("ssh deploy@prod:2222", (None, "prod", 2222), True),
        ('ssh "deploy@[2001:db8::1]:22"', (None, "[2001:db8::1]", None), True),
        ("* deploy@prod", (None, "prod", None), True),
        ("ssh *@prod", ("root", "prod", 22), True),
        ("ssh prod", ("root", "prod", 22), True),
        ("ssh prod", (None, "other", None), False),
    ],
)
def test_a_user_or_port_is_also_that_of_a_request_without(
    pattern: str, place: tuple[Any, ...], *, is_asked: bool
) -> None:
    """Else https, or what ssh's configuration says, would be a way around the question."""
    begin = ("git", "push") if len(place) > 3 else ("ssh",)
    forms = [(*begin, name) for name in name_place(*place)]
    assert (rules_of(pattern).find(forms) is not None) is is_asked


@pytest.mark.parametrize(
    "place",
    [
        *("h.example/acme/app.git", "h.example/acme/app/", "h.example/acme/app.git/"),
        *("git@h.example/acme/*.git", "h.example//acme/app", "h.example/**/", "h.example/acme/app"),
        *("*.example/acme/app", "*/acme/app", "**/app", "h.example**"),
    ],
)
def test_a_repository_is_written_as_in_git(place: str) -> None:
    """`.git` and slashes at its end are no part of its name there, nor here."""
    names = name_place("git", "h.example", None, "/acme/app")
    for verb, rest in (("push", "refs/heads/x"), ("*", "refs/heads/x"), ("fetch", "")):
        rules = rules_of(f"git {verb} {place} {rest}".rstrip())
        assert rules.find([("git", verb, name, rest) for name in names])
    pattern = f"git lfs upload {place}"
    assert rules_of(pattern).find([("git", "lfs", "upload", name) for name in names])


@pytest.mark.parametrize(
    ("pattern", "right"),
    [
        ("git push https://github.com/acme/app", "git push github.com/acme/app"),
        ("git push HTTPS://u:p@github.com/acme/app.git/", "git push u@github.com/acme/app"),
        ("git push ssh://git@github.com:2222/acme/*", "git push git@github.com:2222/acme/*"),
        ("git push git@github.com:acme/app.git", "git push git@github.com/acme/app"),
        ('git push "[2001:db8::1]:acme/app"', 'git push "[2001:db8::1]/acme/app"'),
        ("git * github.com:acme/app", "git * github.com/acme/app"),
        ("git lfs upload https://h.example/a", "git lfs upload h.example/a"),
        ("git push github.com refs/heads/main", "git push github.com/** refs/heads/main"),
        ("git push origin refs/heads/main", "git push * refs/heads/main"),
        ("git push * main", "git push * refs/heads/main"),
        ("git push * tags/v*", "git push * refs/tags/v*"),
        ("git push h.example/a +HEAD:refs/heads/x", "git push h.example/a refs/heads/x"),
        ("git push * *main", "git push * refs/heads/*main"),
        ("git fetch h.example/a refs/heads/x", "git fetch h.example/a"),
        ("git clone h.example/a.git", "git fetch h.example/a"),
        ("git push ** main", "git push ** refs/heads/main"),
        ("git push h.example/a ** v1", "git push h.example/a ** refs/heads/v1"),
        ("git fetch ** main", "git fetch"),
        ("ssh ssh://me@prod:2222/", "ssh me@prod:2222"),
        ("ssh prod/path reboot", "ssh prod reboot"),
        ("ssh prod:/path reboot", "ssh prod reboot"),
    ],
)
def test_a_pattern_that_matches_nothing_is_a_fault(pattern: str, right: str) -> None:
    """Its remedy is the spelling that does."""
    rules, faults = read(f"require = ['{pattern}']")
    assert rules is None
    assert len(faults) == 1
    assert f"would match nothing that {pattern[:3]} does" in faults[0]
    assert f"write it like {quote(right, limit=None)}: " in faults[0]
    assert rules_of(right).require


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "git",
            "git push",
            "git *",
            "git * * refs/heads/x",
            "git push * */heads/x",
            "git push **",
        ),
        *(
            "git push ** h/a",
            "git push ** a*",
            "git ** refs/heads/x",
            "git push * **main",
            "git push h:22/a",
        ),
        *("git push * REFS/heads/main", "git lfs", "git lfs upload * 0123 9", "git push h:/a"),
        *('git push "[2001:db8::1]/a" refs/**', 'git push "[::1]:22/a"', "git POST /x main", "* x"),
        *("git fetch ** h/a", "** main", "git ** main", "git push ** **main", "git push ** /x"),
        *("ssh", "ssh * reboot", "ssh ** a b", "ssh prod -s sftp", "ssh prod * a", "ssh prod/**"),
        *("ssh * * * *", "ssh **", "ssh prod -s sftp *", "ssh ** prod -s sftp", "ssh prod ** a"),
    ],
)
def test_other_patterns_are_taken(pattern: str) -> None:
    """They match what somebody may do, or are of neither git nor ssh."""
    assert rules_of(pattern).require


def test_one_matching_form_is_enough() -> None:
    """A push of several refs is asked about for any of them."""
    forms = [("git", "push", "h/a", f"refs/heads/{name}") for name in ("x", "release/1")]
    assert rules_of("git push * refs/heads/release/**").find(forms) is not None
    assert rules_of("git push * refs/heads/other").find(forms) is None


@pytest.mark.parametrize(
    ("pattern", "may"),
    [
        ("git push * refs/heads/release/**", True),
        ("git push h/a", True),
        ("git", True),
        ("** refs/heads/x", True),
        ("git push h/b refs/heads/x", False),
        ("git fetch", False),
        ("gh POST", False),
    ],
)
def test_a_beginning_says_whether_a_pattern_may_match(pattern: str, *, may: bool) -> None:
    """Before the refs of a push are known."""
    assert rules_of(pattern).may_find([("git", "push", "h/a")]) is may


def test_without_the_table_nothing_is_asked() -> None:
    """An empty table is no fault."""
    rules, faults = read("")
    assert not faults
    assert rules is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('require = ["git  push"]', "is no pattern"),
        ("require = ['git \"push']", "is no pattern"),
        ('require = ["git push ***"]', "has ***"),
        ('require = [""]', "is no pattern"),
        ('require = ["connect *"]', "cannot be asked"),
        ("wait_s = 60", "nothing would be asked"),
        ('require = ["*"]\nwait_s = 5', "wait_s"),
        ('require = ["*"]\nnotify = [""]', "names no program"),
        ('requires = ["*"]', "require"),
    ],
)
def test_a_fault_names_the_key_and_a_remedy(text: str, fault: str) -> None:
    """A pattern that matches nothing would ask nobody, so none is dropped silently."""
    _, faults = read(text)
    assert any(fault in each for each in faults), faults


def test_all_keys_are_read() -> None:
    """As the documentation has them."""
    rules, faults = read('require = ["sign *"]\nwait_s = 60\nnotify = ["notify-send", "Airlock"]')
    assert rules is not None
    assert not faults
    assert (rules.wait_s, rules.notify) == (60, ("notify-send", "Airlock"))


def find(pattern: str, *command: str) -> str | None:
    """The pattern, if it asks about the command of a built-in module."""
    return rules_of(pattern).find(list_tool_forms(command, load_builtin(command[0])))


@pytest.mark.parametrize(
    "command",
    [
        ("terraform", "apply"),
        ("terraform", "-chdir=x", "apply", "plan.out"),
        ("terraform", "apply", "-auto-approve", "-no-color"),
    ],
)
def test_flags_before_a_subcommand_avoid_no_question(command: tuple[str, ...]) -> None:
    assert find("run terraform apply", *command) is not None


@pytest.mark.parametrize(
    ("words", "is_asked"),
    [
        (("delete", "pod", "x"), True),
        (("-n", "x", "delete", "pod"), True),
        (("--force", "delete", "pod"), True),
        (("-n", "x", "--force", "delete", "-l", "a", "--now", "pod"), True),
        (("--namespace=x", "delete", "--", "pod"), True),
        (("get", "delete", "pod"), False),
        (("get", "-n", "delete", "pod"), False),
        (("delete", "service"), False),
        (("--namespace=x", "get", "delete"), False),
    ],
)
def test_without_a_table_a_word_after_a_flag_may_be_its_value(
    words: tuple[str, ...], *, is_asked: bool
) -> None:
    """Doubt asks, and flags between the words are no way around a pattern."""
    assert (find("run kubectl delete pod", "kubectl", *words) is not None) is is_asked


@given(
    st.lists(st.sampled_from(["a", "b", "*"]) | st.just("**"), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b"]), max_size=8),
    st.sets(st.integers(0, 7)),
)
def test_words_are_matched_as_they_are_defined(
    pattern: list[str], words: list[str], optional: set[int]
) -> None:
    """By trying every way to leave words out, and every beginning."""

    def begins(pattern: list[str], words: list[str]) -> bool:
        if all(each == "**" for each in pattern):
            return True
        first, *rest = pattern
        if first == "**":
            return any(begins(rest, words[at:]) for at in range(len(words) + 1))
        return bool(words) and first in ("*", words[0]) and begins(rest, words[1:])

    def drop(words: list[str], at: int = 0) -> Iterator[list[str]]:
        if at == len(words):
            yield []
            return
        for others in drop(words, at + 1):
            yield [words[at], *others]
            if at in optional:
                yield others

    form = [MaybeValue(word) if at in optional else word for at, word in enumerate(words)]
    asked = rules_of(" ".join(pattern)).find([form]) is not None
    stars = [*pattern]
    while len(stars) > 1 and stars[-1] in ("*", "**"):
        stars.pop()
    assert asked is any(begins(stars, each) for each in drop(words))


@pytest.mark.parametrize("words", [("-C", "x", "push", "origin"), ("-c", "a=b", "push"), ("push",)])
def test_a_table_tells_values_from_subcommands(words: tuple[str, ...]) -> None:
    """As the tool itself parses them."""
    assert find("run git push", "git", *words) is not None
    assert find("run git x", "git", *words) is None


API = Api(name="api", module="api", hosts=("api.test",), forms=("POST /form",))
OBJECT = aws.Call(operations=(), region="eu", bucket="out", key="k")


def asked(method: str, path: str = "/who", *, has_form: bool = False) -> ApiCall:
    return ApiCall(method=method, path=path, has_form=has_form)


def of_s3(name: str, *, source: str | None = None) -> ApiCall:
    """A call of an operation on an object, or of a copy that reads `source`."""
    also = () if source is None else ("s3:GetObject",)
    call = replace(OBJECT, operations=(aws.Operation("s3", name),), source=source, also=also)
    return ApiCall(method="POST", path="/", aws=call)


@pytest.mark.parametrize(
    ("pattern", "call", "is_asked"),
    [
        ("api GET /who", asked("HEAD"), True),
        ("api HEAD /who", asked("GET"), False),
        ("api DELETE /who", asked("POST", has_form=True), True),
        ("api DELETE /who", asked("POST"), False),
        ("api DELETE /form", asked("POST", "/form", has_form=True), False),
        ("api POST /who", replace(asked("POST"), graphql=()), True),
        ("api s3:PutObject", of_s3("CreateMultipartUpload"), True),
        ("api s3:PutObject * out/**", of_s3("UploadPart"), True),
        ("api s3:PutObject * out/**", of_s3("CopyObject", source="in/k"), True),
        ("api s3:GetObject * in/**", of_s3("CopyObject", source="in/k"), True),
        ("api s3:GetObject * out/**", of_s3("CopyObject", source="in/k"), False),
        ("api s3:DeleteObject * out/a/**", of_s3("DeleteObjects"), True),
        ("api s3:DeleteObjects * in/**", of_s3("DeleteObjects"), False),
        ("api s3:GetObject", of_s3("HeadObject"), True),
        ("api s3:HeadObject", of_s3("GetObject"), False),
    ],
)
def test_what_amounts_to_an_operation_is_asked_about(
    pattern: str, call: ApiCall, *, is_asked: bool
) -> None:
    """As it is denied with it: a copy where it reads, and a key in a body may be any."""
    forms = tuple(API.list_operations(call))
    assert (rules_of(pattern).find(forms) is not None) is is_asked
