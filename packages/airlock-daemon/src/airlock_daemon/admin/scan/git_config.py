"""Parses a git configuration file (git-config(1)) without git, and finds what git would run.

A complete list of the settings that run something is impossible, as git gets new ones. So harmless
ones are listed, and everything else is reported.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import msgspec

_KEYS = """
advice: addembeddedrepo addemptypathspec addignoredfile ambiguousfetchrefspec amworkdir
    checkoutambiguousremotebranchname commitbeforemerge detachedhead diverging
    fetchshowforcedupdates forcedeletebranch graftfiledeprecated ignoredhook implicitidentity
    mergeconflict nestedtag objectnamewarning pushalreadyexists pushfetchfirst pushneedsforce
    pushnonfastforward pushnonffcurrent pushnonffmatching pushrefneedsupdate
    pushunqualifiedrefname pushupdaterejected rebasetodoerror refsyntax resetnorefresh
    resolveconflict rmhints sequencerinuse setupstreamfailure skippedcherrypicks
    sparseindexexpanded statusaheadbehindwarning statushints statusuoption
    submodulealternateerrorstrategydie submodulemergeconflict submodulesnotupdated
    suggestdetachinghead updatesparsepath waitingforeditor worktreeaddorphan
author: email name
branch: autosetupmerge autosetuprebase sort
branch.*: description gh-merge-base merge rebase vscode-merge-base
color: advice branch diff grep interactive pager push remote showbranch status transport ui
color.*: added branch changed column commit context contextbold contextdimmed current error
    filename frag func function grafted head header help highlightrecent hint linenumber local
    localbranch match matchcontext matchselected meta new newbold newdimmed newmoved
    newmovedalternative newmovedalternativedimmed newmoveddimmed nobranch old oldbold olddimmed
    oldmoved oldmovedalternative oldmovedalternativedimmed oldmoveddimmed plain prompt rejected
    remote remotebranch repeatedlines reset selected separator stash success tag unmerged
    untracked updated upstream warning whitespace worktree
column: branch clean status tag ui
commit: cleanup gpgsign status verbose
committer: email name
core: abbrev autocrlf bare bigfilethreshold checkstat commentchar commentstring commitgraph
    compression deltabasecachelimit eol filemode fscache fsync fsyncmethod hidedotfiles
    ignorecase logallrefupdates longpaths loosecompression multipackindex notesref
    packedgitlimit packedgitwindowsize precomposeunicode preloadindex quotepath
    repositoryformatversion safecrlf sharedrepository sparsecheckout sparsecheckoutcone
    splitindex symlinks trustctime untrackedcache warnambiguousrefs whitespace
credential: usehttppath username
diff: algorithm colormoved colormovedws context ignoresubmodules indentheuristic
    interhunkcontext mnemonicprefix noprefix relative renamelimit renames statgraphwidth
    submodule
extensions: compatobjectformat noop objectformat partialclone preciousobjects refstorage
    relativeworktrees worktreeconfig
feature: experimental manyfiles
fetch: fsckobjects output parallel prune prunetags recursesubmodules showforcedupdates
    unpacklimit writecommitgraph
gc: aggressivedepth aggressivewindow auto autodetach autopacklimit bigpackthreshold cruftpacks
    logexpiry maxcruftsize packrefs pruneexpire reflogexpire reflogexpireunreachable
    repackfilter rerereresolved rerereunresolved worktreepruneexpire writecommitgraph
gc.*: reflogexpire reflogexpireunreachable
help: autocorrect
http: lowspeedlimit lowspeedtime postbuffer version
i18n: commitencoding filesencoding logoutputencoding
index: recordendofindexentries recordoffsettable skiphash sparse threads version
init: defaultbranch
lfs: repositoryformatversion
lfs.*: access
log: abbrevcommit date decorate diffmerges excludedecoration follow graphcolors
    initialdecorationset mailmap showroot showsignature
maintenance: auto autodetach strategy
maintenance.*: auto enabled schedule
merge: autostash conflictstyle directoryrenames ff log renamelimit renames stat verbosity
pack: allowpackreuse compression deltacachelimit deltacachesize depth indexversion island
    islandcore packsizelimit preferbitmaptips readreverseindex threads
    usebitmapboundarytraversal usebitmaps usesparse window windowmemory writebitmaphashcache
    writebitmaplookuptable writereverseindex
