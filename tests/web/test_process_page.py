"""The page of a process: why it is as it is, and what it says, as an operator finds out."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browsing import DESK, PHONE, Begin, OpenPage, Site, Theme, check_accessible
from daemon import Daemon, eventually
from home import Dialect, Home, Programs
from http_requests import free_port
from playwright.sync_api import Locator, Page, ViewportSize, expect

# A program that writes as much as it can, until somebody ends it.
FLOOD = "import os; line = b'x' * 100 + bytes([10])\\nwhile True: os.write(1, line * 600)"
# What a program can say to whoever looks at it, and none of it may become anything but text.
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
HOSTILE_NAME = "<b>x&amp;"
LINES_KEPT = 20_000

PROGRAMS = """\
    [program.talker]
    command = "$VICTIM"
    stdin = "pipe"
    kill_delay = "2s"
    readiness_probe = { exec = ["true"], period = "60s" }
    log = { stdout = "$HERE/talker.log" }
    environment = { COLOUR = "green" }

    [program.crasher]
    command = "$VICTIM"
    stdin = "pipe"
    restart = "always"
    backoff_delay = "600s"
    backoff_limit = "600s"
    restart_limit_count = 0

    [program.flood]
    command = '$PYTHON -c "exec(open(\\"$HERE/flood.py\\").read())"'
    startup = "manual"
    kill_delay = "2s"

    [program.parent]
    command = "$VICTIM 'fork x'"

    [program.merged]
    command = "$VICTIM"
    log = { stderr = "merge" }

    [program.looping]
    command = "$VICTIM 'exit 3'"
    startup = "manual"
    backoff_delay = "1ms"
    backoff_limit = "1ms"
    restart_limit_count = 15
    fatal_retry_delay = "never"

    [program.wordy]
    command = ["sleep", "100000", "$LONG"]

    [program.missing]
    command = ["$HERE/no-such-program"]
    backoff_delay = "600s"
    backoff_limit = "600s"
    restart_limit_count = 0
""".replace("$LONG", "0" * 400)


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon with programs that do as they are told."""
    site = begin(PROGRAMS)
    directory = site.daemon.home.directory
    (directory / "flood.py").write_text(FLOOD.replace("\\n", "\n"))
    for name in ("talker", "crasher", "parent", "merged"):
        site.daemon.until(name, "RUNNING")
    return site


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon with a program whose name is markup, which only Supervisor's files allow."""
    port = free_port()
    home = Home(tmp_path_factory.mktemp("hostile"))
    programs = f"[program:{HOSTILE_NAME}]\ncommand = $VICTIM\n"
    main = f"[inet_http_server]\nport = 127.0.0.1:{port}\n"
    home.write(Programs(programs, Dialect.INI), main=main)
    daemon = Daemon(home)
    try:
        daemon.until(HOSTILE_NAME, "RUNNING")
        yield Site(daemon, f"http://127.0.0.1:{port}/")
    finally:
        daemon.end()


def address(site: Site, name: str, query: str = "") -> str:
    """Where the page of a process is."""
    return f"{site.url}#/process/{quote(name, safe='')}{query}"


@pytest.fixture
def talker(site: Site, open_page: OpenPage) -> Page:
    """The page of `talker`, whose log is empty."""
    site.daemon.until("talker", "RUNNING")
    site.daemon.client.clear_logs(["talker"])
    page = open_page(address(site, "talker"))
    expect(foot(page)).to_contain_text("Following")
    return page


def tell(site: Site, *orders: str, name: str = "talker") -> None:
    """Have a program obey these orders."""
    for order in orders:
        site.daemon.client.write_stdin(name, f"{order}\n")


def log(page: Page) -> Locator:
    """The log that is shown."""
    return page.get_by_role("log")


def lines(page: Page) -> Locator:
    """Its lines, as many as have nodes."""
    return log(page).locator(".log-line")


def line_at_the_top(page: Page) -> str:
    """The first line that is seen, once what was asked for is drawn."""
    text: str = log(page).evaluate(
        """async (log) => {
            for (let i = 0; i < 3; i += 1) await new Promise(requestAnimationFrame);
            const { left, top } = log.getBoundingClientRect();
            return document.elementFromPoint(left + 20, top + 5).closest(".log-line").textContent;
        }"""
    )
    return text


def foot(page: Page) -> Locator:
    """What is said about the log."""
    return page.get_by_role("region", name="Log").locator(".log-foot")


