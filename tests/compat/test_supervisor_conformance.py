"""The same files, read by the real Supervisor and by opsvisor."""

import os
import re
from pathlib import Path

import pytest
from facts_compared import (
    our_daemon,
    our_groups,
    our_servers,
    their_daemon,
    their_groups,
    their_servers,
)
from real_supervisor import RejectedBySupervisor, read
from supervisor_files import write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError

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
