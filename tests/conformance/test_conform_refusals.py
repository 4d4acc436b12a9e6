"""Configurations and command lines that are refused: the words on stderr, and the exit status."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest
from commands import Ran
from contestants import Contestant, Pair, Repeated, new_pair

S = "[supervisord]\nnodaemon=true\n"
P = f"{S}[program:a]\ncommand=/bin/cat\n"
L = f"{S}[eventlistener:a]\ncommand=/bin/cat\nevents=TICK_5\n"
F = f"{S}[fcgi-program:a]\ncommand=/bin/cat\nsocket=tcp://localhost:1\n"
MAIN = "supervisor.rpcinterface:make_main_rpcinterface"

CONFIGS = {
    # The file as such.
    "no section at all": "command=x\n",
    "a key without a value": f"{S}[program:a]\ncommand\n",
    "no supervisord": "[program:a]\ncommand=/bin/cat\n",
    "include without files": f"{S}[include]\n",
    "an included file": f"{S}[include]\nfiles=bad.inc\n",
    "an included file that is no INI": f"{S}[include]\nfiles=broken.inc\n",
    # The daemon.
    "loglevel": f"{S}loglevel=warning\n",
    "logfile": f"{S}logfile=$HERE/none/x.log\n",
    "logfile_maxbytes": f"{S}logfile_maxbytes=1M\n",
    "logfile_backups": f"{S}logfile_backups=many\n",
    "pidfile": f"{S}pidfile=$HERE/none/x.pid\n",
    "umask": f"{S}umask=9\n",
    "nodaemon": "[supervisord]\nnodaemon=T\n",
    "silent": f"{S}silent=T\n",
    "nocleanup": f"{S}nocleanup=T\n",
    "strip_ansi": f"{S}strip_ansi=T\n",
    "minfds": f"{S}minfds=1.5\n",
    "minprocs": f"{S}minprocs=\n",
    "childlogdir": f"{S}childlogdir=$HERE/none\n",
    "directory": f"{S}directory=$HERE/none\n",
    "user": f"{S}user=nosuch\n",
    "user by number": f"{S}user=99999\n",
    "environment": f"{S}environment=A=\n",
    "name that can't be expanded": f"{S}identifier=%(nope)s\n",
    # Servers.
    "socket without a file": f"{S}[unix_http_server]\n",
    "chmod": f"{S}[unix_http_server]\nfile=x\nchmod=9\n",
    "chown": f"{S}[unix_http_server]\nfile=x\nchown=nosuch\n",
    "server without a port": f"{S}[inet_http_server]\n",
    "port": f"{S}[inet_http_server]\nport=foo\n",
    "port out of range": f"{S}[inet_http_server]\nport=70000\n",
    "half a login": f"{S}[inet_http_server]\nport=1\nusername=u\n",
    "the other half": f"{S}[unix_http_server:x]\nfile=x\npassword=u\n",
    # Programs.
    "command": f"{S}[program:a]\n",
    "program name": f"{S}[program:a b]\ncommand=x\n",
    "process_name": f"{P}process_name=a/b\n",
    "process_name of many": f"{P}numprocs=2\n",
    "numprocs": f"{P}numprocs=many\n",
    "numprocs_start": f"{P}numprocs_start=x\n",
    "priority": f"{P}priority=high\n",
    "autostart": f"{P}autostart=T\n",
    "autorestart": f"{P}autorestart=sometimes\n",
    "startsecs": f"{P}startsecs=1.5\n",
    "startretries": f"{P}startretries=\n",
    "exitcodes": f"{P}exitcodes=256\n",
    "stopsignal by name": f"{P}stopsignal=TERMM\n",
    "stopsignal by number": f"{P}stopsignal=99\n",
    "stopwaitsecs": f"{P}stopwaitsecs=x\n",
    "stopasgroup": f"{P}stopasgroup=T\n",
    "stopasgroup without killasgroup": f"{P}stopasgroup=true\nkillasgroup=false\n",
    "killasgroup": f"{P}killasgroup=T\n",
    "user of a program": f"{P}user=nosuch\n",
    "redirect_stderr": f"{P}redirect_stderr=T\n",
    "stdout_logfile": f"{P}stdout_logfile=$HERE/none/x\n",
    "stdout_logfile_maxbytes": f"{P}stdout_logfile_maxbytes=1.5MB\n",
    "stdout_logfile_backups": f"{P}stdout_logfile_backups=x\n",
    "stdout_capture_maxbytes": f"{P}stdout_capture_maxbytes=x\n",
    "stdout_events_enabled": f"{P}stdout_events_enabled=T\n",
    "stdout_syslog": f"{P}stdout_syslog=T\n",
    "stderr_logfile": f"{P}stderr_logfile=$HERE/none/x\n",
    "stderr_logfile_maxbytes": f"{P}stderr_logfile_maxbytes=x\n",
    "stderr_logfile_backups": f"{P}stderr_logfile_backups=x\n",
    "stderr_capture_maxbytes": f"{P}stderr_capture_maxbytes=x\n",
    "stderr_events_enabled": f"{P}stderr_events_enabled=T\n",
    "stderr_syslog": f"{P}stderr_syslog=T\n",
    "environment of a program": f"{P}environment=A=1,,B=2\n",
    "open quote": f'{P}environment=A="x\n',
    "umask of a program": f"{P}umask=9\n",
    "unknown name": f"{S}[program:a]\ncommand=x %(nope)s\n",
    "bad format": f"{S}[program:a]\ncommand=date %H\n",
    "process_num too early": f"{P}autostart=%(process_num)d\n",
    # Groups.
    "group name": f"{S}[group:a:b]\n",
    "unknown member": f"{S}[group:g]\nprograms=zzz\n",
    "ambiguous member": f"{P}[fcgi-program:a]\ncommand=x\nsocket=tcp://localhost:1\n"
    "[group:g]\nprograms=a\n",
    "priority of a group": f"{S}[group:g]\npriority=x\n",
    # Event listeners.
    "no events": f"{S}[eventlistener:a]\ncommand=/bin/cat\n",
    "unknown event": f"{L}events=FOO\n",
    "buffer_size": f"{L}buffer_size=0\n",
    "buffer_size, no number": f"{L}buffer_size=x\n",
    "redirect_stderr of a listener": f"{L}redirect_stderr=true\n",
    "priority of a listener": f"{L}priority=x\n",
    "no command of a listener": f"{S}[eventlistener:a]\nevents=TICK_5\n",
    # FastCGI.
    "no socket": f"{S}[fcgi-program:a]\ncommand=/bin/cat\n",
    "socket": F.replace("tcp://localhost:1", "foo"),
    "socket_owner of tcp": f"{F}socket_owner=root\n",
    "socket_mode of tcp": f"{F}socket_mode=0700\n",
    "socket_backlog": f"{F}socket_backlog=0\n",
    "socket_mode": F.replace("tcp://localhost:1", "unix:///tmp/x") + "socket_mode=9\n",
    "socket_owner": F.replace("tcp://localhost:1", "unix:///tmp/x") + "socket_owner=nosuch\n",
    # Extensions.
    "rpcinterface without a factory": f"{S}[rpcinterface:x]\n",
}
FILES = {
    "bad.inc": "[program:inc]\ncommand=x\nautostart=T\n",
    "broken.inc": "nothing\n",
}

FLAGS = {
    "unknown letter": "-x",
    "unknown word": "--nosuch",
    "no value": "-c",
    "no value of a word": "--loglevel",
    "a value where there is none": "--nodaemon=1",
    "a positional argument": "foo",
    "given twice": "-n -n",
    "given in both ways": "-n --nodaemon",
    "loglevel": "-e foo",
    "umask": "-m 9",
    "maxbytes": "-y 1M",
    "backups": "-z x",
    "minfds": "-a x",
    "minprocs": "--minprocs=x",
    "directory": "-d $HERE/none",
    "childlogdir": "-q $HERE/none",
    "logfile": "-l $HERE/none/x",
    "pidfile": "-j $HERE/none/x",
    "user": "-u nosuch",
    "a file that isn't there": "-c $HERE/none/x.conf",
    "an ambiguous word": "--log",
}


@dataclass(frozen=True)
class Runs:
    """What a daemon said to every configuration and command line."""

    configs: Mapping[str, Ran]
    flags: Mapping[str, Ran]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runs, Runs]]:
    """Of both daemons; each ends at once."""
    pair: Pair = new_pair(tmp_path_factory.mktemp("r"), P, files=FILES)

    def script(one: Contestant) -> Runs:
        program = "opsvisord" if one.is_ours else "supervisord"
        with closing(Repeated(one, program)) as run:
            configs = {}
            for name, text in CONFIGS.items():
                one.write(text)
                configs[name] = run("-c", str(one.config))
            one.write(P)
            return Runs(
                configs,
                {name: run(*one.filled_in(flags).split()) for name, flags in FLAGS.items()},
            )

    with ExitStack() as ends:
        ends.callback(pair.theirs.kill)
        ends.callback(pair.ours.kill)
        yield pair.both(script)


def _error(ran: Ran) -> str:
    """What stands behind `Error: `."""
    _, _, told = _plain(ran).partition("Error: ")
    return told.partition("\nFor help, use ")[0]


def _plain(ran: Ran) -> str:
    """Standard error without the list of names that could have been expanded: ours knows more."""
    return re.sub(r"(Available names: ).*?( in section|$)", r"\1N\2", ran.err, flags=re.MULTILINE)


# Where opsvisord leaves out what the file says: it may be a secret, and logs are read by many.
UNQUOTED = {
    "no section at all": "File contains no section headers: 'command'",
    "a key without a value": "Source contains parsing errors: 'command'",
    "an included file that is no INI": "File contains no section headers: 'nothing'",
    "environment": "Unexpected end of key/value pairs in the value",
    "environment of a program": "Unexpected end of key/value pairs in the value in section "
    "'program:a' (file: '$HERE/supervisord.conf')",
}


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in UNQUOTED])
def test_refused_configurations(runs: tuple[Runs, Runs], name: str) -> None:
    """Exit status 2, and the same message; ours has the place besides, and a hint."""
    theirs, ours = (of_one.configs[name] for of_one in runs)
    assert (ours.status, theirs.status) == (2, 2)
    assert _error(theirs)
    assert _error(theirs) in _plain(ours)


@pytest.mark.differs("error-unquoted")
@pytest.mark.parametrize("name", UNQUOTED)
def test_refused_without_quoting(runs: tuple[Runs, Runs], name: str) -> None:
    """Exit status 2, and the reason without the text that is wrong."""
    theirs, ours = (of_one.configs[name] for of_one in runs)
    assert (ours.status, theirs.status) == (2, 2)
    quoted = CONFIGS[name].splitlines()[-1].removeprefix("environment=")
    assert quoted.replace("files=broken.inc", "nothing") in _error(theirs)
    assert _error(ours) == UNQUOTED[name]


@pytest.mark.parametrize("name", FLAGS)
def test_refused_command_lines(runs: tuple[Runs, Runs], name: str) -> None:
    """Exit status 2, and the same message."""
    theirs, ours = (of_one.flags[name] for of_one in runs)
    assert (ours.status, theirs.status) == (2, 2)
    assert _error(theirs)
    assert _error(theirs) == _error(ours)


def test_how_an_error_ends(runs: tuple[Runs, Runs]) -> None:
    """With whom to ask for help."""
    for of_one in runs:
        last = of_one.flags["unknown letter"].err.splitlines()[-1]
        assert re.fullmatch(r"For help, use /\S+ -h", last)
