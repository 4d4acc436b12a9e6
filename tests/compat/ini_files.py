"""Whole configurations of Supervisor at random: likely ones, odd ones, wrong ones.

`ini_files()` is a hypothesis strategy for a main file and what it includes. Every option has
values of three sorts: plain ones, odd ones that are accepted as well, and ones that nobody should
accept. Most files take few of the last sort, or nearly all of them would be refused for the first
slip. What is drawn is a list of sections; how it is written down (delimiters, comments,
continuation lines, case of keys, merged sections, defaults) is drawn apart from it.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st

MAIN = "supervisord.conf"

# What both readers find in the environment while they read one of these files.
ENVIRON = {
    "PATH": os.defpath,
    "HOME": "/",
    "SEVEN": "7",
    "YES": "true",
    "WORD": "word",
    "BLANKS": " two words ",
    "UMLAUT": "ö",
    "PERCENT": "50%",
    "EMPTY": "",
    "QUOTED": 'say "hi"',
}


@dataclass(frozen=True)
class IniFiles:
    """A main file, and the files of `conf.d` beside it by their names."""

    main: str
    included: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write all of it to a folder, in which only the last such files are. Gives the main."""
        shutil.rmtree(folder / "conf.d", ignore_errors=True)
        for name, text in self.included.items():
            (folder / "conf.d").mkdir(exist_ok=True)
            (folder / "conf.d" / name).write_bytes(text.encode())
        main = folder / MAIN
        main.write_bytes(self.main.encode())
        return main

    def texts(self) -> str:
        """All files, one behind the other."""
        return "\n".join((self.main, *self.included.values()))


@contextmanager
def environment_of_files() -> Iterator[None]:
    """Have ENVIRON and nothing else as the environment, and the world's idea of it."""
    with mock.patch.dict(os.environ, ENVIRON, clear=True):
        yield


@dataclass(frozen=True)
class Values:
    """What an option may be given: plainly, oddly, wrongly."""

    plain: Sequence[str]
    odd: Sequence[str] = ()
    wrong: Sequence[str] = ()


# Names that a value may be expanded with, and pieces that only look like it.
_NAMES = ("%(ENV_WORD)s", "%(here)s", "%(ENV_UMLAUT)s", "%%", "%(ENV_EMPTY)s", "%(ENV_BLANKS)s")
_PROGRAM_NAMES = ("%(program_name)s", "%(group_name)s", "%(host_node_name)s")
_PROCESS_NAMES = ("%(process_num)d", "%(process_num)02d", "%(numprocs)s", "%(process_num)s")
_NO_NAMES = ("%(nope)s", "%", "%H", "%(program_name", "%(program_name)d", "%()s", "% s", "%d")

