"""The page while its daemon is away."""

import re

from browsing import DESK, Begin, OpenPage, check_accessible
from playwright.sync_api import expect

PROGRAMS = """\
    [program.web]
    command = "$VICTIM"
"""


def test_a_lost_line_is_told_and_taken_up_again(begin: Begin, open_page: OpenPage) -> None:
    """What is shown may be old by then, and that is said; it goes on by itself."""
    open_page.complaints.excuse("ERR_")
    site = begin(PROGRAMS)
    page = open_page(site.url)
    web = page.get_by_role("row").filter(has=page.get_by_role("link", name="web", exact=True))
    expect(web).to_contain_text("RUNNING")
    # The other pages have come as well: this module is the last that is fetched.
    page.wait_for_function("() => import('/static/contract.js').then(() => true)")
    site.daemon.crash()
    banner = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(banner).to_contain_text("What is shown may be out of date. the daemon does not answer")
    expect(banner).to_contain_text(re.compile(r"Trying again in \d+ s"))
    expect(banner).to_contain_text("Hint:")
    check_accessible(page)
    # What needs nobody to answer goes on.
    page.get_by_role("searchbox", name="Filter").fill("nothing of the kind")
    expect(page.get_by_text("No process matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    page.get_by_role("link", name="Daemon").click()
    expect(page.get_by_role("region", name="Daemon", exact=True)).to_contain_text("Identifier")
    page.get_by_role("link", name="Processes", exact=True).click()
    site.daemon.begin_again()
    expect(banner).to_be_hidden(timeout=60_000)
    expect(web).to_contain_text("RUNNING")
    expect(page.get_by_role("banner")).to_contain_text("Live")


def test_names_and_words_of_others_stay_text(begin: Begin, open_page: OpenPage) -> None:
    """What a program is called, is started by, or says of itself is no markup."""
    site = begin(
        """\
        [program.web]
        command = ["./<img src=x onerror=document.title='taken'>"]
        labels = { note = "<script>document.title='taken'</script>" }
        restart = "no"

        [program.bad]
        command = "$VICTIM"
        [program.bad.readiness_probe]
        exec = ["sh", "-c", "echo '<b id=taken>x</b>'; exit 1"]
        period = "1s"
        failure_threshold = 1
        """
    )
    open_page.complaints.excuse("404")  # there is no process of such a name
    page = open_page(site.url, size=DESK)
    table = page.get_by_role("table")
    expect(table).to_contain_text("<img src=x onerror=document.title='taken'>")
    expect(table).to_contain_text("readiness probe: exit 1: <b id=taken>x</b>")
    page.goto(f"{site.url}#/daemon")
    events = page.get_by_role("region", name="Events")
    expect(events).to_contain_text("<img src=x")
    page.goto(f"{site.url}#/process/%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D'taken'%3E")
    expect(page.get_by_role("main")).to_contain_text("<img src=x")
    page.goto(f"{site.url}?q=%3Cscript%3E#/?q=<b id=taken>")
    expect(page.get_by_role("searchbox", name="Filter")).to_have_value("<b id=taken>")
    assert page.locator("img[src='x'], #taken, main script").count() == 0
    assert "taken" not in page.title()
