"""Variables that aren't set where a file is migrated, and paths that begin with one."""

from pathlib import Path

import pytest
from migrations import HEAD, both, differences, facts, migrated, notes, program

from opsvisor.compat.supervisor.migrate.migration import Migration
from opsvisor.config.problems import ConfigError

A = "[program:a]\ncommand = /bin/cat\n"


def refused(folder: Path, text: str, *, head: str = HEAD) -> list[str]:
    """Why a file can't be migrated without its variables, one line for each problem."""
    with pytest.raises(ConfigError) as why:
        migrated(folder, text, head=head)
    return [f"{one.where.line}: {one.what} ({one.hint})" for one in why.value.problems]


def assert_same_by_then(done: Migration, folder: Path, environ: dict[str, str]) -> None:
    """What was migrated without these variables asks for the same once they are set."""
    before, after = both(folder, done, environ)
    assert facts(before, folder) == facts(after, folder), done.text


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("directory = %(ENV_DIR)s/app", 'working_dir = "${DIR}/app"'),
        ("directory = %(ENV_DIR)s", 'working_dir = "${DIR}"'),
        ("stdout_logfile = %(ENV_DIR)s/a.log", 'log.stdout = "${DIR}/a.log"'),
        ("stderr_logfile = %(ENV_DIR)s/%(ENV_NAME)s.log", 'log.stderr = "${DIR}/${NAME}.log"'),
        ('environment = B="%(ENV_DIR)s"\ndirectory = %(ENV_B)s', 'working_dir = "${DIR}"'),
    ],
)
def test_a_path_that_begins_with_a_variable(tmp_path: Path, line: str, written: str) -> None:
    """It is absolute where its variable is; only a made-up one can't tell."""
    text = f"{A}{line}\n"
    environ = {"DIR": str(tmp_path), "NAME": "x"}
    done = migrated(tmp_path, text, environ)
    assert not done.differences
    assert written in program(done)
    assert not any("relative" in one for one in notes(tmp_path, text, environ))
    unset = migrated(tmp_path, text)
    assert written in program(unset)
    (told,) = unset.differences
    key = line.rpartition("\n")[2].partition(" ")[0]
    assert told.what == (
        f"{key}: DIR isn't set here; what is written is only the same if it is an absolute path"
    )
    assert told.hint == "set DIR while you migrate to have it checked"
    assert_same_by_then(unset, tmp_path, environ)


@pytest.mark.parametrize(
    ("key", "option"),
    [("logfile", "log"), ("pidfile", "pid_file"), ("childlogdir", "child_log_dir")],
)
def test_a_path_of_the_daemon_that_begins_with_a_variable(
    tmp_path: Path, key: str, option: str
) -> None:
    """As with those of programs."""
    head = f"[unix_http_server]\nfile = %(here)s/s\n[supervisord]\n{key} = %(ENV_RUN)s/x\n"
    (tmp_path / "x").mkdir()
    environ = {"RUN": str(tmp_path)}
    done = migrated(tmp_path, A, environ, head=head)
    assert f'\n{option} = "${{RUN}}/x"\n' in done.text
    assert not done.differences
    unset = migrated(tmp_path, A, head=head)
    assert f'\n{option} = "${{RUN}}/x"\n' in unset.text
    assert [one.what.partition(";")[0] for one in unset.differences] == [
        f"{key}: RUN isn't set here"
    ]
    assert_same_by_then(unset, tmp_path, environ)


def test_a_socket_that_begins_with_a_variable(tmp_path: Path) -> None:
    """The daemon's own, and that of a program, which is absolute or refused by both."""
    head = "[unix_http_server]\nfile = %(ENV_RUN)s/s\n[supervisord]\nnodaemon = true\n"
    text = "[fcgi-program:f]\ncommand = x\nsocket = unix://%(ENV_PHP)s/f.sock\n"
    environ = {"RUN": "/run/x", "PHP": "/run/php"}
    done = migrated(tmp_path, text, head=head)
    assert '[server.unix]\npath = "${RUN}/s"' in done.text
    assert 'socket = "unix://${PHP}/f.sock"' in done.text.replace("socket.listen", "socket")
    assert [one.what.partition(";")[0] for one in done.differences] == ["file: RUN isn't set here"]
    assert 'SUPERVISOR_SERVER_URL = "unix://${RUN}/s"' in done.text
    assert_same_by_then(done, tmp_path, environ)