def state(page: Page) -> Locator:
    """What is said above everything else."""
    return page.get_by_role("region", name="State")


def button(page: Page, name: str) -> Locator:
    """A button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


def agree(page: Page, name: str) -> None:
    """Confirm what is asked."""
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()


def fact(page: Page, name: str) -> Locator:
    """One of the figures below the name."""
    term = page.get_by_role("term").filter(has_text=re.compile(f"^{name}$"))
    return term.locator("xpath=following-sibling::dd")


# -- how it is and why ----------------------------------------------------------------------------


def test_what_an_operator_asks_first(site: Site, talker: Page) -> None:
    """State, since when, who runs, and what comes next."""
    status = site.daemon.status("talker")
    expect(talker).to_have_title(re.compile("talker"))
    expect(talker.get_by_role("heading", name="talker", level=1)).to_be_visible()
    expect(state(talker)).to_contain_text("RUNNING")
    expect(state(talker)).to_contain_text("ready")
    expect(fact(talker, "PID")).to_have_text(str(status.pid))
    expect(fact(talker, "Memory")).to_contain_text("MiB")
    since = fact(talker, "RUNNING for")
    before = since.inner_text()
    expect(since).not_to_have_text(before)
    expect(state(talker)).to_contain_text("restarted when it ends with anything but exit 0")
    probes = talker.get_by_role("region", name="Probes")
    expect(probes).to_contain_text("readiness")
    expect(probes).to_contain_text("passing")
    expect(probes).to_contain_text("run true")
    expect(talker.get_by_role("img", name=re.compile(r"^Memory: now .*MiB"))).to_be_visible()


def test_a_crash_appears_with_its_post_mortem(site: Site, open_page: OpenPage) -> None:
    """Nobody reloads anything: the end, its last words, what follows and what can be done."""
    daemon = site.daemon
    if daemon.status("crasher").state != "RUNNING":
        daemon.client.act("start", ["crasher"])
    page = open_page(address(site, "crasher"))
    expect(state(page)).to_contain_text("RUNNING")
    expect(foot(page)).to_contain_text("Following")
    pid = daemon.status("crasher").pid
    # The first crash costs no delay, and the second one ten minutes.
    tell(site, "complain cannot reach db.internal", "exit 3", name="crasher")
    expect(page.get_by_role("list", name="Runs, the oldest first")).to_be_visible()
    expect(lines(page).filter(has_text=f"pid {pid} has ended: exit status 3")).to_be_visible()
    eventually(lambda: daemon.status("crasher").pid not in (0, pid))
    daemon.until("crasher", "RUNNING")
    tell(site, "complain cannot reach db.internal", "exit 3", name="crasher")
    expect(state(page)).to_contain_text("BACKOFF")
    expect(state(page)).to_contain_text("exit status 3")
    expect(state(page)).to_contain_text("cannot reach db.internal")
    expect(state(page)).to_contain_text(re.compile(r"the next attempt in (9|10) min"))
    expect(state(page)).to_contain_text("once the cause is gone: opsvisorctl start crasher")
    page.get_by_role("tab", name=re.compile(r"^Runs \(\d+\)$")).click()
    post_mortem = page.get_by_role("tabpanel").locator("details").first
    post_mortem.locator("summary").click()
    expect(post_mortem).to_contain_text("failure")
    expect(post_mortem).to_contain_text("starts again in")
    words = post_mortem.get_by_label("Last lines of stderr")
    expect(words).to_have_text("cannot reach db.internal")


def test_an_end_is_opened_from_the_strip_of_runs(site: Site, open_page: OpenPage) -> None:
    """Which shows how long each run was, and leads to its post-mortem."""
    site.daemon.until("missing", "BACKOFF")
    page = open_page(address(site, "missing"))
    expect(state(page)).to_contain_text("can't find command")
    strip = page.get_by_role("list", name="Runs, the oldest first")
    strip.get_by_role("button").first.click()
    expect(page.get_by_role("tab", name=re.compile("^Runs"))).to_have_attribute(
        "aria-selected", "true"
    )
    opened = page.get_by_role("tabpanel").locator("details[open]")
    expect(opened).to_have_count(1)
    expect(opened).to_contain_text("start failure")
    expect(page).to_have_url(re.compile("tab=runs"))


def test_who_did_what_and_what_came_of_it(site: Site, talker: Page) -> None:
    """What happened to it, newest first, with what was asked for, also by others."""
    talker.get_by_role("tab", name="Timeline").click()
    timeline = talker.get_by_role("list", name="What happened, newest first")
    site.daemon.client.act("restart", ["talker"])
    expect(timeline).to_contain_text("STARTING -> RUNNING: up for 1 s")
    asked = timeline.get_by_role("listitem").filter(has_text="asked for restart talker")
    expect(asked.first).to_contain_text("root from unix")


def test_a_process_that_is_not_there(site: Site, open_page: OpenPage) -> None:
    """Is told of where it would be, with a way to those that are."""
    open_page.complaints.excuse("404")
    page = open_page(address(site, "nobody"))
    told = page.get_by_role("alert").filter(has_text="There is no such process")
    expect(told).to_contain_text("opsvisord has no process nobody")
    expect(page.get_by_role("region", name="State")).to_be_hidden()
    told.get_by_role("link", name="All processes").click()
    expect(page.get_by_role("link", name="talker", exact=True)).to_be_visible()


def test_a_long_command_leaves_its_actions_in_sight(site: Site, open_page: OpenPage) -> None:
    """However long it is: what can be done stays on the screen."""
    page = open_page(address(site, "wordy"))
    expect(fact(page, "Command")).to_contain_text("0000")
    expect(button(page, "Stop…")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def crash_often(site: Site) -> None:
    """Have `looping` end more often than is remembered."""

    def has_given_up() -> bool:
        status = site.daemon.status("looping")
        return status.state == "FATAL" and status.starts >= before + 15

    before = site.daemon.status("looping").starts
    site.daemon.client.act("start", ["looping"])
    eventually(has_given_up)


def test_ends_that_are_not_kept_are_told(site: Site, open_page: OpenPage) -> None:
    """A loop of crashes does not look as if it had just begun."""
    crash_often(site)
    page = open_page(address(site, "looping"))
    cpu = page.get_by_role("region", name="CPU")
    expect(cpu).to_contain_text(re.compile(r"ends before \d\d:\d\d:\d\d are not kept"))
    expect(cpu.locator(".mark-end")).to_have_count(10)
    expect(cpu.locator(".chart-unknown")).to_have_attribute("d", re.compile("^M0 0H"))


def test_a_gap_in_a_chart_says_that_nobody_looked(talker: Page) -> None:
    """Use is measured for who looks at it."""
    now = talker.evaluate("Date.now() / 1000")
    at = [now - 300, now - 298, now - 4, now - 2]
    body = {"name": "talker", "at": at, "cpu": [0.1] * 4, "rss": [2.0**20] * 4}
    talker.route("**/processes/talker/samples", lambda route: route.fulfill(json=body))
    cpu = talker.get_by_role("region", name="CPU")
    talker.reload()
    expect(cpu).to_contain_text("gaps: not measured")


def test_the_newest_run_is_in_sight_on_a_phone(site: Site, open_page: OpenPage) -> None:
    """The oldest is what there is no room for."""
    crash_often(site)
    page = open_page(address(site, "looping"), size=PHONE)
    runs = page.get_by_role("list", name="Runs, the oldest first").get_by_role("button")
    expect(runs).to_have_count(10)
    last = runs.last.bounding_box()
    assert last is not None
    assert last["x"] + last["width"] <= PHONE["width"]


# -- what can be done -----------------------------------------------------------------------------


def test_stop_and_start(site: Site, talker: Page) -> None:
    """Stopping is confirmed, both are told, and what makes no sense can't be asked for."""
    expect(button(talker, "Start")).to_be_disabled()
    button(talker, "Stop…").click()
    agree(talker, "Cancel")
    assert site.daemon.status("talker").state == "RUNNING"
    button(talker, "Stop…").click()
    agree(talker, "Stop")
    expect(talker.get_by_role("status").filter(has_text="Stopped talker")).to_be_visible()
    expect(state(talker)).to_contain_text("STOPPED")
    expect(button(talker, "Stop…")).to_be_disabled()
    expect(button(talker, "Send input…")).to_be_disabled()
    button(talker, "Start").click()
    expect(state(talker)).to_contain_text("RUNNING")


