"""The page about the API, as somebody reads it who is about to write a script."""

import re
import shlex
import subprocess

import pytest
from browsing import DESK, PHONE, Begin, OpenPage, Site, Theme, check_accessible
from playwright.sync_api import Locator, Page, ViewportSize, expect

from opsvisor.api.routes import ROUTES

PROGRAMS = "[program.web]\ncommand = '$VICTIM'\nstdin = 'pipe'\n"
READER = """
    [identity.reader]
    access = "read"
    password = "only-looking"
    """
LIMIT = 60.0  # seconds; only a failure takes as long


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon that asks nobody."""
    site = begin(PROGRAMS)
    site.daemon.until("web", "RUNNING")
    return site


def opened(page: Page, path: str, method: str = "GET") -> Locator:
    """An operation, opened by a click on its line."""
    line = page.locator("summary").filter(has=page.get_by_text(path, exact=True))
    line = line.filter(has=page.get_by_text(method, exact=True))
    line.click()
    return page.locator("details.operation[open]").filter(has=line)


def curl(operation: Locator) -> str:
    """The line for a terminal."""
    return operation.get_by_role("region").inner_text()


def run(line: str) -> str:
    """What that prints in a terminal."""
    words = [shlex.split(line)[0], "--fail", "--silent", *shlex.split(line)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=True)
    return done.stdout


def test_every_operation_is_shown(site: Site, open_page: OpenPage) -> None:
    """One comes here by a link, and sees all there are."""
    page = open_page(site.url)
    page.get_by_role("link", name="API", exact=True).click()
    expect(page.get_by_role("heading", name="The API")).to_be_visible()
    expect(page).to_have_title("API · opsvisor")
    wanted = [route for route in ROUTES if route.in_contract]
    expect(page.locator("details.operation")).to_have_count(len(wanted))
    expect(page.get_by_role("status").filter(has_text=f"{len(wanted)} operations")).to_be_visible()


def test_a_search_narrows_it_down(site: Site, open_page: OpenPage) -> None:
    """As one types; and what isn't there is said."""
    page = open_page(f"{site.url}#/api")
    search = page.get_by_role("searchbox", name="Search operations")
    search.fill("post stdin")
    expect(page.locator("details.operation:visible")).to_have_count(1)
    expect(page.get_by_text("/api/v1/processes/{name}/stdin")).to_be_visible()
    search.fill("teleport")
    expect(page.get_by_text("No operation has all of these words.")).to_be_visible()
    search.fill("")
    expect(page.get_by_text("/api/v1/actions", exact=True)).to_be_visible()


def test_an_operation_tells_what_it_takes_and_answers(site: Site, open_page: OpenPage) -> None:
    """Fields with their meaning, types within types, and each way in which it can go wrong."""
    page = open_page(f"{site.url}#/api")
    operation = opened(page, "/api/v1/actions", "POST")
    operation.get_by_text("ActionRequest").click()
    names = operation.get_by_role("row").filter(has=page.get_by_role("rowheader", name="names"))
    expect(names).to_contain_text("list of string")
    expect(names).to_contain_text("Required.")
    operation.get_by_text("ActionResponse").click()
    operation.get_by_text("list of ActionResult").click()
    expect(operation.get_by_text("abnormal_termination")).to_be_visible()
    operation.get_by_text("16 codes").click()
    expect(operation.get_by_role("row", name="bad_signal 400")).to_be_visible()


def test_a_link_leads_to_an_operation(site: Site, open_page: OpenPage) -> None:
    """What is open is in the address, so it can be sent to somebody."""
    page = open_page(f"{site.url}#/api?operation=watch_everything")
    operation = page.locator("details.operation[open]")
    expect(operation.get_by_text("WatchSnapshot")).to_be_in_viewport()
    opened(page, "/api/v1/groups")
    expect(page).to_have_url(re.compile(r"#/api\?operation=list_groups$"))


def test_the_lines_for_curl_work(site: Site, open_page: OpenPage) -> None:
    """As they are copied, into a terminal on the same machine."""
    page = open_page(f"{site.url}#/api", permissions=["clipboard-read", "clipboard-write"])
    operation = opened(page, "/api/v1/processes/{name}")
    operation.get_by_role("button", name="Copy").click()
    expect(operation.get_by_role("button", name="Copied")).to_be_visible()
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == curl(operation)
    assert '"name":"web"' in run(line)
    assert "already_started" in run(curl(opened(page, "/api/v1/actions", "POST")))
    run(curl(opened(page, "/api/v1/processes/{name}/stdin", "POST")))
    assert '"in_use":true' in run(curl(opened(page, "/api/v1/config/available")))


def test_who_may_not_ask_is_told(begin: Begin, open_page: OpenPage) -> None:
    """With what would be needed; and the line for curl names who is logged in."""
    site = begin(PROGRAMS, main=READER)
    open_page.complaints.excuse("401")
    page = open_page(f"{site.url}#/api")
    page.get_by_label("User name").fill("reader")
    page.get_by_label("Password", exact=True).fill("only-looking")
    page.get_by_role("button", name="Log in").click()
    operation = opened(page, "/api/v1/daemon/shutdown", "POST")
    expect(operation).to_contain_text("needs the access 'admin', and you have 'read'")
    assert "--user reader" in curl(operation)
    page.get_by_label("curl with").select_option("a token")
    assert "Bearer $OPSVISOR_TOKEN" in curl(operation)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_everybody_can_use_it(
    site: Site, open_page: OpenPage, theme: Theme, size: ViewportSize
) -> None:
    """By the rules of axe-core, with an operation and a type opened; and nothing overflows."""
    page = open_page(f"{site.url}#/api?operation=list_processes", theme=theme, size=size)
    operation = page.locator("details.operation[open]")
    operation.get_by_text("ProcessList").click()
    operation.get_by_text("list of ProcessStatus").click()
    operation.get_by_text("13 codes").click()
    check_accessible(page)
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "it has to be scrolled sideways"


def test_it_can_be_used_by_keyboard(site: Site, open_page: OpenPage) -> None:
    """From the search to an operation, and into it."""
    page = open_page(f"{site.url}#/api")
    search = page.get_by_role("searchbox", name="Search operations")
    search.fill("/api/v1/daemon/log/clear")
    search.focus()
    for _ in range(4):  # the way of showing who one is, the document, and the line itself
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="curl for clear_daemon_log")).to_be_visible()