_BOOLEAN = Values(
    ("true", "false", "yes", "no", "on", "off", "1", "0"),
    ("TRUE", "oN", "%(ENV_YES)s"),
    ("T", "2", "", "maybe", "true false", "%(ENV_WORD)s", "%(process_num)d"),
)
_INTEGER = Values(
    ("0", "1", "5", "10", "999"),
    ("-1", "+5", "1_000", "007", "%(ENV_SEVEN)s", "%(ENV_SEVEN)s%(ENV_SEVEN)s", "٣", "-0"),
    (
        "1.5",
        "",
        "x",
        "0x10",
        "1e3",
        "--1",
        "_1",
        "5 5",
        "%(ENV_WORD)s",
        "%(process_num)d",
        "4" * 9,
    ),
)
_HUGE = ("2147483648", "-2147483649", "9" * 400)
_SIZE = Values(
    ("0", "1", "5KB", "1MB", "50MB", "1GB"),
    ("1 kb", "-1", "1_0KB", "-1KB", "007", "%(ENV_SEVEN)sMB", "%(ENV_SEVEN)s", "5gB"),
    ("1M", "1.5MB", "", "KB", "10TB", "5KBKB", "%(ENV_WORD)s", f"{2**63}"),
)
_OCTAL = Values(
    ("022", "077", "0"), ("0o22", "7777", "7_7", "%(ENV_SEVEN)s"), ("9", "", "rw", "-1", "10000")
)
_USER = Values(("root", "0"), ("daemon", "00", "+0"), ("nosuch", "99999", "-1", "", "root:root"))
_OWNER = Values(
    ("root", "root:root", "0:0"),
    ("daemon:root", "root:0"),
    ("nosuch", "root:nosuch", "root.root", "root:", ":root", "", "1:2:3"),
)
_FILE = Values(
    ("x.log", "%(here)s/x.log", "/dev/null"),
    ("~/x.log", "./x.log", "", "a b.log", "ä.log", "%(ENV_UMLAUT)s.log"),
    ("/nodir/x.log", "~nosuch/x.log", "%(here)s/no/x.log", "no/x.log"),
)
_FOLDER = Values(
    ("/", "%(here)s", "."), ("~", "/tmp/..", "%(here)s/."), ("/nodir", "", "~nosuch", "/dev/null")
)
_ENVIRONMENT = Values(
    ("A=1", 'A="two words",B=2', "A='%(ENV_WORD)s'", 'PATH="/bin:%(here)s"', ""),
    (
        "A=1,",
        "A=1,A=2",
        'A=""',
        "A=1,\nB=2",
        "A.B-C=/x/y.z+(1):2",
        "A=%(ENV_SEVEN)s,B=%(ENV_WORD)s",
        'A="50%%"',
        "A=http://h/z",
        "A=1;B=2",
        'A="x,y=z",B="q"',
        "A=1, B = 2 ,C= 3",
        'ö="ä"',
    ),
    ("A", "A=", "A=1,,B=2", 'A="open', "=1", "A=x@y", "A=%(nope)s", "A=100%", "A=1 B"),
)
# Read in one way by 4.3 and in another by 4.4, which is what counts here.
_ENVIRONMENT_OF_TWO_MINDS = (
    "A=\"'q'\"",
    'A="a\\"b"',
    'A=a"b c"d',
    "A=it's",
    "A=é",
    "A=$HOME",
    "A=http://h/z?q=1",
    "A=a#b",
    "A='it''s'",
    "A=%(ENV_QUOTED)s",
)
_SIGNAL = Values(
    ("TERM", "INT", "SIGHUP", "15"),
    ("sigusr1", "QUIT", "0", "CLD", "RTMIN", "64", "%(ENV_SEVEN)s"),
    ("FOO", "99", "-1", "", "SIGSIGTERM", "SIG", "TERM INT", "40"),
)
_LOG = Values(
    (*_FILE.plain, "NONE", "AUTO", "%(here)s/%(program_name)s.log"),
    (*_FILE.odd, "none", "off", "auto", "syslog", "p%(process_num)d.log", "a%%%%b.log"),
    (*_FILE.wrong, "a%%b.log", "%(nope)s"),
)
_COMMAND = Values(
    ("/bin/cat", "cat -u", "sh -c 'exit 1'"),
    (
        "",
        "a;b#c",
        "a 'unclosed",
        "x %(program_name)s %(process_num)02d of %(numprocs)d",
        "%(here)s/run %(ENV_WORD)s",
        "echo 50%% %(group_name)s",
        "sh -c\n'exit 1'",
        "ö %(host_node_name)s %(ENV_A)s",
    ),
    ("echo 100% sure", "date %H", "%(nope)s", "100%", "%(ENV_NOPE)s", "%s"),
)
_PROCESS_NAME = Values(
    ("%(program_name)s_%(process_num)02d", "p%(process_num)d", "%(program_name)s"),
    ("tom", "%(group_name)s%(process_num)s", "ö", "%(ENV_WORD)s", "%(ENV_BLANKS)s"),
    ("a b", "a:b", "a/b", "%(process_num)", "%(nope)s", "", "%(here)s"),
)
_SERVER_URL = Values(("AUTO", "http://localhost:9001"), ("auto", " auto ", "", "unix:///s"))
_TEXT = Values(("word", "two words"), ("", "ö", *_NAMES), _NO_NAMES)

