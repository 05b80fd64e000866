"""A thousand tasks: every list has all of them, page by page, and nothing is wider than a screen.

The server has a service `web` of 998 tasks, and two more of names that are as long as names may be.
"""

import sys

from playwright.sync_api import Browser, Page, expect

from browser import NARROW, WIDE, fits, follow_rules, go, go_and_wait, has_stayed, listen, look, picture, stay, wrong

TASKS = 1_000
LONG = "l" * 255


def all_are_listed(page: Page) -> None:
    """Each task once, on pages that one reads by the link to the next."""
    seen: list[str] = []
    go(page, "/tasks")
    while True:
        rows = page.locator("#tasks tbody th a")
        seen += rows.evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")
        next_page = page.get_by_role("link", name="Next page")
        if not next_page.count():
            break
        go(page, next_page.get_attribute("href"))
    if len(seen) != TASKS or len(set(seen)) != TASKS:
        wrong.append(f"{len(seen)} tasks are listed, {len(set(seen))} different ones of {TASKS}")


def all_are_counted(page: Page) -> None:
    stay(page, "/")
    row = page.locator("#services tr", has_text="web")
    expect(row.locator("td.number").nth(1)).to_have_text("998")
    expect(page.locator("#clusters tr", has_text="default").locator("td.number").first).to_have_text("998")
    has_stayed(page)
    go(page, "/services/default/web")
    expect(page.locator("#state")).to_contain_text("998 desired, 998 running, 0 pending, 998 healthy")
    expect(page.locator("#tasks tbody tr")).to_have_count(50)
    expect(page.locator("#tasks")).to_contain_text("948 more")


def everything_fits(page: Page) -> None:
    """Wide and narrow, whatever things are called."""
    go(page, "/tasks?family=" + LONG)
    task = page.locator("#tasks tbody th a").first.get_attribute("href")
    paths = [
        "/",
        "/tasks",
        "/tasks?family=" + LONG,
        task,
        f"{task}/stop",
        "/services/default/web",
        f"/services/{LONG}/{LONG}",
        f"/services/{LONG}/{LONG}/use",
        f"/services/{LONG}/{LONG}/scale",
        "/task-definitions",
        f"/task-definitions/{LONG}",
        f"/task-definitions/{LONG}/1",
        f"/task-definitions/{LONG}/1/run",
        "/cost",
        "/cost?by=family",
        "/cost/rightsizing",
        "/events",
        "/events?subject=" + LONG,
    ]
    for path in paths:
        go_and_wait(page, path)
        short = path.replace(LONG, "l…l")
        for name, viewport in (("wide", WIDE), ("narrow", NARROW)):
            page.set_viewport_size(viewport)
            fits(page, f"{short} ({name})")
        page.set_viewport_size(WIDE)
    go(page, "/")
    follow_rules(page, "overview of many")
    picture(page, "overview-many")


def many(browser: Browser) -> str:
    page = listen(browser.new_context(viewport=WIDE).new_page())
    all_are_counted(page)
    all_are_listed(page)
    everything_fits(page)
    return f"{TASKS} tasks"


if __name__ == "__main__":
    sys.exit(look(many))