pull: ff octopus rebase
push: autosetupremote default followtags gpgsign recursesubmodules usebitmaps
rebase: abbreviatecommands autosquash autostash missingcommitscheck rebasemerges stat updaterefs
receive: autogc denycurrentbranch denydeletes denynonfastforwards fsckobjects
remote.*: fetch followremotehead gh-resolved partialclonefilter promisor prune prunetags
    skipdefaultupdate skipfetchall tagopt
rerere: autoupdate enabled
safe: directory
stash: showincludeuntracked showpatch showstat
status: aheadbehind branch displaycommentprefix relativepaths renamelimit renames short
    showstash showuntrackedfiles submodulesummary
submodule: active fetchjobs propagatebranches recurse
submodule.*: active branch fetchrecursesubmodules ignore path shallow update url
tag: forcesignannotated gpgsign sort
user: email name signingkey useconfigonly
"""
"""The keys of sections; `*` is a subsection."""
_RUNS = (
    (r"core\.fsmonitor", "every git command runs it"),
    (r"core\.hookspath", "git runs what is there at commit, checkout, push and more"),
    (r"core\.(sshcommand|gitproxy)|remote\..*\.(uploadpack|receivepack|vcs|proxy)", "git fetch"),
    (r"core\.pager|pager\..*|interactive\.difffilter", "git runs it to show log, diff and more"),
    (r"core\.(editor|askpass)|sequence\.editor", "git runs it to ask"),
    (r"alias\..*", "is what a git command of yours means"),
    (r"credential\..*", "git runs it, or gives it passwords"),
    (
        r"(diff|merge|filter|difftool|mergetool)\..*",
        "git runs it for files that it shows or checks out",
    ),
    (r"gpg\..*", "git runs it to sign and to verify"),
    (r"include(if)?\..*", "git obeys the settings of that file"),
    (r"hook\..*", "git runs it as a hook"),
    (r"submodule\..*", "git submodule update runs it"),
    (r"core\.worktree", "git writes its files there"),
)

_PLAIN_URL = re.compile(r"(https?|ssh|git|git\+ssh)://|([\w.-]+@)?[\w.-]+:(?!//|:)")
"""A URL over the network; a repository on this host may have hooks."""
_FETCHED = re.compile(r"\+?[^:]*:refs/(remotes|tags)/.*|\^.*")
"""A refspec that writes to no branch of yours."""
_BLANK = " \t\r\n"
"""git's blanks, fewer than Python's."""


class Setting(msgspec.Struct, frozen=True):
    """One setting: its line, its name (lower case but for the subsection), and its value."""

    line: int
    name: str
    value: str


class _BadLineError(Exception):
    """A line that git does not parse as a setting."""


class _Reader:
    """Reads a file's characters like git's own parser (config.c)."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._at = 0
        self.line = 1

    def take(self) -> str:
        """The next character; a line end also at the end of the file."""
        if self._at >= len(self._text):
            self._at += 1
            return "\n"
        character = self._text[self._at]
        self._at += 1
        self.line += character == "\n"
        return character

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._text)

    def take_line(self) -> str:
        """The whole line of the last character; skips the rest of it."""
        position = min(self._at, len(self._text)) - 1
        start = self._text.rfind("\n", 0, max(position, 0)) + 1
        end = self._text.find("\n", position)
        end = len(self._text) if end < 0 else end
        if self._text[position : position + 1] != "\n":
            self._at = end
        return self._text[start:end].strip()


def parse(text: str) -> Iterator[Setting]:
    """All settings of the file. An invalid line has "" as its name, and itself as its value."""
    reader = _Reader(text)
    section = ""
    while not reader.is_at_end:
        first = reader.line
        character = reader.take()
        if character in _BLANK:
            continue
        try:
            if character in "#;":
                while reader.take() != "\n":
                    pass
            elif character == "[":
                section = _read_section(reader)
            elif character.isascii() and character.isalpha() and section:
                key, value = _read_setting(reader, character)
                yield Setting(first, f"{section}.{key}", value)
            else:
                raise _BadLineError
        except _BadLineError:
            yield Setting(first, "", reader.take_line())