def test_a_path_that_begins_with_a_relative_one(tmp_path: Path) -> None:
    """It goes on from where supervisord was, and says so."""
    text = f"{A}directory = %(ENV_DIR)s/x\n"
    done = migrated(tmp_path, text, {"DIR": "app"})
    assert f'working_dir = "{tmp_path}/${{DIR}}/x"' in program(done)
    assert not done.differences
    assert any("directory is relative" in one for one in notes(tmp_path, text, {"DIR": "app"}))
    head = HEAD.replace("%(here)s/d.log", "%(ENV_DIR)s.log")
    told = [one.what for one in migrated(tmp_path, A, {"DIR": "app"}, head=head).notes]
    assert any(one.startswith("logfile is relative, so it began") for one in told)


def test_a_path_that_goes_up_from_a_variable(tmp_path: Path) -> None:
    """No part of it is taken off before anybody knows what it is; nor is a made-up value told."""
    text = f"{A}directory = %(ENV_DIR)s/../x\n"
    done = migrated(tmp_path, text)
    assert 'working_dir = "${DIR}/../x"' in program(done)
    assert any(
        "working_dir is '/x', was '/${DIR}/../x'" in one.what for one in done.differences
    ), done.differences
    assert "value" not in str(done.differences)


def test_slashes_in_a_row(tmp_path: Path) -> None:
    """They mean no more than one."""
    done = migrated(tmp_path, f"{A}directory = %(ENV_DIR)s/x\n", {"DIR": "/srv/"})
    assert not done.differences
    assert 'working_dir = "${DIR}/x"' in program(done)


def test_folders_that_only_a_variable_knows(tmp_path: Path) -> None:
    """Nobody looks for them, but for all others."""
    assert not migrated(tmp_path, f"{A}stdout_logfile = /tmp/%(ENV_X)s/a.log\n").text.count(
        "value"
    )
    with pytest.raises(ConfigError, match="does not exist"):
        migrated(tmp_path, f"{A}stdout_logfile = /no/such/a.log\nstderr_logfile = %(ENV_X)s/a\n")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("priority = %(ENV_N)s", "priority"),
        ("user = %(ENV_N)s", "user"),
        ("numprocs = %(ENV_N)s", "numprocs"),
        ("autostart = %(ENV_N)s", "autostart"),
        ("environment = %(ENV_N)s", "environment"),
        ('environment = A="x$%(ENV_N)s"', "environment"),
        ("directory = /x/%(ENV_N)5s", "directory"),
        ("process_name = x$%(ENV_N)s", "process_name"),
        ("[group:g]\nprograms = %(ENV_N)s", "programs"),
    ],
)
def test_values_that_cant_be_made_up(tmp_path: Path, line: str, key: str) -> None:
    """The one variable that is missing is named, and nothing else is complained of."""
    text = f"{A}stderr_logfile = %(ENV_OTHER)s/x\n{line}\n"
    row = 6 + text.count("\n")
    assert refused(tmp_path, text) == [
        (
            f"{row}: {key}: N isn't set here, and no made-up value will do"
            " (set N while you migrate, to what opsvisord will find it set to)"
        )
    ]


def test_a_made_up_value_that_came_by_another_way(tmp_path: Path) -> None:
    """The variable that is missing is named where the other one had to be written out."""
    text = f'{A}environment = A="%(ENV_N)s",AB="%(ENV_NN)s"\ndirectory = /%(ENV_A)5s/%(ENV_AB)s\n'
    (told,) = refused(tmp_path, text)
    assert told.startswith("10: directory: N isn't set here, and no made-up value will do (set N")


def test_what_is_wrong_besides(tmp_path: Path) -> None:
    """Only that is told which is wrong whatever a variable is, and without made-up values."""
    text = (
        "[fcgi-program:f]\ncommand = x\nsocket = unix://%(ENV_RUN)s/f.sock\n"
        f"{A}umask = %(ENV_B)s\nstopsignal = NO\n"
    )
    umask, signal = refused(tmp_path, f"environment = B=%(ENV_N)s\n{text}")
    assert umask.startswith("13: ${N} can not be converted to an octal type in section")
    assert signal.startswith("14: value 'NO' is not a valid signal name")


def test_a_program_without_processes(tmp_path: Path) -> None:
    """Its command names its variables as any other."""
    text = "[program:a]\ncommand = x %(ENV_SECRET)s %(program_name)s\nnumprocs = 0\n"
    done = migrated(tmp_path, text, {"SECRET": "hunter2"})
    assert 'command = "x ${SECRET} a"' in program(done)
    assert 'command = "x ${SECRET} a"' in program(migrated(tmp_path, text))