def test_restart_and_signal(site: Site, talker: Page) -> None:
    """Another process runs afterwards; a signal does what it does."""
    before = site.daemon.status("talker").pid
    button(talker, "Restart…").click()
    agree(talker, "Restart")
    expect(fact(talker, "PID")).not_to_have_text(str(before))
    expect(fact(talker, "PID")).not_to_have_text("none")
    expect(state(talker)).to_contain_text("RUNNING")
    tell(site, "finish HUP 2")
    expect(log(talker)).to_contain_text("will finish on HUP")
    button(talker, "Signal…").click()
    talker.get_by_label("Signal", exact=True).select_option("HUP")
    agree(talker, "Choose")
    agree(talker, "Signal")
    expect(log(talker)).to_contain_text("finished")
    expect(state(talker)).to_contain_text("EXITED")
    button(talker, "Start").click()
    expect(state(talker)).to_contain_text("RUNNING")


def test_send_to_standard_input(talker: Page) -> None:
    """What is sent arrives."""
    button(talker, "Send input…").click()
    talker.get_by_label("Text").fill("say hello from the page")
    agree(talker, "Send")
    expect(lines(talker).filter(has_text="hello from the page")).to_be_visible()


def test_nothing_is_sent_to_who_has_no_input(site: Site, open_page: OpenPage) -> None:
    """The button says why, and what would change it."""
    page = open_page(address(site, "merged"))
    expect(state(page)).to_contain_text("RUNNING")
    expect(button(page, "Send input…")).to_be_disabled()
    expect(button(page, "Send input…")).to_have_attribute(
        "title", 'it has no standard input: set stdin = "pipe" for it'
    )
    expect(button(page, "Signal…")).to_be_enabled()