def _is_key(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "-")


def _read_section(reader: _Reader) -> str:
    name = ""
    while (character := reader.take()) != "]":
        if character in _BLANK:
            return f"{name}.{_read_subsection(reader, character)}"
        if not _is_key(character) and character != ".":
            raise _BadLineError
        name += character.lower()
    return name


def _read_subsection(reader: _Reader, character: str) -> str:
    while character in _BLANK:
        if character == "\n":
            raise _BadLineError
        character = reader.take()
    if character != '"':
        raise _BadLineError
    name = ""
    while (character := reader.take()) != '"':
        if character == "\\":
            character = reader.take()
        if character == "\n":
            raise _BadLineError
        name += character
    if reader.take() != "]":
        raise _BadLineError
    return name


def _read_setting(reader: _Reader, character: str) -> tuple[str, str]:
    key = ""
    while _is_key(character):
        key += character.lower()
        character = reader.take()
    while character in " \t":
        character = reader.take()
    if character == "\n":
        return key, "true"
    if character != "=":
        raise _BadLineError
    return key, _read_value(reader)


def _read_value(reader: _Reader) -> str:
    value, in_quotes = "", False
    end = 0
    while (character := reader.take()) != "\n":
        if character in _BLANK and not in_quotes:
            value += character if value else ""
            continue
        if character in "#;" and not in_quotes:
            while reader.take() != "\n":
                pass
            break
        if character == "\\":
            character = reader.take()
            value += {"\n": "", "n": "\n", "t": "\t", "b": "\b"}.get(character, character)
        elif character == '"':
            in_quotes = not in_quotes
        else:
            value += character
        end = len(value)
    return value[:end]


def find_remotes(settings: Iterable[Setting]) -> frozenset[str]:
    """The names of the remotes that have a URL in the same file."""
    found = (re.fullmatch(r"remote\.(.*)\.url", each.name, re.DOTALL) for each in settings)
    return frozenset(each[1] for each in found if each is not None)


LEADS_TO_REMOTE = "git fetch or git push goes by it"


def explain(setting: Setting, remotes: AbstractSet[str] = frozenset()) -> str | None:
    """What git runs or obeys because of a setting; None for a harmless one.

    `remotes` are the known names of remotes; any other value is an address.
    """
    name, value = setting.name, setting.value
    if not name:
        return "is no plain setting, and git may read it as one"
    section, _, key = name.rpartition(".")
    top, has_subsection, _ = section.partition(".")
    kind = f"{top}.*" if has_subsection else top
    if _is_harmless(kind, key, value, remotes):
        return None
    for pattern, why in _RUNS:
        if re.fullmatch(pattern, name, re.DOTALL):
            return why if why != "git fetch" else "git runs it to reach a remote"
    if "::" in value:
        return "git runs the program that such an address names"
    if top in ("remote", "branch"):
        return LEADS_TO_REMOTE
    return "git obeys it, and it is not known to be harmless"


@functools.cache
def _list_harmless() -> frozenset[str]:
    """The names of the harmless settings, from `_KEYS`."""
    harmless: set[str] = set()
    section = ""
    for word in _KEYS.split():
        if word.endswith(":"):
            section = word[:-1]
        else:
            harmless.add(f"{section}.{word}")
    return frozenset(harmless)


def _is_harmless(kind: str, key: str, value: str, remotes: AbstractSet[str]) -> bool:
    if "::" in value or "\0" in value:
        return False
    if f"{kind}.{key}" in ("remote.pushdefault", "branch.*.remote", "branch.*.pushremote"):
        return value == "." or value in remotes
    if (kind, key) == ("core", "fsmonitor"):
        return value.lower() in ("true", "false", "yes", "no", "on", "off", "0", "1", "")
    is_harmless = f"{kind}.{key}" in _list_harmless()
    if (kind, key) == ("remote.*", "fetch"):
        return _FETCHED.fullmatch(value) is not None
    if key == "url":
        return is_harmless and _PLAIN_URL.match(value) is not None
    return is_harmless and not (key == "update" and value.startswith("!"))
