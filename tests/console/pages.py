"""All pages that the navigation and the lists lead to: their rules, their pictures, the keyboard, signing in.

Asked for by tests/console.rs with two servers, the second of which wants to be signed in to.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from browser import (
    ENDPOINT,
    LOCKED_ENDPOINT,
    NARROW,
    PATIENCE_MS,
    PICTURES,
    WIDE,
    ask,
    fits,
    follow_rules,
    go,
    go_and_wait,
    has_stayed,
    listen,
    look,
    picture,
    stay,
    wrong,
)

TOKEN = os.environ["LOCKED_TOKEN"]
# Of lists, one entry of each kind is visited: what follows is the same for all.
MOST_PAGES = 30
# Not pages: the API's own documentation, and what is not HTML.
OTHERS = re.compile(r"^/(docs|openapi|v1|assets|metrics)|\.(txt|yaml|csv|json)$|/(yaml|csv|log\.txt)(/|$)")


def rules_can_fail(page: Page) -> None:
    """A page that breaks rules is found to do so: otherwise nothing that follows means anything."""
    page.set_content("<p style='color: #eee; background: #fff'>Hardly to be read <img src='data:,'></p>")
    broken = {rule["id"] for rule in Axe().run(page).response["violations"]}
    if not {"color-contrast", "image-alt", "html-has-lang"} <= broken:
        wrong.append(f"the rules are not looked at: {broken}")


def focus_in_order(page: Page) -> None:
    """The first thing that the keyboard reaches leads past the navigation; the focus can be seen."""
    go(page, "/")
    page.keyboard.press("Tab")
    target = page.evaluate("document.activeElement.getAttribute('href')")
    if target != "#main":
        wrong.append(f"the first focus is on {target}, and not the link to the page's content")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    shadow = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
    if outline == "none" and shadow == "none":
        wrong.append("the focus cannot be seen")


def kind_of(path: str) -> str:
    """Pages of one kind have one name: /services/{}/{}."""
    parts = [part for part in urlsplit(path).path.split("/") if part]
    known = {"sign-in", "tasks", "services", "task-definitions", "cost", "events", "clusters", "schedules", "budgets"}
    words = known | {"rightsizing", "diff", "run", "stop", "use", "revisions", "update", "force", "delete", "scale", "deploy", "rollback", "new", "deployments", "history", "register", "create-service"}
    return "-".join(part if part in words else "one" for part in parts) or "overview"


def discover(page: Page) -> dict[str, str]:
    """A page of each kind, by kind, found as a reader finds it: by links."""
    found, open_ = {"overview": "/"}, ["/"]
    while open_ and len(found) < MOST_PAGES:
        go(page, open_.pop(0))
        for href in page.evaluate("[...document.querySelectorAll('a[href]')].map((one) => one.getAttribute('href'))"):
            path = urljoin(page.url, href)
            if not path.startswith(ENDPOINT) or OTHERS.search(urlsplit(path).path):
                continue
            path, kind = path.removeprefix(ENDPOINT).split("#")[0], kind_of(path)
            if path and kind not in found and len(found) < MOST_PAGES:
                found[kind] = path
                open_.append(path)
    return found


def look_at(page: Page, kind: str, path: str) -> None:
    """Looks at a page in all four ways, and takes pictures of them."""
    go_and_wait(page, path)
    for size, viewport in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=f"{PICTURES}/{kind}-{scheme}-{size}.png", full_page=True)
            # Contrast differs from scheme to scheme, and hardly anything does from width to width.
            if size == "wide":
                follow_rules(page, f"{kind} ({scheme})")
        fits(page, kind)
    page.set_viewport_size(WIDE)


def deployment_is_seen_live(page: Page) -> None:
    """The overview shows a deployment that begins while it is open, and its end, without being loaded again."""
    stay(page, "/")
    row = page.locator("#services tr", has_text="web")
    expect(row).to_contain_text("web:1")
    ask("PATCH", "/v1/services/web", {"taskDefinition": "web:2"})
    expect(row).to_contain_text("web:2")
    picture(page, "overview-deploying")
    expect(row).to_contain_text("steady")
    expect(row).to_contain_text("web:2")
    has_stayed(page)


def reads_without_script(browser: Browser) -> None:
    page = listen(browser.new_context(java_script_enabled=False).new_page())
    go(page, "/")
    expect(page.locator("#services")).to_contain_text("web")
    page.context.close()


def sign_in(browser: Browser) -> None:
    """Who has no session is asked for the token, and comes back to where they wanted to go."""
    context = browser.new_context(viewport=WIDE)
    # A wrong token is refused with a status that a browser reports.
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(LOCKED_ENDPOINT + "/events")
    expect(page).to_have_url(re.compile("/sign-in"))
    follow_rules(page, "sign-in")
    picture(page, "sign-in")
    page.get_by_label("token").fill("wrong-horse-battery-staple")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(LOCKED_ENDPOINT + "/events")
    for cookie in context.cookies():
        if not cookie["httpOnly"] or cookie["sameSite"] != "Strict":
            wrong.append(f"the cookie {cookie['name']} can be read by scripts or sent by other sites")
    if TOKEN in json.dumps(context.cookies()) or TOKEN in page.content():
        wrong.append("the token stays in the browser")
    page.get_by_role("button", name="Sign out").click()
    page.goto(LOCKED_ENDPOINT + "/")
    expect(page).to_have_url(re.compile("/sign-in"))
    context.close()


def has_page(path: str) -> bool:
    try:
        request = urllib.request.Request(LOCKED_ENDPOINT + path, headers={"accept": "text/html"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return "text/html" in answer.headers.get("content-type", "")
    except urllib.error.HTTPError:
        return False


def all_pages(browser: Browser) -> str:
    rules_can_fail(browser.new_page())
    page = listen(browser.new_context(viewport=WIDE).new_page())
    deployment_is_seen_live(page)
    focus_in_order(page)
    pages = discover(page)
    for kind, path in pages.items():
        look_at(page, kind, path)
    reads_without_script(browser)
    if has_page("/sign-in"):
        sign_in(browser)
        pages["sign-in"] = "/sign-in"
    return f"{len(pages)} pages ({' '.join(pages)})"


if __name__ == "__main__":
    sys.exit(look(all_pages))
