"""The overview of more processes than anybody can look at."""

import pytest
from browsing import PHONE, Begin, OpenPage, Site
from playwright.sync_api import expect

COUNT = 300
PROGRAMS = f"""\
    [program.web]
    command = ["sleep", "100000"]
    replicas = {COUNT}
    log = {{ stdout = "$HERE/out", stderr = "merge" }}

    [program.broken]
    command = ["$HERE/no-such-program"]
    restart = "no"
    group = "zzz"
"""


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon with hundreds of processes, one of which is wrong."""
    return begin(PROGRAMS)


def test_only_what_is_in_sight_is_made(site: Site, open_page: OpenPage) -> None:
    """All of them can be reached; what is wrong is the first to be seen."""
    page = open_page(site.url)
    rows = page.get_by_role("table").get_by_role("rowheader").get_by_role("link")
    expect(rows.first).to_have_text("zzz:broken")
    expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", str(COUNT + 4))
    assert rows.count() < 60
    page.evaluate("() => window.scrollTo(0, document.documentElement.scrollHeight)")
    last = page.get_by_role("link", name=f"web:web_{COUNT - 1}", exact=True)
    expect(last).to_be_in_viewport()
    assert rows.count() < 60
    page.get_by_role("searchbox", name="Filter").fill("web_150")
    expect(rows).to_have_text(["web:web_150"])


def test_the_keyboard_reaches_the_last(site: Site, open_page: OpenPage) -> None:
    """One up from nowhere, and it is in sight."""
    page = open_page(site.url)
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_visible()
    page.keyboard.press("k")
    last = page.get_by_role("link", name=f"web:web_{COUNT - 1}", exact=True)
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name=f"web:web_{COUNT - 2}", exact=True)).to_be_focused()


def test_back_leads_to_where_one_was(site: Site, open_page: OpenPage) -> None:
    """To the same rows in sight, with the keyboard at the same; a link leads to the top."""
    page = open_page(site.url)
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_visible()
    page.keyboard.press("k")
    last = page.get_by_role("link", name=f"web:web_{COUNT - 1}", exact=True)
    expect(last).to_be_focused()
    top = page.evaluate("() => window.scrollY")
    assert top > 1000
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"web:web_{COUNT - 1}")
    expect(page.get_by_role("log")).to_be_visible()
    page.go_back()
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    assert page.evaluate("() => window.scrollY") == top
    page.keyboard.press("k")
    expect(page.get_by_role("link", name=f"web:web_{COUNT - 2}", exact=True)).to_be_focused()
    page.get_by_role("link", name="Daemon").click()
    expect(page.get_by_role("region", name="Health")).to_be_visible()
    page.get_by_role("link", name="Processes", exact=True).click()
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_in_viewport()


def test_a_phone_scrolls_to_the_end(site: Site, open_page: OpenPage) -> None:
    """Cards are as high as they are said to be."""
    page = open_page(site.url, size=PHONE)
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_visible()
    page.evaluate("() => window.scrollTo(0, document.documentElement.scrollHeight)")
    last = page.get_by_role("row").last
    expect(last).to_contain_text(f"web:web_{COUNT - 1}")
    expect(last).to_be_in_viewport()
    bottom = page.evaluate("() => document.querySelector('tbody').getBoundingClientRect().bottom")
    box = last.bounding_box()
    assert box is not None
    assert abs(bottom - box["y"] - box["height"]) < 10


def test_names_are_in_the_order_of_the_table(site: Site, open_page: OpenPage) -> None:
    """Also where it is asked whether these are meant."""
    page = open_page(site.url)
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_visible()
    page.get_by_role("checkbox", name="Select all shown").click()
    bar = page.get_by_role("toolbar", name="Selected processes")
    bar.get_by_role("button", name="Stop", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Stop {COUNT + 1} processes?")
    named = [f"web:web_{number}" for number in range(12)]
    expect(dialog.get_by_role("listitem")).to_have_text([*named, f"and {COUNT + 1 - 12} more"])


def test_all_are_restarted_and_each_is_told(site: Site, open_page: OpenPage) -> None:
    """While hundreds change, the page goes on."""
    page = open_page(site.url)
    expect(page.get_by_role("link", name="zzz:broken", exact=True)).to_be_visible()
    page.get_by_role("checkbox", name="Select all of web").click()
    bar = page.get_by_role("toolbar", name="Selected processes")
    expect(bar).to_contain_text(f"{COUNT} selected")
    bar.get_by_role("button", name="Restart", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Restart {COUNT} processes?")
    expect(dialog).to_contain_text(f"and {COUNT - 12} more")
    dialog.get_by_role("button", name=f"Restart {COUNT} processes").click()
    results = page.get_by_role("region", name="Results")
    expect(results).to_contain_text(f"Restarted {COUNT} processes", timeout=60_000)
    results.get_by_text("What became of each").click()
    expect(results.get_by_role("listitem")).to_have_count(COUNT)
