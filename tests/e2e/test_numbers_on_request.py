"""The two collectors that nobody has who did not ask: off, and on."""

from daemon import Daemon, StartDaemon, eventually

WEB = """
    [program.web]
    command = "$VICTIM 'eat 20'"
    min_uptime = "10ms"
    """
ON = """
    [metrics]
    collectors = ["usual", "proportional-memory", "context-switches"]
    proportional_memory_interval = "1s"
    """


def sizes(daemon: Daemon) -> list[float]:
    """The proportional memory of all processes that have one."""
    lines = daemon.http("/metrics").text.splitlines()
    return [
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("opsvisor_process_proportional_memory_bytes{")
    ]


def test_both_are_told_where_they_are_switched_on(start_daemon: StartDaemon) -> None:
    """Proportional memory as soon as it was read, which no scrape waits for."""
    daemon = start_daemon(WEB, main=ON)
    daemon.until_says("web", "ate 20")
    (size,) = eventually(lambda: [one for one in sizes(daemon) if one >= 20 << 20])
    assert size < 60 << 20
    for mode in ("voluntary", "involuntary"):
        name = "opsvisor_process_context_switches_total"
        assert daemon.metric(name, process="web", mode=mode) >= 0
    assert daemon.ctl("stop", "web").status == 0
    assert sizes(daemon) == []


def test_neither_is_read_or_told_by_itself(start_daemon: StartDaemon) -> None:
    """Nor can a scrape ask for what is switched off."""
    daemon = start_daemon(WEB)
    daemon.until("web", "RUNNING")
    told = daemon.http("/metrics").text
    assert "proportional_memory" not in told
    assert "context_switches" not in told
