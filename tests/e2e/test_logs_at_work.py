"""logs, with a real daemon: several at once, through upgrades and rotations, and newcomers."""

import re

from daemon import StartDaemon
from home import Home

TALKERS = """
    [program.a]
    command = "$VICTIM"
    stdin = "pipe"
    log = { stdout = "$HERE/a.log", rotate_size = "1K", rotate_keep = 9 }

    [program.b]
    command = "$VICTIM"
    stdin = "pipe"
    """
MORE = """
    [program.c]
    command = "$VICTIM 'say I am new'"
    """


def test_several_are_followed_through_an_upgrade(start_daemon: StartDaemon) -> None:
    """Each line of each once and in order, from the past on, and while nobody can hear them."""
    daemon = start_daemon(TALKERS)
    daemon.until("b", "RUNNING")
    with daemon.following_ctl("logs", "-f", "-n", "9999", "a", "b") as following:
        for round_number in range(3):
            begin = round_number * 500 + 1
            for name in ("a", "b"):
                daemon.client.write_stdin(name, f"count {begin} {begin + 499}\n")
            if round_number % 2:
                assert daemon.ctl("upgrade").status == 0
        for name in ("a", "b"):
            daemon.client.write_stdin(name, "complain the end\n")
            following.until(f"{name} | the end\n")
    assert following.status == 0
    for name in ("a", "b"):
        heard = re.findall(rf"^{name} \| (\d{{9}})$", following.text, re.MULTILINE)
        assert heard == [f"{number:09}" for number in range(1, 1501)]
    assert "faster than" not in following.text


def test_the_past_goes_on_through_rotations_and_upgrades(start_daemon: StartDaemon) -> None:
    """Times are known after an upgrade as before it."""
    daemon = start_daemon(TALKERS)
    daemon.client.write_stdin("a", "count 1 300\n")
    daemon.until_says("a", "000000300")
    assert daemon.ctl("upgrade").status == 0
    daemon.client.write_stdin("a", "count 301 600\n")
    daemon.until_says("a", "000000600")
    whole = [f"{number:09}" for number in range(1, 601)]
    assert daemon.ctl("logs", "a", "--since", "10m").out.split() == whole
    assert daemon.ctl("logs", "a", "-n", "250").out.split() == whole[-250:]
    assert daemon.ctl("logs", "a", "--since", "@9999999999").out == ""
    found = daemon.ctl("logs", "--grep", "0[12]99$").out.splitlines()
    assert found == ["a | 000000199", "a | 000000299"]


def test_ctrl_c_right_after_a_line_does_not_print_it_again(start_daemon: StartDaemon) -> None:
    """It comes while that is written, as we can read it by then."""
    daemon = start_daemon(TALKERS)
    for number in range(20):
        with daemon.following_ctl("logs", "-f", "b") as following:
            daemon.client.write_stdin("b", f"say hello {number}.\n")
            following.until(f"hello {number}.\n")
        assert following.text.count(f"hello {number}.") == 1


def test_who_comes_later_is_followed_as_well(start_daemon: StartDaemon, home: Home) -> None:
    """If a pattern means it, from its first word on."""
    daemon = start_daemon(TALKERS)
    with daemon.following_ctl("logs", "-f", "*") as following:
        daemon.client.write_stdin("b", "say hello\n")
        following.until("b | hello")
        home.rewrite(TALKERS + MORE)
        assert daemon.ctl("update").status == 0
        following.until("c | I am new")
    assert "==> c has come <==" in following.text
    # Whoever has begun twice may say it twice.
    assert following.text.count("I am new") == 1, daemon.ctl("why", "c").out