def test_what_is_refused_is_told_with_its_hint(
    site: Site, talker: Page, open_page: OpenPage
) -> None:
    """As the API has it."""
    open_page.complaints.excuse("409")
    button(talker, "Send input…").click()
    talker.get_by_label("Text").fill("hello")
    site.daemon.client.act("stop", ["talker"])
    agree(talker, "Send")
    told = talker.get_by_role("alert").filter(has_text="not done")
    expect(told).to_contain_text("talker is not running")
    expect(told).to_contain_text("opsvisorctl start")
    site.daemon.client.act("start", ["talker"])


def test_who_may_only_look_can_not_be_misled(begin: Begin, open_page: OpenPage) -> None:
    """No action is offered, and each button says why."""
    site = begin(
        '[program.a]\ncommand = "$VICTIM"\n',
        main='[identity.eve]\npassword = "s3cret"\naccess = "read"\n',
    )
    open_page.complaints.excuse("401")
    page = open_page(address(site, "a"))
    page.get_by_label("User name").fill("eve")
    page.get_by_label("Password", exact=True).fill("s3cret")
    button(page, "Log in").click()
    expect(state(page)).to_contain_text("RUNNING")
    for name in ("Stop…", "Restart…", "Signal…", "Send input…", "Clear…"):
        expect(button(page, name)).to_be_disabled()
        expect(button(page, name)).to_have_attribute("title", re.compile("access 'operate'"))


# -- the log --------------------------------------------------------------------------------------


def test_lines_come_as_they_are_written(site: Site, talker: Page) -> None:
    """Of the stream that was chosen, which the address keeps."""
    tell(site, "say to stdout", "complain to stderr")
    expect(lines(talker).filter(has_text="to stdout")).to_be_visible()
    expect(log(talker)).not_to_contain_text("to stderr")
    button(talker, "stderr").click()
    expect(lines(talker).filter(has_text="to stderr")).to_be_visible()
    expect(talker).to_have_url(re.compile("stream=stderr"))
    tell(site, "complain and another")
    expect(lines(talker).filter(has_text="and another")).to_be_visible()


def test_colours_are_shown_and_other_sequences_are_not(site: Site, talker: Page) -> None:
    """Sixteen, 256 and all; titles, links and cursor movements are gone."""
    tell(
        site,
        "say \x1b[31mred\x1b[0m plain \x1b[38;5;208morange\x1b[0m \x1b[1;38;2;1;2;3mown\x1b[0m",
        "say a\x1b]0;owned\x07b\x1b]8;;javascript:alert(1)\x1b\\c\x1b[2J\x1b[1;1Hd\x9b31me",
    )
    expect(lines(talker).nth(0)).to_have_text("red plain orange own")
    expect(lines(talker).nth(1)).to_have_text("abcde")
    expect(log(talker).locator(".ansi-fg-1")).to_have_text(["red", "e"])
    orange = log(talker).locator(".ansi-own").first
    expect(orange).to_have_text("orange")
    expect(orange).not_to_have_css("color", "rgb(28, 36, 48)")
    expect(log(talker).get_by_role("link")).to_have_count(0)


