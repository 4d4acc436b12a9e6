"""Logging in, what somebody may do then, and logging out."""

import re

import pytest
from browsing import Begin, OpenPage, Site, Theme, check_accessible
from playwright.sync_api import Page, expect

PROGRAMS = """\
    [program.web]
    command = "$VICTIM"

    [program.db]
    command = "$VICTIM"
    group = "stores"
"""
MAIN = """
[identity.owner]
access = "admin"
password = "the owner's"

[identity.looker]
access = "read"
token = "a-token-to-look-with"

[identity.keeper]
access = "operate"
password = "the keeper's"
groups = ["stores"]
"""


@pytest.fixture(scope="module")
def site(begin: Begin) -> Site:
    """A daemon that lets in nobody it does not know."""
    site = begin(PROGRAMS, main=MAIN)
    site.daemon.until("web", "RUNNING")
    return site


@pytest.fixture
def page(site: Site, open_page: OpenPage) -> Page:
    """Its page, before anybody has logged in."""
    open_page.complaints.excuse("401")
    # The daemon hangs up on a session that has ended.
    open_page.complaints.excuse("ERR_INCOMPLETE_CHUNKED_ENCODING")
    return open_page(site.url)


def log_in(page: Page, name: str, password: str) -> None:
    """Fill in the form."""
    form = page.get_by_role("form", name="Log in")
    form.get_by_role("textbox", name="User name").fill(name)
    form.get_by_label("Password", exact=True).fill(password)
    form.get_by_role("button", name="Log in").click()


def link(page: Page, name: str) -> None:
    """See that a process is shown."""
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_nothing_is_told_before_a_login(page: Page) -> None:
    """Only the form is there, ready to be typed into."""
    expect(page.get_by_role("textbox", name="User name")).to_be_focused()
    expect(page.get_by_role("table")).to_have_count(0)
    expect(page.get_by_role("banner")).to_contain_text("Not logged in")


def test_a_wrong_password_is_told(page: Page) -> None:
    """And the right one goes on to where one wanted to be."""
    page.goto(page.url + "#/daemon")
    log_in(page, "owner", "a guess")
    alert = page.get_by_role("form").get_by_role("alert")
    expect(alert).to_contain_text("user name and password are not known here")
    log_in(page, "owner", "the owner's")
    expect(page.get_by_role("region", name="Health")).to_contain_text("Loop lag")
    expect(page.get_by_role("banner")).to_contain_text("owneradmin")


def test_the_session_is_a_cookie_that_no_script_can_read(page: Page) -> None:
    """It lasts over a reload, and ends with the logout."""
    log_in(page, "owner", "the owner's")
    link(page, "web")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (
        "opsvisor_session",
        True,
        "Strict",
    )
    assert page.evaluate("() => document.cookie + JSON.stringify({...localStorage})") == "{}"
    page.reload()
    link(page, "web")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("form", name="Log in")).to_be_visible()
    assert page.context.cookies() == []
    page.reload()
    expect(page.get_by_role("form", name="Log in")).to_be_visible()


def test_who_may_only_look_is_told_so(site: Site, page: Page) -> None:
    """What can't be done is visible, with the reason, and does nothing."""
    form = page.get_by_role("form", name="Log in")
    form.get_by_role("radio", name="Token").check()
    form.get_by_label("Token", exact=True).last.fill("a-token-to-look-with")
    form.get_by_role("button", name="Log in").click()
    link(page, "web")
    button = page.get_by_role("button", name="Stop web", exact=True)
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", re.compile("needs the access 'operate'"))
    page.get_by_role("checkbox", name="Select web").click()
    bar = page.get_by_role("toolbar", name="Selected processes")
    expect(bar).to_contain_text("needs the access 'operate', and you have 'read'")
    expect(bar.get_by_role("button", name="Restart", exact=True)).to_be_disabled()
    page.keyboard.press("t")
    page.keyboard.press("r")
    told = page.get_by_role("region", name="Results").get_by_role("alert")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("Acting needs the access 'operate', and you have 'read'")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{site.url}#/daemon")
    for name in ("Shut down", "Reload", "Upgrade", "Look for changes"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    expect(page.get_by_role("region", name="Events")).to_contain_text("web")


def test_a_scope_is_all_there_is(site: Site, page: Page, open_page: OpenPage) -> None:
    """Of processes in other groups nothing is told; of one's own, everything works."""
    open_page.complaints.excuse("403")  # of what is told to nobody with a scope
    log_in(page, "keeper", "the keeper's")
    link(page, "stores:db")
    expect(page.get_by_role("link", name="web", exact=True)).to_have_count(0)
    expect(page.get_by_role("banner")).to_contain_text("operate in stores")
    page.get_by_role("button", name="Restart stores:db", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(page.get_by_role("region", name="Results")).to_contain_text("Restarted stores:db")
    page.goto(f"{site.url}#/daemon")
    expect(page.get_by_role("region", name="Events")).to_contain_text("stores:db")
    expect(page.get_by_role("region", name="Health").locator(".problem")).to_be_visible()


def test_an_ended_session_leads_back_to_the_form(site: Site, page: Page) -> None:
    """Whatever was on the screen."""
    log_in(page, "owner", "the owner's")
    link(page, "web")
    other = page.context.new_page()
    other.goto(site.url)
    link(other, "web")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("form", name="Log in")).to_be_visible()
    expect(page.get_by_role("form", name="Log in")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site: Site, open_page: OpenPage, theme: Theme) -> None:
    """In the form, and in what it says."""
    open_page.complaints.excuse("401")
    page = open_page(site.url, theme=theme)
    log_in(page, "owner", "another guess")
    expect(page.get_by_role("form").get_by_role("alert")).to_contain_text("password")
    check_accessible(page)