def test_a_made_up_value_is_no_other(tmp_path: Path) -> None:
    """Whatever stands in the file or in the environment."""
    text = f"{A}environment = A=value-of-X,B=%(ENV_X)s,C=%(ENV_Y)s\n"
    done = migrated(tmp_path, text, {"Y": "made-up-value-of-X"})
    assert 'A = "value-of-X"' in done.text
    assert 'B = "${X}"' in done.text
    assert differences(tmp_path, text, {"Y": "made-up-value-of-X"}) == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("%(ENV_X)s", "command: X is one word now, and was as many as are in it"),
        ("x -a  %(ENV_X)s -b", "command: X is one word now, and was as many as are in it"),
        ('x "%(ENV_X)s" %(ENV_X)s', "command: X is one word now, and was as many as are in it"),
        ("x --y=%(ENV_X)s", ""),
        ("x \"%(ENV_X)s\" '%(ENV_X)s'", ""),
        ('sh -c "exec %(ENV_X)s"', ""),
    ],
)
def test_variables_in_commands(tmp_path: Path, command: str, told: str) -> None:
    """Where one stands for words it was as many as it has; within one, only if nobody knows it."""
    text = f"[program:a]\ncommand = {command}\n"
    done = migrated(tmp_path, text, {"X": "y"})
    assert [one.what for one in done.differences] == [told] * bool(told)
    note = "command: a variable is one word now, whatever blanks are in it"
    assert (note in [one.what for one in done.notes]) is not bool(told)
    unset = migrated(tmp_path, text)
    assert program(unset) == program(done)
    (difference,) = unset.differences
    assert difference.what == told or (
        f"{difference.what} ({difference.hint})" == "command: X isn't set here, and whatever is in"
        " it can't be more than one word now (set X while you migrate to have it checked)"
    )


def test_a_variable_of_its_own_in_a_command(tmp_path: Path) -> None:
    """What the file says is no secret, and known."""
    text = "[program:a]\ncommand = x %(ENV_A)s\nenvironment = A=y\n"
    assert program(migrated(tmp_path, text))[0] == 'command = "x y"'
    assert not migrated(tmp_path, text).differences


def test_only_that_is_written_out_which_must_be(tmp_path: Path) -> None:
    """Whatever stands beside a secret, it stays in the environment."""
    environ = {"TOKEN": "s3cr3t", "ARGS": "-w 4", "MORE": "B=1"}
    text = (
        'environment = SECRET="%(ENV_TOKEN)s",%(ENV_MORE)s\n'
        "[program:a]\ncommand = app --token=%(ENV_TOKEN)s %(ENV_ARGS)s%(process_num)d\n"
        "process_name = %(process_num)d\nnumprocs = 2\n"
        "[program:b]\ncommand = b\nenvironment = C=%(ENV_TOKEN)s,%(ENV_MORE)s\n"
    )
    done = migrated(tmp_path, text, environ)
    assert "s3cr3t" not in done.text
    assert 'command = "app --token=${TOKEN} -w 4{replica}"' in done.text
    assert 'environment = { C = "${TOKEN}" }' in done.text
    assert sorted(str(one).partition(": ")[2] for one in done.differences) == [
        "command: %(ENV_ARGS)s is written as the value it has today (${ARGS} would not do)",
        "environment: %(ENV_MORE)s is written as the value it has today (${MORE} would not do)",
        "environment: %(ENV_MORE)s is written as the value it has today (${MORE} would not do)",
    ]
    before, after = both(tmp_path, done, environ)
    assert facts(before, tmp_path) == facts(after, tmp_path), done.text


def test_whether_values_of_the_environment_are_written(tmp_path: Path) -> None:
    """Whoever writes the file has to know whose it may be."""
    environ = {"X": "two words", "N": "5"}
    told = "values out of the environment stand in it: it is for its owner's eyes"
    for line in ("command = x %(ENV_X)s", "command = x\npriority = %(ENV_N)s"):
        done = migrated(tmp_path, f"[program:a]\n{line}\n", environ)
        assert done.has_values
        assert told in [one.what for one in done.notes]
    for line in (
        'environment = A="%(ENV_X)s"',
        "what_nobody_knows = %(ENV_X)s",
        "redirect_stderr = true\nstderr_logfile = %(ENV_X)s",
    ):
        for known in (environ, {}):
            done = migrated(tmp_path, f"{A}{line}\n", known)
            assert not done.has_values
            assert told not in [one.what for one in done.notes]
            assert not done.differences