def test_a_log_line_never_becomes_more_than_text(site: Site, talker: Page) -> None:
    """Markup is shown as it was written, and nothing of it is carried out."""
    tell(site, f"say {HOSTILE}", f"complain {HOSTILE}", "say the end")
    expect(lines(talker).nth(0)).to_have_text(HOSTILE)
    expect(lines(talker).nth(1)).to_have_text("the end")
    assert log(talker).locator("img, script").count() == 0
    talker.get_by_role("searchbox", name="Search in the log").fill("onerror")
    expect(log(talker).locator("mark")).to_have_text("onerror")
    expect(talker).not_to_have_title("owned")


def test_a_name_never_becomes_more_than_text(hostile_site: Site, open_page: OpenPage) -> None:
    """Neither in the heading nor in a link, a dialog or a notice."""
    page = open_page(address(hostile_site, HOSTILE_NAME))
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE_NAME)
    expect(state(page)).to_contain_text("RUNNING")
    tell(hostile_site, "say found", name=HOSTILE_NAME)
    expect(lines(page).filter(has_text="found")).to_be_visible()
    button(page, "Restart…").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Restart {HOSTILE_NAME}?")
    agree(page, "Restart")
    expect(page.get_by_role("status").filter(has_text=f"Restarted {HOSTILE_NAME}")).to_be_visible()
    assert page.locator("main b, .notices b").count() == 0


def test_last_words_never_become_more_than_text(hostile_site: Site, open_page: OpenPage) -> None:
    """A post-mortem holds what the program wrote."""
    page = open_page(address(hostile_site, HOSTILE_NAME))
    expect(state(page)).to_contain_text("RUNNING")
    hostile_site.daemon.until(HOSTILE_NAME, "RUNNING")
    tell(hostile_site, f"complain {HOSTILE}", "exit 3", name=HOSTILE_NAME)
    page.get_by_role("tab", name=re.compile(r"^Runs \(")).click()
    bad = page.get_by_role("tabpanel").locator("details").filter(has_text="exit status 3")
    bad.locator("summary").click()
    expect(bad.get_by_label("Last lines of stderr")).to_have_text(HOSTILE)
    expect(page).not_to_have_title("owned")


def test_search(site: Site, talker: Page) -> None:
    """Counts, marks, goes from match to match, and can leave out all the rest."""
    tell(site, "count 1 300")
    expect(foot(talker)).to_contain_text("300 lines")
    talker.keyboard.press("/")
    box = talker.get_by_role("searchbox", name="Search in the log")
    expect(box).to_be_focused()
    box.fill("0000001")
    found = talker.get_by_role("search").get_by_role("status")
    expect(found).to_have_text("111 lines")
    box.press("Enter")
    expect(found).to_have_text("111 of 111 lines")
    current = log(talker).locator(".is-current")
    expect(current).to_have_text("000000199")
    box.press("Shift+Enter")
    expect(current).to_have_text("000000198")
    button(talker, "Next match").click()
    button(talker, "Next match").click()
    expect(found).to_have_text("1 of 111 lines")
    expect(current).to_have_text("000000001")
    expect(current).to_be_in_viewport()
    box.fill("0000001")
    button(talker, "Only matches").click()
    box.fill("00000029")
    expect(lines(talker)).to_have_text([f"{number:09}" for number in (29, *range(290, 300))])
    tell(site, "say more 00000029 comes", "say this does not")
    site.daemon.until_says("talker", "this does not")
    expect(lines(talker).last).to_have_text("more 00000029 comes")
    expect(found).to_have_text("12 lines")


def test_search_by_expression(site: Site, talker: Page) -> None:
    """What is wrong with it is said, and one that would never end is ended."""
    tell(site, "say GET /a 200", "say GET /b 500", f"say {'a' * 40}!")
    expect(lines(talker)).to_have_count(3)
    button(talker, "Regular expression").click()
    box = talker.get_by_role("searchbox", name="Search in the log")
    found = talker.get_by_role("search").get_by_role("status")
    box.fill(r"\s5\d\d$")
    expect(found).to_have_text("1 line")
    expect(log(talker).locator("mark")).to_have_text(" 500")
    box.fill("(a")
    expect(found).to_have_text("Unterminated group")
    box.fill("(a+)+$")
    expect(found).to_have_text(re.compile("it takes too long"))
    tell(site, "say and the page goes on")
    expect(lines(talker).filter(has_text="and the page goes on")).to_be_visible()


