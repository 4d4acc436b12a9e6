"""The same files, read by the real Supervisor and by opsvisor."""

import os
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest
from real_supervisor import RejectedBySupervisor, datatypes, read
from supervisor.options import (  # type: ignore[import-untyped]  # comes without annotations
    NotFound,
    ProcessException,
)
from supervisor.process import (  # type: ignore[import-untyped]  # comes without annotations
    Subprocess,
)
from supervisor_files import write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Loaded, TcpServer, UnixServer
from opsvisor.core.spec import KillMode, LogSpec, ProcessSpec, RestartMode, Startup

HEAD = "[supervisord]\n"
CAT = f"{HEAD}[program:cat]\ncommand=/bin/cat\n"

ACCEPTED = {
    "empty": HEAD,
    "one program": CAT,
    "numbers": f"{CAT}priority=5\nstartsecs=7\nstartretries=9\nstopwaitsecs=11\n",
    "exit codes": f"{CAT}exitcodes=0,3\n",
    "nothing expected": f"{CAT}exitcodes=\n",
    "every switch": f"{CAT}autostart=no\nautorestart=TRUE\nstopasgroup=1\nstopsignal=sighup\n",
    "kill as group alone": f"{CAT}killasgroup=on\nautorestart=0\n",
    "user and umask": f"{CAT}user=root\numask=027\ndirectory=~/x\n",
    "log files": f"{CAT}stdout_logfile=%(here)s/o.log\nstderr_logfile=e.log\n",
    "no log files": f"{CAT}stdout_logfile=NONE\nstderr_logfile=off\n",
    "log sizes": f"{CAT}stdout_logfile_maxbytes=5KB\nstdout_logfile_backups=0\n",
    "log path with percent": f"{CAT}stdout_logfile=a%%%%b.log\n",
    "stderr redirected": f"{CAT}redirect_stderr=true\n",
    "stderr redirected, with file": f"{CAT}redirect_stderr=true\nstderr_logfile=e.log\n",
    "auto log without end": f"{CAT}stderr_logfile_maxbytes=0\n",
    "numprocs": f"{CAT}numprocs=3\nprocess_name=%(program_name)s_%(process_num)02d\n",
    "numprocs_start": (
        f"{HEAD}[program:a]\ncommand=x %(process_num)d of %(numprocs)d\nnumprocs=2\n"
        "numprocs_start=5\nprocess_name=p%(process_num)s\n"
    ),
    "no process at all": f"{CAT}numprocs=0\n",
    "own process name": f"{CAT}process_name=tom\n",
    "multi-line command": f"{HEAD}[program:a]\ncommand=\n  sh -c\n\n  ; note\n  'exit 1'\n",
    "inline comments": f"{HEAD}[program:a]\ncommand=x 'a ; b'\n",
    "escaped words": f"{HEAD}[program:a]\ncommand=x \"a b\" c\\ d 'e'\n",
    "empty command": f"{HEAD}[program:a]\ncommand=\n",
    "upper case keys": f"{HEAD}[program:a]\nCommand: x\nAutoStart: false\n",
    "environment": f"{CAT}environment=A=1,B=\"x y\",C='%(program_name)s'\n",
    "global environment": (
        f"{HEAD}environment=G=1,A=g\n[program:a]\ncommand=x %(ENV_G)s %(ENV_A)s\n"
        "environment=A=own\n[program:b]\ncommand=x %(ENV_A)s\n"
    ),
    "start-up environment": f"{HEAD}[program:a]\ncommand=x %(ENV_OPSVISOR_TEST)s\n",
    "names in names": f"{HEAD}[program:a]\ncommand=%(host_node_name)s %(group_name)s %(here)s\n",
    "group": (
        f"{HEAD}[program:a]\ncommand=x\npriority=3\n[program:b]\ncommand=y %(group_name)s\n"
        "[group:g]\nprograms=b, a\npriority=7\n[program:c]\ncommand=z\npriority=1\n"
    ),
    "priority of a member by its name": (
        f"{HEAD}[program:5]\ncommand=x\npriority=%(program_name)s\n[group:g]\nprograms=5\n"
    ),
    "member of two groups": (
        f"{HEAD}[program:a]\ncommand=%(group_name)s\n[group:g]\nprograms=a\n[group:h]\nprograms=a\n"
    ),
    "empty group": f"{HEAD}[group:g]\n",
    "merged sections": f"{CAT}[program:b]\ncommand=y\n[program:cat]\ncommand=/bin/tac\n",
    "defaults": f"[DEFAULT]\nstartsecs=4\nuser=root\n{CAT}[program:b]\ncommand=x\nstartsecs=1\n",
    "blanks around names": f"{HEAD}[program: a ]\ncommand=x %(program_name)s\n",
    "umlauts": f"{HEAD}[program:test_öäü]\ncommand=x ö\n",
    "include": f"{CAT}[include]\nfiles=inc/*.conf\n",
    "defaults of an including file": (
        f"[DEFAULT]\nstdout_logfile=%(here)s/d.log\n{CAT}[include]\nfiles=inc/*.conf\n"
    ),
    "unix server": f"{CAT}[unix_http_server]\nfile=s.sock\nchmod=0770\nchown=root:root\n",
    "two servers": (
        f"{CAT}[inet_http_server:b]\nport=127.0.0.1:9001\nusername=u\npassword=p\n"
        "[unix_http_server]\nfile=%(here)s/s.sock\nusername=u\npassword={SHA}82ab876d1387bfafe46c\n"
    ),
    "tcp on all interfaces": f"{CAT}[inet_http_server]\nport=*:9001\n",
    "ports alone": (
        f"{CAT}[inet_http_server]\nport=9001\n[inet_http_server:b]\nport=127.0.0.1:9002\n"
    ),
    "socket on a line of its own": f"{CAT}[unix_http_server]\nfile =\n  s.sock\n",
    "own server url": f"{CAT}serverurl=http://x:1\n[inet_http_server]\nport=9001\n",
    "daemon": (
        "[supervisord]\nlogfile=%(here)s/d.log\nlogfile_maxbytes=1MB\nlogfile_backups=2\n"
        "loglevel=debug\npidfile=d.pid\nnodaemon=true\nminfds=2048\nminprocs=300\n"
        "identifier=one\nuser=root\n"
    ),
    "daemon in the background": "[supervisord]\numask=027\ndirectory=/\n",
}