PROGRAM_OPTIONS: Mapping[str, Values] = {
    "process_name": _PROCESS_NAME,
    "numprocs": Values(("1", "2", "3"), ("0", "-1", "%(ENV_SEVEN)s"), ("x", "", "1.5")),
    "numprocs_start": _INTEGER,
    "priority": _INTEGER,
    "autostart": _BOOLEAN,
    "autorestart": Values((*_BOOLEAN.plain, "unexpected"), ("UNEXPECTED",), ("sometimes", "")),
    "startsecs": _INTEGER,
    "startretries": _INTEGER,
    "exitcodes": Values(
        ("0", "0,2", "1"), ("", "0,0", " 1 , 2", "255", "٣"), ("256", "-1", "0,", "a", "0 2", ",")
    ),
    "stopsignal": _SIGNAL,
    "stopwaitsecs": _INTEGER,
    "stopasgroup": _BOOLEAN,
    "killasgroup": _BOOLEAN,
    "user": _USER,
    "redirect_stderr": _BOOLEAN,
    "stdout_logfile": _LOG,
    "stderr_logfile": _LOG,
    **{
        f"{stream}_{option}": values
        for stream in ("stdout", "stderr")
        for option, values in (
            ("logfile_maxbytes", _SIZE),
            ("logfile_backups", _INTEGER),
            ("capture_maxbytes", _SIZE),
            ("events_enabled", _BOOLEAN),
            ("syslog", _BOOLEAN),
        )
    },
    "environment": _ENVIRONMENT,
    "directory": Values(
        ("/tmp", "%(here)s"), ("", "~/x", "/no where", *_PROCESS_NAMES), _NO_NAMES
    ),
    "umask": _OCTAL,
    "serverurl": _SERVER_URL,
}

LISTENER_OPTIONS: Mapping[str, Values] = {
    **{key: values for key, values in PROGRAM_OPTIONS.items() if key != "redirect_stderr"},
    "redirect_stderr": Values(("false", "no"), ("oFF",), ("true", "maybe")),
    "events": Values(
        ("PROCESS_STATE", "EVENT", "TICK_60", "PROCESS_LOG,REMOTE_COMMUNICATION"),
        ("tick_5,TICK_5", " process_group , TICK", "PROCESS_STATE,\nSUPERVISOR_STATE_CHANGE"),
        ("", "FOO", "EVENT,", "PROCESS STATE", "__class__", "TICK_10"),
    ),
    "buffer_size": Values(("10", "1"), ("1_000", "+5", "%(ENV_SEVEN)s"), ("0", "-1", "x", "")),
    "result_handler": Values(
        ("supervisor.dispatchers:default_handler",), (), ("no.such:handler", "os", "")
    ),
}

FCGI_OPTIONS: Mapping[str, Values] = {
    **PROGRAM_OPTIONS,
    "socket": Values(
        ("unix:///run/%(program_name)s.sock", "tcp://localhost:9001"),
        ("tcp://LOCALHOST:1", "unix:///a/../b c", "unix://%(here)s/s", "tcp://*:65535"),
        (
            "",
            "foo",
            "tcp://h",
            "tcp://h:0",
            "tcp://h:65536",
            "unix://s",
            "tcp://[::1]:1",
            "TCP://h:1",
        ),
    ),
    "socket_owner": _OWNER,
    "socket_mode": _OCTAL,
    "socket_backlog": Values(("128", "1"), ("65535", "1_0"), ("0", "65536", "-1", "x", "")),
}

SUPERVISORD_OPTIONS: Mapping[str, Values] = {
    "logfile": _FILE,
    "logfile_maxbytes": _SIZE,
    "logfile_backups": _INTEGER,
    "loglevel": Values(
        ("info", "debug", "warn", "error", "critical"),
        ("INFO", "trace", "blather"),
        ("warning", "", "10"),
    ),
    "pidfile": _FILE,
    "umask": _OCTAL,
    "nodaemon": _BOOLEAN,
    "silent": _BOOLEAN,
    "minfds": _INTEGER,
    "minprocs": _INTEGER,
    "nocleanup": _BOOLEAN,
    "childlogdir": _FOLDER,
    "user": _USER,
    "directory": _FOLDER,
    "strip_ansi": _BOOLEAN,
    "environment": Values(
        (*_ENVIRONMENT.plain, "A=1,G='g'"), _ENVIRONMENT.odd, _ENVIRONMENT.wrong
    ),
    "identifier": _TEXT,
}

