"""The page of the daemon: its health, its configuration and what happens."""

import re

import pytest
from browsing import PHONE, Begin, OpenPage, Site, Theme, check_accessible
from playwright.sync_api import Locator, Page, expect

PROGRAMS = """\
    [program.web]
    command = "$VICTIM"
    kill_delay = "2s"
    environment = { GREETING = "hello" }

    [program.db]
    command = "$VICTIM"
"""
CHANGED = """\
    [program.web]
    command = "$VICTIM"
    kill_delay = "3s"
    environment = { GREETING = "goodbye" }

    [program.queue]
    command = "$VICTIM"
"""
WRONG = """\
    [program.web]
    command = "$VICTIM"
    stop_signal = "TERMM"
"""


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon with two programs."""
    site = begin(PROGRAMS)
    site.daemon.until("web", "RUNNING")
    return site


@pytest.fixture
def page(site: Site, open_page: OpenPage) -> Page:
    """The page of the daemon, with what there is to tell; its files are as they were at first."""
    site.daemon.home.rewrite(PROGRAMS)
    site.daemon.client.apply()
    page = open_page(f"{site.url}#/daemon")
    expect(panel(page, "Health")).to_contain_text("Loop lag")
    return page


def panel(page: Page, name: str) -> Locator:
    """One of its parts."""
    return page.get_by_role("region", name=name, exact=True)


def confirm(page: Page, button: str) -> None:
    """Agree to what is asked."""
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()


def test_the_daemon_tells_of_itself(site: Site, page: Page) -> None:
    """Who it is, since when, from which files, and how it feels."""
    told = site.daemon.client.daemon()
    facts = panel(page, "Daemon")
    for text in (told.identifier, told.version, str(told.pid), told.user, *told.config_files):
        expect(facts).to_contain_text(text)
    expect(page).to_have_title(re.compile("Daemon"))
    health = panel(page, "Health")
    expect(health).to_contain_text("Internal errors0")
    expect(health).to_contain_text("MiB")


def test_changes_are_shown_before_they_are_applied(site: Site, page: Page) -> None:
    """Which options, from what to what, and who is restarted; then what became of it."""
    config = panel(page, "Configuration")
    config.get_by_role("button", name="Look for changes").click()
    expect(config).to_contain_text("Nothing would change.")
    site.daemon.home.rewrite(CHANGED)
    pid = site.daemon.status("web").pid
    config.get_by_role("button", name="Look for changes").click()
    web = config.get_by_role("listitem").filter(has_text="web")
    expect(web).to_contain_text("It is restarted for that.")
    expect(web.get_by_role("row").filter(has_text="kill_delay")).to_contain_text('"2s""3s"')
    expect(web.get_by_role("row").filter(has_text="GREETING")).to_contain_text("hello")
    expect(config.get_by_role("listitem").filter(has_text="added")).to_contain_text("queue")
    expect(config.get_by_role("listitem").filter(has_text="removed")).to_contain_text("db")
    assert site.daemon.status("web").pid == pid
    config.get_by_role("button", name="Apply…").click()
    dialog = page.get_by_role("dialog", name="Apply the configuration?")
    expect(dialog).to_contain_text("db is stopped and removed.")
    expect(dialog).to_contain_text("web is restarted.")
    expect(dialog).to_contain_text("queue is added.")
    confirm(page, "Apply")
    results = page.get_by_role("region", name="Results")
    expect(results).to_contain_text(re.compile(r"Generation \d+ is in use"))
    assert site.daemon.status("web").pid not in (0, pid)
    assert "db" not in site.daemon.statuses()
    page.get_by_role("link", name="Processes", exact=True).click()
    processes = page.get_by_role("table").get_by_role("rowheader")  # the events have links too
    expect(processes.get_by_role("link", name="queue", exact=True)).to_be_visible()
    expect(processes.get_by_role("link", name="db", exact=True)).to_have_count(0)


def test_what_is_wrong_in_a_file_is_told_with_its_place(
    site: Site, page: Page, open_page: OpenPage
) -> None:
    """File, line, what and a hint; it is gone when that is put right."""
    open_page.complaints.excuse("422")
    site.daemon.home.rewrite(WRONG)
    config = panel(page, "Configuration")
    config.get_by_role("button", name="Look for changes").click()
    alert = config.get_by_role("alert")
    expect(alert).to_contain_text("programs.toml:3")
    expect(alert).to_contain_text("stop_signal = 'TERMM'")
    expect(alert).to_contain_text("Hint: did you mean 'TERM'?")
    page.reload()
    expect(alert).to_contain_text("programs.toml:3")
    site.daemon.home.rewrite(PROGRAMS)
    config.get_by_role("button", name="Look for changes").click()
    expect(alert).to_have_count(0)
    expect(config).to_contain_text("Nothing would change.")


def test_events_come_as_they_happen(site: Site, page: Page) -> None:
    """They can be looked through, and held while one reads."""
    events = panel(page, "Events")
    lines = events.get_by_role("list", name="Events")
    site.daemon.client.act("restart", ["web"])
    expect(lines).to_contain_text(re.compile(r"web started with pid \d+"))
    events.get_by_role("searchbox", name="Filter events").fill("process spawned web")
    expect(lines.get_by_role("listitem").last).to_contain_text("web started with pid")
    expect(lines).not_to_contain_text("STOPPING -> STOPPED", use_inner_text=True)
    events.get_by_role("button", name="Pause").click()
    before = lines.get_by_role("listitem").count()
    site.daemon.client.act("restart", ["web"])
    button = events.get_by_role("button", name=re.compile(r"Continue \(\d+ lines more\)"))
    expect(button).to_be_visible()
    assert lines.get_by_role("listitem").count() == before
    button.click()
    expect(lines.get_by_role("listitem")).to_have_count(before + 1)


def test_the_daemon_s_own_log_is_followed(site: Site, page: Page) -> None:
    """From its last lines on."""
    log = panel(page, "Daemon log").get_by_role("list", name="Daemon log")
    expect(log).to_contain_text("spawned: 'web'")
    site.daemon.client.act("stop", ["web"])
    expect(log.get_by_role("listitem").last).to_contain_text("control action")
    site.daemon.client.act("start", ["web"])


def test_an_upgrade_is_seen_through(site: Site, page: Page) -> None:
    """The page goes on with the new version of the daemon by itself."""
    facts = panel(page, "Daemon")
    facts.get_by_role("button", name="Upgrade").click()
    expect(page.get_by_role("dialog", name="Upgrade?")).to_contain_text("programs run on")
    confirm(page, "Upgrade")
    expect(page.get_by_role("region", name="Results")).to_contain_text("The upgrade begins")
    expect(facts).to_contain_text(re.compile("Upgraded1 time"))
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    site.daemon.client.act("restart", ["web"])
    log = panel(page, "Events").get_by_role("list", name="Events")
    expect(log).to_contain_text("web started with pid")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site: Site, open_page: OpenPage, theme: Theme) -> None:
    """With a preview, and on a phone."""
    open_page.complaints.excuse("422")
    site.daemon.home.rewrite(PROGRAMS)
    site.daemon.client.apply()
    site.daemon.home.rewrite(CHANGED)
    page = open_page(f"{site.url}#/daemon", theme=theme)
    panel(page, "Configuration").get_by_role("button", name="Look for changes").click()
    expect(panel(page, "Configuration")).to_contain_text("kill_delay")
    expect(panel(page, "Health")).to_contain_text("Loop lag")
    check_accessible(page)
    site.daemon.home.rewrite(WRONG)
    panel(page, "Configuration").get_by_role("button", name="Look for changes").click()
    expect(page.get_by_role("alert")).to_contain_text("TERMM")
    page.set_viewport_size(PHONE)
    check_accessible(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_shutdown_is_confirmed_and_seen(begin: Begin, open_page: OpenPage) -> None:
    """What it means is said before; afterwards, the page says that nobody answers."""
    open_page.complaints.excuse("ERR_CONNECTION_REFUSED")
    open_page.complaints.excuse("ERR_INCOMPLETE_CHUNKED_ENCODING")
    site = begin(PROGRAMS)
    page = open_page(site.url)
    pick = page.get_by_role("checkbox", name="Select web", exact=True)
    expect(pick).to_be_visible()  # or there would be none later, when nobody can be asked
    page.get_by_role("link", name="Daemon").click()
    panel(page, "Daemon").get_by_role("button", name="Shut down").click()
    expect(page.get_by_role("dialog", name="Shut down?")).to_contain_text("can't start it again")
    confirm(page, "Shut down")
    assert site.daemon.wait() == 0
    expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    page.get_by_role("link", name="Processes", exact=True).click()
    pick.click()  # its own button depends on its state: STOPPING may be the last that was told
    bar = page.get_by_role("toolbar", name="Selected processes")
    bar.get_by_role("button", name="Restart", exact=True).click()
    confirm(page, "Restart")
    alert = page.get_by_role("region", name="Results").get_by_role("alert")
    expect(alert).to_contain_text("web: not done")
    expect(alert).to_contain_text("the daemon does not answer")