REFUSED = {
    "no command": f"{HEAD}[program:a]\n",
    "boolean": f"{CAT}autostart=T\n",
    "autorestart": f"{CAT}autorestart=sometimes\n",
    "exit codes": f"{CAT}exitcodes=256\n",
    "signal name": f"{CAT}stopsignal=TERMM\n",
    "signal number": f"{CAT}stopsignal=99\n",
    "priority": f"{CAT}priority=high\n",
    "number": f"{CAT}startsecs=1.5\n",
    "size": f"{CAT}stdout_logfile_maxbytes=50M\n",
    "umask": f"{CAT}umask=9\n",
    "user": f"{CAT}user=nosuch\n",
    "log folder": f"{CAT}stdout_logfile=/nodir/x.log\n",
    "process name": f"{CAT}process_name=a b\n",
    "program name": f"{HEAD}[program:a b]\ncommand=x\n",
    "group name": f"{HEAD}[group:a:b]\n",
    "numprocs": f"{CAT}numprocs=2\n",
    "groups of signals": f"{CAT}stopasgroup=true\nkillasgroup=false\n",
    "environment": f"{CAT}environment=A=\n",
    "environment quote": f'{CAT}environment=A="x\n',
    "unknown name": f"{HEAD}[program:a]\ncommand=x %(nope)s\n",
    "own variable of another program": (
        f"{HEAD}[program:a]\ncommand=x\nenvironment=ZZZ=1\n[program:b]\ncommand=%(ENV_ZZZ)s\n"
    ),
    "priority by the name": f"{HEAD}[program:5]\ncommand=x\npriority=%(program_name)s\n",
    "priority of a member": f"{CAT}priority=high\n[group:g]\nprograms=cat\n",
    "own variable for all": f"{CAT}environment=A=1\nredirect_stderr=%(ENV_A)s\n",
    "process_num in a stream's switch": f"{CAT}stdout_events_enabled=%(process_num)d\n",
    "switch of no process": f"{CAT}numprocs=0\nredirect_stderr=perhaps\n",
    "process_num for all": f"{CAT}autostart=%(process_num)d\n",
    "bad format": f"{HEAD}[program:a]\ncommand=date %H\n",
    "group member": f"{HEAD}[group:g]\nprograms=zzz\n",
    "ambiguous member": (
        f"{CAT}[fcgi-program:cat]\ncommand=x\nsocket=tcp://localhost:1\n[group:g]\nprograms=cat\n"
    ),
    "group priority": f"{HEAD}[group:g]\npriority=x\n",
    "socket file": f"{HEAD}[unix_http_server]\n",
    "socket mode": f"{HEAD}[unix_http_server]\nfile=x\nchmod=9\n",
    "socket owner": f"{HEAD}[unix_http_server]\nfile=x\nchown=nosuch\n",
    "port": f"{HEAD}[inet_http_server]\nport=foo\n",
    "no port": f"{HEAD}[inet_http_server]\n",
    "half a login": f"{HEAD}[inet_http_server:x]\nport=1\nusername=u\n",
    "level": "[supervisord]\nloglevel=warning\n",
    "daemon size": "[supervisord]\nlogfile_maxbytes=1M\n",
    "daemon folder": "[supervisord]\nchildlogdir=/nodir\n",
    "daemon log": "[supervisord]\nlogfile=/nodir/x\n",
    "daemon user": "[supervisord]\nuser=nosuch\n",
    "silence in the background": "[supervisord]\nsilent=perhaps\n",
    "rpc interface": f"{HEAD}[rpcinterface:x]\n",
    "include": f"{HEAD}[include]\n",
    "no supervisord": "[program:a]\ncommand=x\n",
    "included file": f"{HEAD}[include]\nfiles=bad/*.conf\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of both readers, with something to include."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSVISOR_TEST", "from outside")
    write(
        tmp_path,
        "[program:inc]\ncommand=%(here)s/run\nstdout_logfile=%(here)s/x.log\n",
        "inc/a.conf",
    )
    write(tmp_path, "[program:cat]\nstartsecs=17\n", "inc/b.conf")
    write(tmp_path, "[program:inc]\ncommand=x\nautostart=T\n", "bad/a.conf")
    return tmp_path


@pytest.mark.parametrize("name", ACCEPTED)
def test_same_configuration(folder: Path, name: str) -> None:
    """Groups, processes, their settings, the daemon's, the servers and the warnings agree."""
    path = write(folder, ACCEPTED[name])
    ours, theirs = load(path, os.environ), read(path)
    assert our_groups(ours) == their_groups(theirs)
    assert our_daemon(ours) == their_daemon(theirs)
    assert our_servers(ours) == their_servers(theirs)
    assert [w.what for w in ours.warnings] == theirs.parse_warnings


@pytest.mark.parametrize("name", REFUSED)
def test_same_refusal(folder: Path, name: str) -> None:
    """One problem, in Supervisor's words."""
    path = write(folder, REFUSED[name])
    with pytest.raises(RejectedBySupervisor) as theirs:
        read(path)
    with pytest.raises(ConfigError) as ours:
        load(path, os.environ)
    (problem,) = ours.value.problems
    assert without_names(problem.what) == without_names(str(theirs.value))


def without_names(text: str) -> str:
    """The list of available names left out: we know more of them. Secrets only they quote."""
    text = re.sub(r"pairs in value '.*?'", "pairs in the value", text)
    before, _, after = text.partition("Available names: ")
    return before + (after.partition(" in section")[2] if after else "")


def our_groups(loaded: Loaded) -> list[Any]:
    """The plan in words that both sides have."""
    return [
        (g.name, g.priority, [our_process(spec) for spec in g.processes])
        for g in loaded.plan.groups
    ]


def their_groups(theirs: Any) -> list[Any]:
    """Supervisor's groups in the order it starts them."""
    groups = sorted(theirs.process_group_configs, key=lambda g: (g.priority, g.name))
    return [
        (
            g.name,
            g.priority,
            [
                their_process(g.name, config, theirs)
                for config in sorted(g.process_configs, key=lambda c: (c.priority, c.name))
            ],
        )
        for g in groups
    ]


def our_process(spec: ProcessSpec) -> dict[str, Any]:
    """One process, all that can be compared."""
    return {
        "name": spec.id.name,
        "command": spec.command,
        "argv": spec.command_problem or spec.argv,
        "priority": spec.priority,
        "autostart": spec.startup is Startup.ENABLED,
        "autorestart": spec.restart.mode,
        "startsecs": spec.min_uptime,
        "startretries": spec.restart.failed_starts_max,
        "exitcodes": spec.restart.success.codes,
        "stopsignal": spec.stop.signal,
        "stopwaitsecs": spec.stop.kill_delay,
        "stopasgroup": spec.stop.signal_mode is KillMode.GROUP,
        "killasgroup": spec.stop.kill_mode is KillMode.GROUP,
        "uid": spec.user.uid if spec.user else None,
        "umask": spec.umask,
        "directory": spec.working_dir,
        "environment": dict(spec.environment),
        "stdout": our_log(spec.stdout),
        "stderr": our_log(spec.stderr) if spec.stderr else "with stdout",
    }


def their_process(group: str, config: Any, theirs: Any) -> dict[str, Any]:
    """The same of Supervisor's."""
    try:
        argv: object = their_words(config)
    except ProcessException as why:
        argv = str(why)
    modes = {
        datatypes.RestartUnconditionally: RestartMode.ALWAYS,
        datatypes.RestartWhenExitUnexpected: RestartMode.ON_FAILURE,
        False: RestartMode.NO,
    }
    url = config.serverurl if config.serverurl is not None else theirs.serverurl
    return {
        "name": config.name,
        "command": config.command,
        "argv": argv,
        "priority": config.priority,
        "autostart": config.autostart,
        "autorestart": modes[config.autorestart],
        "startsecs": config.startsecs,
        "startretries": config.startretries,
        "exitcodes": frozenset(config.exitcodes),
        "stopsignal": config.stopsignal,
        "stopwaitsecs": config.stopwaitsecs,
        "stopasgroup": config.stopasgroup,
        "killasgroup": config.killasgroup,
        "uid": config.uid,
        "umask": config.umask,
        "directory": config.directory,
        "environment": {
            "SUPERVISOR_ENABLED": "1",
            "SUPERVISOR_PROCESS_NAME": config.name,
            "SUPERVISOR_GROUP_NAME": group,
            **({"SUPERVISOR_SERVER_URL": url} if url else {}),
            **config.environment,
        },
        "stdout": their_log(config, "stdout"),
        "stderr": "with stdout" if config.redirect_stderr else their_log(config, "stderr"),
    }


def their_words(config: Any) -> tuple[str, ...]:
    """Supervisor's words of a command. That it can't be found is no matter of configuration."""
    try:
        _, words = Subprocess(config).get_execv_args()
    except NotFound:
        return tuple(shlex.split(config.command))
    return tuple(words)


def our_log(log: LogSpec) -> tuple[object, int, int]:
    """Where it goes, when it is rotated, how many are kept."""
    return ("auto" if log.private else log.path), log.rotate_size, log.rotate_keep


def their_log(config: Any, stream: str) -> tuple[object, int, int]:
    """The same of Supervisor's."""
    path = getattr(config, f"{stream}_logfile")
    return (
        "auto" if path is datatypes.Automatic else path,
        getattr(config, f"{stream}_logfile_maxbytes"),
        getattr(config, f"{stream}_logfile_backups"),
    )


def our_daemon(loaded: Loaded) -> dict[str, Any]:
    """[supervisord], as far as both keep it."""
    found = loaded.settings
    return {
        "log": found.log.path,
        "size": found.log.rotate_size,
        "keep": found.log.rotate_keep,
        "level": found.log_level.value,
        "pidfile": found.pid_file,
        "nodaemon": not found.daemonize,
        "umask": found.umask if found.daemonize else None,
        "directory": found.working_dir if found.daemonize else None,
        "identifier": found.identifier,
        "uid": found.user.uid if found.user else None,
        "minfds": found.min_fds,
        "minprocs": found.min_procs,
    }


def their_daemon(theirs: Any) -> dict[str, Any]:
    """The same of Supervisor's; umask and directory only count in the background."""
    levels = {
        50: "critical",
        40: "error",
        30: "warn",
        20: "info",
        10: "debug",
        5: "trace",
        3: "blather",
    }
    return {
        "log": theirs.logfile,
        "size": theirs.logfile_maxbytes,
        "keep": theirs.logfile_backups,
        "level": levels[theirs.loglevel],
        "pidfile": theirs.pidfile,
        "nodaemon": theirs.nodaemon,
        "umask": None if theirs.nodaemon else theirs.umask,
        "directory": None if theirs.nodaemon else theirs.directory,
        "identifier": theirs.identifier,
        "uid": theirs.uid,
        "minfds": theirs.minfds,
        "minprocs": theirs.minprocs,
    }


def our_servers(loaded: Loaded) -> list[dict[str, Any]]:
    """The servers by their section."""
    return sorted(
        (our_server(s) for s in loaded.settings.servers), key=lambda s: str(s["section"])
    )


def our_server(server: UnixServer | TcpServer) -> dict[str, Any]:
    """One server in Supervisor's terms."""
    login = server.credentials
    common = {
        "section": server.name,
        "username": login.username if login else None,
        "password": login.password if login else None,
    }
    if isinstance(server, UnixServer):
        owner = server.owner or (-1, -1)
        return {**common, "file": server.path, "chmod": server.mode, "chown": owner}
    assert server.allow_anonymous
    return {**common, "host": server.host, "port": server.port}


def their_servers(theirs: Any) -> list[dict[str, Any]]:
    """The same of Supervisor's."""
    dropped = ("name", "family")
    configs = [{k: v for k, v in c.items() if k not in dropped} for c in theirs.server_configs]
    assert all(c["family"] in (socket.AF_UNIX, socket.AF_INET) for c in theirs.server_configs)
    return sorted(configs, key=lambda c: str(c["section"]))