_LOGIN: Mapping[str, Values] = {"username": _TEXT, "password": _TEXT}
UNIX_SERVER_OPTIONS: Mapping[str, Values] = {
    "file": Values(("s.sock", "%(here)s/s.sock"), ("~/s", "/no/../s", "a b", "ö"), _NO_NAMES),
    "chmod": _OCTAL,
    "chown": _OWNER,
    **_LOGIN,
}
INET_SERVER_OPTIONS: Mapping[str, Values] = {
    "port": Values(
        ("9001", "127.0.0.1:9001", "*:9001"),
        (":9001", "LOCALHOST:1", "a:b:65535", "[::1]:90"),
        ("foo", "", "0", "65536", "h:", ":", "-1"),
    ),
    **_LOGIN,
}

_PROGRAM_LABELS = ("a", "b", "web", "ö", "5", "x.y-z_1", " pad ")
_WRONG_LABELS = ("a b", "a:b", "a/b")
_BUILT_IN_RPC = "supervisor.rpcinterface:make_main_rpcinterface"

Pairs = list[tuple[str, str]]
_Drawn = tuple[str, Pairs]  # the name of a section and what stands in it


@dataclass(frozen=True)
class _Mood:
    """How far a file strays: out of a hundred values, how many are odd and how many wrong."""

    odd: int
    wrong: int


_MOODS = st.sampled_from(
    [_Mood(10, 0), _Mood(40, 0), _Mood(80, 0), _Mood(30, 3), _Mood(30, 3), _Mood(30, 12)]
)


def _happens(draw: st.DrawFn, percent: int) -> bool:
    """True so often. Not at the ends of the range, which hypothesis likes more than its middle."""
    return 99 - percent <= draw(st.integers(0, 100)) < 99


@st.composite
def _value(draw: st.DrawFn, values: Values, mood: _Mood) -> str:
    if values.wrong and _happens(draw, mood.wrong):
        return draw(st.sampled_from((*values.wrong, *_NO_NAMES)))
    if values.odd and _happens(draw, mood.odd):
        return draw(st.sampled_from(values.odd))
    return draw(st.sampled_from(values.plain))


@st.composite
def _options(draw: st.DrawFn, table: Mapping[str, Values], mood: _Mood, most: int) -> Pairs:
    keys = draw(st.lists(st.sampled_from(sorted(table)), max_size=most))
    if "environment" in table and _happens(draw, 15):
        keys.append("environment")  # the option with most to say
    return [(key, draw(_value(table[key], mood))) for key in keys]


# Whatever stands here is paid for, or imported.
_TAME = ("numprocs", "files", "result_handler", "supervisor.rpcinterface_factory")


@st.composite
def _strange_values(draw: st.DrawFn, pairs: Pairs) -> Pairs:
    """One value of these made stranger: beyond bounds, of two minds, or of any characters."""
    keys = [key for key, _ in pairs]
    at = draw(st.integers(0, len(pairs) - 1))
    if "environment" in keys and draw(st.booleans()):
        at = keys.index("environment")
    key = keys[at]
    if key in _TAME:
        return pairs
    strange = st.sampled_from((*_HUGE, "a%%b")) | st.text(
        st.characters(exclude_categories=("Cs", "Cc")), max_size=8
    )
    if key == "environment":
        strange = st.sampled_from(_ENVIRONMENT_OF_TWO_MINDS)
    return [*pairs[:at], (key, draw(strange)), *pairs[at + 1 :]]


@st.composite
def _program(draw: st.DrawFn, mood: _Mood, label: str) -> _Drawn:
    return f"program:{label}", draw(_processes(PROGRAM_OPTIONS, mood))


@st.composite
def _fcgi_program(draw: st.DrawFn, mood: _Mood, label: str) -> _Drawn:
    pairs = draw(_processes(FCGI_OPTIONS, mood))
    if not _happens(draw, mood.wrong):
        pairs.append(("socket", draw(_value(FCGI_OPTIONS["socket"], mood))))
        if pairs[-1][1].startswith("tcp") and not _happens(draw, mood.wrong):
            pairs = [p for p in pairs if p[0] not in ("socket_owner", "socket_mode")]
    return f"fcgi-program:{label}", pairs


@st.composite
def _listener(draw: st.DrawFn, mood: _Mood) -> _Drawn:
    pairs = draw(_processes(LISTENER_OPTIONS, mood))
    if not _happens(draw, mood.wrong):
        pairs.append(("events", draw(_value(LISTENER_OPTIONS["events"], mood))))
    label = draw(st.sampled_from(("l", "l", "m", "a", " l")))
    return f"eventlistener:{label}", pairs


