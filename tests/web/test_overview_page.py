"""The overview, as somebody sees and uses it who is called at three in the morning."""

import re
import time

import pytest
from browsing import DESK, PHONE, Begin, OpenPage, Site, Theme, check_accessible
from playwright.sync_api import Locator, Page, ViewportSize, expect

PROGRAMS = """\
    [program.api]
    command = "$VICTIM"
    replicas = 2
    kill_delay = "2s"

    [program.db]
    command = "$VICTIM"

    [program.worker]
    command = "$VICTIM"
    restart = "always"
    backoff_delay = "60s"
    backoff_limit = "60s"
    stdin = "pipe"
    success_exit_codes = [0]

    [program.crasher]
    command = "$VICTIM"
    restart = "always"
    backoff_delay = "60s"
    backoff_limit = "60s"
    stdin = "pipe"

    [program.spare]
    command = "$VICTIM"
    startup = "manual"

    [program.broken]
    command = ["$HERE/no-such-program"]
    backoff_delay = "600s"
    backoff_limit = "600s"
    restart_limit_count = 0

    [program.missing]
    command = ["$HERE/no-such-program"]
    startup = "manual"

    [program.job]
    command = "$VICTIM 'exit 0'"
    group = "jobs"
    restart = "no"

    [program.other]
    command = "$VICTIM"
    group = "jobs"
"""


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon with programs in several states."""
    site = begin(PROGRAMS)
    site.daemon.until("broken", "BACKOFF")
    site.daemon.until("jobs:job", "EXITED")
    for name in ("api:api_0", "api:api_1", "crasher", "db", "worker", "jobs:other"):
        site.daemon.until(name, "RUNNING")
    return site


@pytest.fixture
def overview(site: Site, open_page: OpenPage) -> Page:
    """The overview, with what the daemon has to tell."""
    page = open_page(site.url)
    expect(row(page, "db")).to_be_visible()
    return page


def row(page: Page, name: str) -> Locator:
    """The row of a process."""
    link = page.get_by_role("link", name=name, exact=True)
    return page.get_by_role("row").filter(has=link)


def links(page: Page) -> Locator:
    """All processes that are shown, in their order."""
    return page.get_by_role("table").get_by_role("rowheader").get_by_role("link")


def names(page: Page) -> list[str]:
    """Their names as they are now, to be asked for when the order is settled."""
    return links(page).all_inner_texts()


def confirm(page: Page, button: str) -> None:
    """Agree to what is asked."""
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()


# -- what is shown --------------------------------------------------------------------------------


def test_what_is_wrong_comes_first(site: Site, overview: Page) -> None:
    """Above everything else, with the reason and what happens next."""
    expect(overview).to_have_title(re.compile(r"^\(\d+\) Processes · "))
    expect(links(overview).first).to_have_text("broken")
    broken = row(overview, "broken")
    expect(broken).to_contain_text("BACKOFF")
    status = site.daemon.client.process("broken").status
    assert 9 * 60 <= status.retry_at - status.since < 12 * 60
    minutes = int((status.retry_at - time.time()) / 60)
    expect(broken).to_contain_text(re.compile(rf"retry in ({minutes}|{minutes - 1}) min"))
    expect(broken).to_contain_text("can't find command")
    expect(overview.get_by_role("status").filter(has_text="need")).to_contain_text("10 processes")
    identifier = site.daemon.client.daemon().identifier
    expect(overview.get_by_role("banner")).to_contain_text(identifier)


def test_the_time_goes_on_by_itself(overview: Page) -> None:
    """The time in a state counts up, and that to the next attempt counts down."""
    since = row(overview, "db").get_by_role("cell").nth(2)
    before = since.inner_text()
    expect(since).not_to_have_text(before)
    left = row(overview, "broken").locator("strong")
    before = left.inner_text()
    expect(left).not_to_have_text(before)


def test_use_is_measured_while_somebody_looks(overview: Page) -> None:
    """CPU and memory come with lines of the last minutes."""
    db = row(overview, "db")
    expect(db).to_contain_text("MiB")
    line = db.get_by_role("img", name=re.compile(r"^Memory: now .*MiB"))
    expect(line).to_be_visible()


def test_a_crash_is_seen_to_appear(site: Site, overview: Page) -> None:
    """Without a reload, and it comes to the top; so does its end."""
    crasher = row(overview, "crasher")
    expect(crasher).to_contain_text("RUNNING")
    site.daemon.client.write_stdin("crasher", "die SEGV\n")
    expect(crasher).to_contain_text("last ended by SIGSEGV")  # it runs again: the first is at once
    site.daemon.client.write_stdin("crasher", "exit 3\n")
    expect(crasher).to_contain_text("BACKOFF")
    expect(crasher).to_contain_text("exit status 3")
    expect(links(overview).nth(0)).to_have_text("broken")
    expect(links(overview).nth(1)).to_have_text("crasher")
    crasher.get_by_role("button", name="Start crasher", exact=True).click()
    expect(crasher).to_contain_text("RUNNING")
    expect(links(overview).nth(1)).not_to_have_text("crasher")


def test_groups_can_be_folded(overview: Page) -> None:
    """And are still so after a reload."""
    head = overview.get_by_role("button", name="jobs", exact=True)
    expect(head).to_have_attribute("aria-expanded", "true")
    head.click()
    expect(row(overview, "jobs:job")).to_have_count(0)
    overview.reload()
    expect(overview.get_by_role("button", name="jobs", exact=True)).to_have_attribute(
        "aria-expanded", "false"
    )
    expect(row(overview, "db")).to_be_visible()
    expect(row(overview, "jobs:job")).to_have_count(0)


def test_a_column_gives_the_order(overview: Page) -> None:
    """Once, the other way, and then as it was."""
    head = overview.get_by_role("columnheader", name="Process")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    ascending = sorted(names(overview))
    expect(links(overview)).to_have_text(ascending)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(links(overview)).to_have_text(ascending[::-1])
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "none")
    expect(links(overview).first).to_have_text("broken")


# -- finding --------------------------------------------------------------------------------------


def test_the_filter_works_as_one_types(overview: Page) -> None:
    """From the key that leads to it to the one that clears it; the address keeps it."""
    overview.keyboard.press("/")
    expect(overview.get_by_role("searchbox", name="Filter")).to_be_focused()
    overview.keyboard.type("api")
    expect(row(overview, "db")).to_have_count(0)
    expect(links(overview)).to_have_text(["api:api_0", "api:api_1"])
    overview.keyboard.type(":api_1")
    expect(row(overview, "api:api_0")).to_have_count(0)
    overview.reload()
    expect(row(overview, "api:api_1")).to_be_visible()
    expect(row(overview, "db")).to_have_count(0)
    overview.get_by_role("searchbox").focus()
    overview.keyboard.press("Escape")
    expect(row(overview, "db")).to_be_visible()


def test_words_of_the_filter_mean_something(overview: Page) -> None:
    """States, groups and facts; a minus turns one round."""
    box = overview.get_by_role("searchbox", name="Filter")
    for text, expected in {
        "state:exited": ["jobs:job"],
        "state:exited,stopped": ["jobs:job", "missing", "spare"],
        "group:jobs -state:exited": ["jobs:other"],
        "is:wrong": ["broken"],
        "group:ap*": ["api:api_0", "api:api_1"],
    }.items():
        box.fill(text)
        expect(overview.get_by_role("status").filter(has_text="shown")).to_contain_text(
            f"{len(expected)} of 10"
        )
        expect(links(overview)).to_have_text(expected)
    box.fill("no such thing")
    expect(overview.get_by_text("No process matches this filter.")).to_be_visible()
    overview.get_by_role("button", name="Clear the filter").click()
    expect(row(overview, "db")).to_be_visible()


def test_counts_are_filters(overview: Page) -> None:
    """One press for a state, another to have all again."""
    chip = overview.get_by_role("button", name=re.compile("^BACKOFF 1$"))
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(row(overview, "db")).to_have_count(0)
    expect(links(overview)).to_have_text(["broken"])
    chip.click()
    expect(row(overview, "db")).to_be_visible()


# -- acting ---------------------------------------------------------------------------------------


def test_a_stop_is_confirmed_and_its_outcome_shown(site: Site, overview: Page) -> None:
    """To think better of it does nothing."""
    db = row(overview, "db")
    pid = site.daemon.status("db").pid
    db.get_by_role("button", name="Stop db", exact=True).click()
    dialog = overview.get_by_role("dialog", name="Stop db?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    overview.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert site.daemon.status("db").pid == pid
    db.get_by_role("button", name="Stop db", exact=True).click()
    confirm(overview, "Stop")
    expect(overview.get_by_role("region", name="Results")).to_contain_text("Stopped db")
    expect(db).to_contain_text("STOPPED")
    db.get_by_role("button", name="Start db", exact=True).click()
    expect(overview.get_by_role("region", name="Results")).to_contain_text("Started db")
    expect(db).to_contain_text("RUNNING")
    assert site.daemon.status("db").pid not in (0, pid)


def test_a_restart_with_a_reason(site: Site, overview: Page) -> None:
    """Another process, as soon as it was confirmed; the audit log has why."""
    pid = site.daemon.status("db").pid
    row(overview, "db").get_by_role("button", name="Restart db", exact=True).click()
    reason = overview.get_by_role("dialog").get_by_role("textbox", name="Reason")
    reason.fill("new release, 50 % of it")
    reason.press("Enter")
    expect(overview.get_by_role("region", name="Results")).to_contain_text("Restarted db")
    site.daemon.until_logged("new release, 50 % of it")
    assert site.daemon.status("db").pid not in (0, pid)


def test_several_at_once(overview: Page) -> None:
    """A range by shift; what became of each is told, and what failed says why."""
    overview.get_by_role("searchbox", name="Filter").fill("-group:jobs -broken -crasher -worker")
    overview.get_by_role("columnheader", name="Process").get_by_role("button").click()
    overview.get_by_role("checkbox", name="Select api:api_1").click()
    overview.get_by_role("checkbox", name="Select missing").click(modifiers=["Shift"])
    bar = overview.get_by_role("toolbar", name="Selected processes")
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Restart", exact=True).click()
    dialog = overview.get_by_role("dialog", name="Restart 3 processes?")
    expect(dialog.get_by_role("listitem")).to_have_text(["api:api_1", "db", "missing"])
    confirm(overview, "Restart 3 processes")
    alert = overview.get_by_role("region", name="Results").get_by_role("alert")
    expect(alert).to_contain_text("Restart: 2 of 3 done, 1 not")
    expect(alert.get_by_role("listitem").first).to_contain_text("missing no file: can't find")
    bar.get_by_role("button", name="Clear selection").click()
    expect(bar).to_be_hidden()


def test_all_that_the_filter_shows(overview: Page) -> None:
    """Nothing else is selected by that."""
    overview.get_by_role("searchbox", name="Filter").fill("group:api")
    expect(row(overview, "db")).to_have_count(0)
    overview.get_by_role("checkbox", name="Select all shown").click()
    bar = overview.get_by_role("toolbar", name="Selected processes")
    expect(bar).to_contain_text("2 selected")
    overview.get_by_role("searchbox", name="Filter").fill("")
    everything = overview.get_by_role("checkbox", name="Select all shown")
    assert everything.evaluate("(box) => box.indeterminate")
    group = overview.get_by_role("checkbox", name="Select all of api")
    expect(group).to_be_checked()
    group.click()
    expect(bar).to_be_hidden()


def test_a_signal(site: Site, overview: Page) -> None:
    """Whatever the program does then is seen."""
    site.daemon.client.write_stdin("worker", "finish USR1 1\n")
    site.daemon.until_says("worker", "will finish on USR1")
    overview.get_by_role("checkbox", name="Select worker").click()
    bar = overview.get_by_role("toolbar", name="Selected processes")
    bar.get_by_role("combobox", name="Signal").select_option("USR1")
    bar.get_by_role("button", name="Send").click()
    expect(overview.get_by_role("dialog", name="Send SIGUSR1 to worker?")).to_be_visible()
    confirm(overview, "Signal")
    expect(overview.get_by_role("region", name="Results")).to_contain_text("Signalled worker")
    site.daemon.until_says("worker", "finished")


def test_what_is_wrong_with_a_start_is_told(overview: Page) -> None:
    """Where it was asked for, until somebody has seen it."""
    row(overview, "missing").get_by_role("button", name="Start missing", exact=True).click()
    alert = overview.get_by_role("region", name="Results").get_by_role("alert")
    expect(alert).to_contain_text("Start missing: no file")
    expect(alert).to_contain_text("can't find command")
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_have_count(0)


# -- keys -----------------------------------------------------------------------------------------


def test_the_keyboard_is_enough(site: Site, overview: Page) -> None:
    """Down and up, select, act, open; and a key that tells all of them."""
    press = overview.keyboard.press
    press("?")
    keys = overview.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("next process")
    press("Escape")
    expect(keys).to_have_count(0)
    press("j")
    expect(overview.get_by_role("link", name="broken", exact=True)).to_be_focused()
    press("ArrowDown")
    second = names(overview)[1]
    expect(overview.get_by_role("link", name=second, exact=True)).to_be_focused()
    press("x")
    bar = overview.get_by_role("toolbar", name="Selected processes")
    expect(bar).to_contain_text("1 selected")
    press("r")
    expect(overview.get_by_role("dialog", name=f"Restart {second}?")).to_be_visible()
    press("Escape")
    press("Escape")
    expect(bar).to_be_hidden()
    press("k")
    expect(overview.get_by_role("link", name="broken", exact=True)).to_be_focused()
    press("Enter")
    expect(overview).to_have_url(f"{site.url}#/process/broken")


def test_single_keys_can_be_turned_off(overview: Page) -> None:
    """Who dictates would set them off all the time."""
    overview.keyboard.press("?")
    overview.get_by_role("checkbox", name="Single keys do something on this page").click()
    overview.get_by_role("button", name="Close").click()
    overview.keyboard.press("a")
    overview.keyboard.press("/")
    expect(overview.get_by_role("searchbox", name="Filter")).not_to_be_focused()
    expect(overview.get_by_role("toolbar", name="Selected processes")).to_be_hidden()


# -- how it looks ---------------------------------------------------------------------------------


def test_light_or_dark(overview: Page) -> None:
    """As the system has it, or as was chosen, for good."""

    def background() -> str:
        text = overview.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert isinstance(text, str)
        return text

    light = background()
    overview.get_by_role("combobox", name="Theme").select_option("Dark")
    dark = background()
    assert dark != light
    overview.reload()
    expect(row(overview, "db")).to_be_visible()
    assert background() == dark
    overview.get_by_role("combobox", name="Theme").select_option("Auto")
    assert background() == light
    overview.emulate_media(color_scheme="dark")
    assert background() == dark


def test_a_phone_is_wide_enough(site: Site, open_page: OpenPage) -> None:
    """Cards instead of a table, and nothing to scroll sideways for."""
    page = open_page(site.url, size=PHONE, has_touch=True)
    broken = row(page, "broken")
    expect(broken).to_contain_text("retry in")
    expect(broken.get_by_role("button", name="Start broken", exact=True)).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("combobox", name="Sort by").select_option("By name")
    expect(links(page)).to_have_text(sorted(names(page)))


@pytest.mark.parametrize("width", [360, 768, 1024])
def test_figures_and_reasons_have_room(site: Site, open_page: OpenPage, width: int) -> None:
    """However wide the screen is: no figure is cut off, and a reason is more than a word."""
    page = open_page(site.url, size={"width": width, "height": 740})
    memory = row(page, "crasher").locator(".memory")
    expect(memory).to_contain_text("MiB")
    assert memory.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth")
    outlook = row(page, "broken").locator(".outlook").bounding_box()
    assert outlook is not None
    assert outlook["width"] > 150


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(
    site: Site, open_page: OpenPage, theme: Theme, size: ViewportSize
) -> None:
    """Neither in the table, nor in what is opened on it."""
    page = open_page(site.url, theme=theme, size=size)
    expect(row(page, "db")).to_contain_text("MiB")
    check_accessible(page)
    page.get_by_role("searchbox", name="Filter").fill("is:down")  # a phone shows few at a time
    page.get_by_role("checkbox", name="Select broken").check()
    row(page, "missing").get_by_role("button", name="Start missing", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no file")
    check_accessible(page)
    page.get_by_role("toolbar").get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check_accessible(page)