def test_reading_is_not_disturbed_by_what_comes(site: Site, talker: Page) -> None:
    """Who has scrolled up stays there, is told how much is new, and comes back by a button."""
    tell(site, "count 1 400")
    expect(foot(talker)).to_contain_text("400 lines")
    log(talker).hover()
    talker.mouse.wheel(0, -2000)
    expect(foot(talker)).to_contain_text("Not following")
    shown = line_at_the_top(talker)
    tell(site, "count 401 500")
    to_end = talker.get_by_role("button", name=re.compile("100 new lines"))
    expect(to_end).to_be_visible()
    assert line_at_the_top(talker) == shown
    to_end.click()
    expect(lines(talker).last).to_have_text("000000500")
    expect(lines(talker).last).to_be_in_viewport()
    expect(foot(talker)).to_contain_text("Following")
    tell(site, "say the newest")
    expect(lines(talker).last).to_have_text("the newest")
    expect(lines(talker).last).to_be_in_viewport()


def test_pause(site: Site, talker: Page) -> None:
    """Nothing moves until somebody goes on; then nothing is missing."""
    tell(site, "say before")
    expect(lines(talker)).to_have_count(1)
    button(talker, "Pause").click()
    expect(foot(talker)).to_contain_text("Paused")
    tell(site, "say meanwhile")
    site.daemon.until_says("talker", "meanwhile")
    expect(lines(talker)).to_have_count(1)
    button(talker, "Resume").click()
    expect(lines(talker)).to_have_text(["before", "meanwhile"])


def test_what_went_by_during_a_pause_is_told(site: Site, talker: Page) -> None:
    """Not as a flood, and no byte of what was shown before is counted among it."""
    tell(site, "count 1 3000")
    expect(lines(talker).last).to_have_text("000003000")
    button(talker, "Pause").click()
    expect(foot(talker)).to_contain_text("Paused")
    tell(site, "count 3001 10000")
    site.daemon.until_says("talker", "000010000")
    button(talker, "Resume").click()
    expect(lines(talker).last).to_have_text("000010000")
    expect(foot(talker)).to_contain_text("went by while this log stood still and are not shown")
    expect(foot(talker)).not_to_contain_text("came too fast")
    words = foot(talker).text_content() or ""
    told = re.search(r"([\d,]+) lines([\d.]+) KiB went by", words)
    assert told is not None, words
    shown = 10 * (int(told[1].replace(",", "")) - 1)  # the line that tells of the gap is one
    assert shown + 1024 * float(told[2]) == pytest.approx(10 * 10_000, abs=100)


def test_a_log_goes_on_after_a_crash_of_the_daemon(begin: Begin, open_page: OpenPage) -> None:
    """What was said meanwhile comes, once; that the daemon began anew is noted."""
    open_page.complaints.excuse("ERR_")
    site = begin(
        '[program.a]\ncommand = "$VICTIM"\nstdin = "pipe"\nlog = { stdout = "$HERE/a.log" }\n'
    )
    site.daemon.until("a", "RUNNING")
    page = open_page(address(site, "a"))
    expect(foot(page)).to_contain_text("Following")
    tell(site, "say before", name="a")
    expect(lines(page)).to_have_text(["before"])
    site.daemon.crash()
    expect(foot(page)).to_contain_text("Connection lost")
    site.daemon.begin_again()
    tell(site, "say after", name="a")
    said = log(page).locator(".is-said")
    expect(said).to_have_text(["before", "after"])
    expect(log(page)).to_contain_text("opsvisord began anew")


def test_a_process_that_comes_back(begin: Begin, open_page: OpenPage) -> None:
    """Taken out of the configuration it is said to be gone, and put back it is there again."""
    open_page.complaints.excuse("404")
    programs = '[program.a]\ncommand = "$VICTIM"\n'
    site = begin(f'{programs}[program.b]\ncommand = "$VICTIM"\n')
    site.daemon.until("b", "RUNNING")
    page = open_page(address(site, "b"))
    expect(foot(page)).to_contain_text("Following")
    whole = site.daemon.home.programs.read_text()
    site.daemon.home.rewrite(programs)
    site.daemon.client.apply()
    gone = page.get_by_role("alert").filter(has_text="This process was removed")
    expect(gone).to_contain_text("b is no longer in the configuration")
    expect(gone.get_by_role("link", name="All processes")).to_be_visible()
    expect(state(page)).to_have_count(0)
    expect(button(page, "Restart…")).to_have_count(0)
    site.daemon.home.programs.write_text(whole)
    site.daemon.client.apply()
    expect(gone).to_have_count(0)
    expect(state(page)).to_contain_text("RUNNING")
    expect(foot(page)).to_contain_text("Following")