@st.composite
def _processes(draw: st.DrawFn, table: Mapping[str, Values], mood: _Mood) -> Pairs:
    """What a section says about its processes, a command mostly among it."""
    pairs = draw(_options(table, mood, 6))
    if not _happens(draw, mood.wrong):
        pairs.insert(0, ("command", draw(_value(_COMMAND, mood))))
    numprocs = dict(pairs).get("numprocs", "1")
    if numprocs in ("2", "3", "%(ENV_SEVEN)s") and not _happens(draw, mood.wrong):
        pairs.append(("process_name", draw(st.sampled_from(_PROCESS_NAME.plain[:2]))))
    return pairs


@st.composite
def _group(draw: st.DrawFn, mood: _Mood, programs: Sequence[str]) -> _Drawn:
    label = draw(st.sampled_from(("g", "h", *programs)))
    wrong = _happens(draw, mood.wrong)
    known = (*programs, "zzz", "") if wrong else tuple(programs)
    members = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
    separator = draw(st.sampled_from((",", ", ", " , ", ",\n")))
    pairs = [("programs", separator.join(members))] if not _happens(draw, 5) else []
    if draw(st.booleans()):
        pairs.append(("priority", draw(_value(_INTEGER, mood))))
    return f"group:{label}", pairs


@st.composite
def _server(draw: st.DrawFn, mood: _Mood) -> _Drawn:
    kind = draw(st.sampled_from(("unix_http_server", "inet_http_server")))
    table = UNIX_SERVER_OPTIONS if kind.startswith("unix") else INET_SERVER_OPTIONS
    pairs = draw(_options(table, mood, 3))
    required = "file" if kind.startswith("unix") else "port"
    if not _happens(draw, mood.wrong):
        pairs.append((required, draw(_value(table[required], mood))))
        keys = {key for key, _ in pairs}
        for one, other in (("username", "password"), ("password", "username")):
            if one in keys and other not in keys:
                pairs.append((other, draw(_value(_TEXT, mood))))
    return kind + draw(st.sampled_from(("", "", "", ":two", "two"))), pairs


@st.composite
def _rpc_interface(draw: st.DrawFn, mood: _Mood) -> _Drawn:
    key = "supervisor.rpcinterface_factory"
    if _happens(draw, mood.wrong):
        pairs = draw(st.sampled_from(([], [(key, "nosuch:factory")])))
        return "rpcinterface:other", list(pairs)
    return "rpcinterface:supervisor", [(key, _BUILT_IN_RPC)]


_UNRELATED: Sequence[_Drawn] = (
    ("supervisorctl", [("serverurl", "unix://%(here)s/s"), ("prompt", "%(nope)s")]),
    ("something", [("command", "%(nope)s"), ("note", "ö")]),
    ("programs", [("command", "%")]),
    ("program", [("command", "cat")]),
    ("group", [("programs", "nobody")]),
    ("Program:a", [("command", "cat")]),
    ("ctlplugin:x", [("supervisor.ctl_factory", "no.such:factory")]),
)


@st.composite
def _sections(draw: st.DrawFn, mood: _Mood) -> list[_Drawn]:
    """The sections of a configuration, in any order, each once."""
    labels = st.sampled_from(_PROGRAM_LABELS)
    if _happens(draw, mood.wrong):
        labels = st.sampled_from(_WRONG_LABELS)
    programs = draw(st.lists(labels, max_size=3, unique=True))
    kinds = st.sampled_from((_program, _program, _program, _fcgi_program))
    found = [draw(draw(kinds)(mood, label)) for label in programs]
    if programs and _happens(draw, 5):  # one name of two kinds
        found.append(draw(draw(kinds)(mood, programs[0])))
    if not _happens(draw, min(mood.wrong, 5)):
        found.append(("supervisord", draw(_options(SUPERVISORD_OPTIONS, mood, 4))))
    found += [draw(_group(mood, programs)) for _ in range(draw(st.sampled_from((0, 0, 1, 2))))]
    found += [draw(_listener(mood)) for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2))))]
    found += [draw(_server(mood)) for _ in range(draw(st.sampled_from((0, 0, 1, 2))))]
    if draw(st.booleans()):
        found.append(draw(_rpc_interface(mood)))
    if draw(st.booleans()):
        found.append(draw(st.sampled_from(_UNRELATED)))
    if _happens(draw, 10):
        found.append(("DEFAULT", draw(_options(PROGRAM_OPTIONS, mood, 2))))
    if _happens(draw, 30):
        at = draw(st.sampled_from([i for i, (_, pairs) in enumerate(found) if pairs] or [-1]))
        if at >= 0:
            found[at] = (found[at][0], draw(_strange_values(found[at][1])))
    return draw(st.permutations(found))