def test_wrap_and_times(site: Site, talker: Page) -> None:
    """A long line is wrapped or not, and each says when it came; both are remembered."""
    tell(site, f"say {'long ' * 200}")
    line = lines(talker).first
    expect(line).to_contain_text("long")

    def height() -> float:
        box = line.bounding_box()
        assert box is not None
        return box["height"]

    assert height() > 30
    # However its rows were counted, it ends at the end: colours take no room.
    coloured = "\x1b[31mx\x1b[0m" * 90
    tell(site, *(f"say {coloured} {number}" for number in range(60)))
    expect(lines(talker).last).to_have_text(re.compile("x 59$"))
    bottom = lines(talker).last.evaluate("(line) => line.getBoundingClientRect().bottom")
    end = log(talker).evaluate("(log) => log.getBoundingClientRect().bottom")
    assert 0 <= end - bottom < 30, (bottom, end)
    site.daemon.client.clear_logs(["talker"])
    talker.reload()
    tell(site, f"say {'long ' * 200}")
    expect(line).to_contain_text("long")
    button(talker, "Wrap long lines").click()
    expect(button(talker, "Wrap long lines")).to_have_attribute("aria-pressed", "false")
    talker.wait_for_function("document.querySelector('.log-line').clientHeight < 30")
    button(talker, "Times of lines").click()
    expect(line.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    talker.reload()
    expect(lines(talker).first.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(button(talker, "Wrap long lines")).to_have_attribute("aria-pressed", "false")


def test_download(site: Site, talker: Page, tmp_path: Path) -> None:
    """The whole log as a file, byte for byte."""
    tell(site, "say \x1b[31mred\x1b[0m <b>", "count 1 5000")
    site.daemon.until_says("talker", "000005000")
    with talker.expect_download() as coming:
        talker.get_by_role("link", name="Download all of stdout").click()
    coming.value.save_as(tmp_path / "log")
    assert coming.value.suggested_filename == "talker.stdout.log"
    assert (tmp_path / "log").read_bytes() == Path(
        site.daemon.status("talker").stdout_log
    ).read_bytes()
    expect(state(talker)).to_contain_text("RUNNING")


def test_clear(site: Site, talker: Page) -> None:
    """Confirmed, carried out, told, and the view is empty; what comes then is shown."""
    tell(site, "say old")
    expect(lines(talker)).to_have_text(["old"])
    button(talker, "Clear…").click()
    agree(talker, "Clear")
    expect(lines(talker)).to_have_count(0)
    assert site.daemon.output_of("talker") == ""
    tell(site, "say new")
    expect(lines(talker)).to_have_text(["new"])


def test_a_stream_without_a_log_of_its_own(site: Site, open_page: OpenPage) -> None:
    """Says where its output goes."""
    open_page.complaints.excuse("404")
    page = open_page(address(site, "merged", "?stream=stderr"))
    panel = page.get_by_role("region", name="Log")
    expect(panel).to_contain_text("merged has no log of its stderr")
    expect(panel).to_contain_text("ask for stdout")


def test_the_page_survives_a_flood(site: Site, open_page: OpenPage) -> None:
    """It stays quick and small, says what it has not shown, and holds still for who reads."""
    page = open_page(address(site, "flood"))
    button(page, "Start").click()
    expect(foot(page)).to_contain_text("came too fast and are not shown")
    expect(foot(page)).to_contain_text("older lines let go")
    # What bounds the page's work, whatever the machine has to spare for it: so many nodes, so many
    # lines that are kept; and what somebody does is heard between the lines.
    kept = re.compile(r"Following · ([\d,]+) lines")
    expect(foot(page)).to_contain_text(kept)
    found = kept.search(foot(page).inner_text())
    assert found is not None
    assert int(found[1].replace(",", "")) <= LINES_KEPT
    assert page.locator("*").count() < 1500
    log(page).hover()
    page.mouse.wheel(0, -3000)
    expect(foot(page)).to_contain_text("Held")
    expect(page.get_by_role("button", name=re.compile("and more waits"))).to_be_visible()
    shown = lines(page).all_inner_texts()
    assert page.locator("*").count() < 1500
    box = page.get_by_role("searchbox", name="Search in the log")
    box.fill("xxx")
    expect(page.get_by_role("search").get_by_role("status")).to_have_text(re.compile("lines$"))
    assert lines(page).all_inner_texts() == shown
    button(page, "Stop…").click()
    agree(page, "Stop")
    expect(state(page)).to_contain_text("STOPPED")


# -- settings and tree ----------------------------------------------------------------------------


def test_where_each_option_came_from(talker: Page) -> None:
    """What is set first; all of them on request; filtered as one types."""
    talker.get_by_role("tab", name="Configuration").click()
    table = talker.get_by_role("table", name="Options of talker")
    kill_delay = table.get_by_role("row").filter(has=talker.get_by_text("kill_delay", exact=True))
    expect(kill_delay).to_contain_text("2s")
    expect(kill_delay).to_contain_text(re.compile(r"programs\.toml:\d+"))
    expect(table).to_contain_text("environment.COLOUR")
    expect(table).to_contain_text("green")
    expect(button(talker, "Send input…")).to_be_enabled()
    few = table.get_by_role("row").count()
    talker.get_by_label("Only what is set").uncheck()
    expect(table).to_contain_text("default")
    assert table.get_by_role("row").count() > few
    talker.get_by_role("searchbox", name="Filter options").fill("kill_d")
    expect(table.get_by_role("row")).to_have_count(2)


def test_who_runs_for_it(site: Site, open_page: OpenPage) -> None:
    """Parent and child, with what they use."""
    page = open_page(address(site, "parent", "?tab=tree"))
    table = page.get_by_role("table", name="Process tree")
    expect(table.get_by_role("row")).to_have_count(3)
    expect(table).to_contain_text("victim.py")
    expect(table.get_by_role("row").nth(1)).to_contain_text(str(site.daemon.status("parent").pid))
    expect(table.get_by_role("row").nth(2)).to_contain_text("MiB")
    expect(page.get_by_role("tabpanel")).to_contain_text("2 processes")


# -- for everybody --------------------------------------------------------------------------------


def test_tabs_by_keyboard(talker: Page) -> None:
    """Arrows go from one to the next, and the address follows."""
    talker.get_by_role("tab", name="Log").focus()
    talker.keyboard.press("ArrowRight")
    expect(talker.get_by_role("tab", name=re.compile("^Runs"))).to_be_focused()
    expect(talker).to_have_url(re.compile("tab=runs"))
    talker.keyboard.press("End")
    expect(talker.get_by_role("tab", name="Process tree")).to_be_focused()
    talker.keyboard.press("ArrowRight")
    expect(talker.get_by_role("tabpanel")).to_have_accessible_name("Log")


@pytest.mark.parametrize(
    ("theme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)]
)
def test_accessible(site: Site, open_page: OpenPage, theme: Theme, size: ViewportSize) -> None:
    """No rule of axe is broken, whichever part is shown, in both themes and on a phone."""
    page = open_page(address(site, "talker"), theme=theme, size=size)
    expect(foot(page)).to_contain_text("Following")
    colours = "".join(f"\x1b[{code}m{code} " for code in (*range(30, 38), *range(90, 98)))
    grounds = "".join(f"\x1b[{code}m{code} " for code in (*range(40, 48), *range(100, 108)))
    tell(site, f"say {colours}\x1b[0m{grounds}\x1b[0m\x1b[38;5;21mblue\x1b[0m found", "say found")
    expect(lines(page).filter(has_text="found").first).to_be_visible()
    page.get_by_role("searchbox", name="Search in the log").fill("found")
    expect(log(page).locator("mark").first).to_be_visible()
    check_accessible(page)
    for tab in ("Configuration", "Process tree"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel").get_by_role("row").nth(1)).to_be_visible()
        check_accessible(page)
    page.get_by_role("tab", name="Timeline").click()
    expect(page.get_by_role("tabpanel").get_by_role("listitem").first).to_be_visible()
    check_accessible(page)
    page = open_page(address(site, "missing", "?tab=runs"), theme=theme, size=size)
    page.locator("details.run summary").first.click()
    check_accessible(page)


def test_a_phone_shows_everything_within_its_width(site: Site, open_page: OpenPage) -> None:
    """Nothing has to be scrolled sideways."""
    page = open_page(address(site, "talker"), size=PHONE)
    expect(foot(page)).to_contain_text("Following")
    for tab in ("Log", "Runs", "Timeline", "Configuration", "Process tree"):
        page.get_by_role("tab", name=re.compile(f"^{tab}")).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