# -- writing it down -------------------------------------------------------------------------

_MESS = (
    "oops",
    "[open",
    "[]",
    "= 1",
    "key with blanks = 1",
    "\x0c",
    "; [program:x]",
    "x =",
    "\ufeff",
)
_QUIRKS = ("plain", "plain", "plain", "odd")


@st.composite
def _written_pair(draw: st.DrawFn, key: str, value: str) -> str:
    """One `key = value`, with whatever the grammar allows around it."""
    if draw(st.sampled_from(_QUIRKS)) == "plain":
        return f"{key}={value}".replace("\n", "\n  ")
    name = draw(st.sampled_from((key, key.upper(), key.title())))
    delimiter = draw(st.sampled_from(("=", ":", " = ", " : ", "\t=\t", "=   ")))
    after = draw(st.sampled_from(("", "", " ; note", " # note", "\t;x=y", "   ", "  ;[a]")))
    between = draw(st.sampled_from(("\n  ", "\n\t", "\n\n ", "\n; note\n  ", "\n # note\n      ")))
    text = value.replace("\n", between)
    if _happens(draw, 10):
        text = between + text  # the value begins on the next line
    return f"{name}{delimiter}{text}{after}"


@st.composite
def _written(draw: st.DrawFn, sections: Sequence[_Drawn]) -> str:
    """The text of a file with these sections."""
    lines: list[str] = []
    for name, pairs in sections:
        header = f"[{name}]"
        if _happens(draw, 15):
            header = draw(
                st.sampled_from(
                    (f"{header} ; note", f"{header}trailing", f"\n# note\n{header}", f"{header}\t")
                )
            )
        lines.append(header)
        lines += [draw(_written_pair(key, value)) for key, value in pairs]
        if _happens(draw, 20):
            lines.append(draw(st.sampled_from(("", "  ", "; note", "    # note"))))
    if _happens(draw, 3):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(_MESS)))
    text = "".join(f"{line}\n" for line in lines)
    return text.replace("\n", "\r\n") if _happens(draw, 10) else text


@st.composite
def _spread(draw: st.DrawFn, sections: Sequence[_Drawn]) -> list[_Drawn]:
    """The same sections, one of them in two pieces that are merged again by who reads them."""
    if not sections or not _happens(draw, 20):
        return list(sections)
    name, pairs = draw(st.sampled_from(sections))
    again = draw(st.lists(st.sampled_from(pairs), max_size=2)) if pairs else []
    other = draw(st.sampled_from(sections))[1]
    more = draw(st.lists(st.sampled_from(other), max_size=2)) if other else []
    at = draw(st.integers(0, len(sections)))
    return [*sections[:at], (name, [*again, *more]), *sections[at:]]


@st.composite
def ini_files(draw: st.DrawFn) -> IniFiles:
    """A configuration of one file or several."""
    mood = draw(_MOODS)
    sections = draw(_spread(draw(_sections(mood))))
    if not _happens(draw, 25):
        return IniFiles(draw(_written(sections)))
    main: list[_Drawn] = []
    files: dict[str, list[_Drawn]] = {"a.conf": [], "b.conf": [], "c.ini": []}
    for section in sections:
        draw(st.sampled_from((main, *files.values()))).append(section)
    patterns = st.sampled_from(
        ("conf.d/*.conf", "conf.d/[ab]*", "conf.d/c.ini\nconf.d/a.*", "%(here)s/conf.d/*", "no/*")
    )
    include: Pairs = [("files", draw(patterns))]
    if _happens(draw, mood.wrong):
        include = draw(st.sampled_from(([], [("files", "%(nope)s")], [("files", "")])))
    main.insert(draw(st.integers(0, len(main))), ("include", include))
    texts = {name: draw(_written(parts)) for name, parts in files.items() if parts}
    return IniFiles(draw(_written(main)), texts)
