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
    picture_for_docs,
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
    words = known | {"rightsizing", "diff", "run", "stop", "use", "revisions", "update", "force", "delete", "scale", "deploy", "rollback", "new", "deployments", "history", "register", "create-service", "roll-back", "stop-deployment"}
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
    look_around(page, kind)


def look_around(page: Page, kind: str) -> None:
    """The same of the page that is there."""
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


def nothing_jumps(page: Page) -> None:
    """What a reader looks at stays where it is while the page changes, and what they opened and focused stays so."""
    page.set_viewport_size({"width": 1280, "height": 500})
    stay(page, "/")
    days = page.locator("#figures details")
    days.locator("summary").click()
    link = page.locator("#services tbody a").first
    link.focus()
    link.evaluate("(link) => link.scrollIntoView({ block: 'center' })")
    where = "(link) => [link.getBoundingClientRect().top, document.activeElement === link]"
    top, _ = link.evaluate(where)
    failures = page.locator("#problems li").count()
    ask("POST", "/v1/tasks", {"taskDefinition": "job"})
    expect(page.locator("#problems li")).to_have_count(failures + 1)
    new_top, has_focus = link.evaluate(where)
    if abs(new_top - top) > 2:
        wrong.append(f"the overview jumps from {top} to {new_top}")
    if not has_focus:
        wrong.append("the overview takes the focus away")
    expect(days).to_have_attribute("open", "")
    has_stayed(page)
    # What is typed into a form stays, too.
    stay(page, "/events")
    page.get_by_label("Has in it").fill("half a wo")
    ask("POST", "/v1/tasks", {"taskDefinition": "job"})
    first = page.locator("#feed li").first
    before = first.get_attribute("data-key")
    expect(first).not_to_have_attribute("data-key", before)
    expect(page.get_by_label("Has in it")).to_have_value("half a wo")
    has_stayed(page)
    page.set_viewport_size(WIDE)


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until something of that name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"no Tab leads to {name} on {page.url}")


def is_done_by_keyboard(page: Page) -> None:
    """From the overview to a service that is scaled, without a mouse."""
    go(page, "/")
    tab_to(page, "web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Service web")
    tab_to(page, "Scale…")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Scale: web")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "count":
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("3 desired, 3 running")
    ask("PATCH", "/v1/services/web", {"desiredCount": 2})
    expect(page.locator("#state")).to_contain_text("2 desired, 2 running")


def task_tells_everything(page: Page) -> None:
    """The task of `shop`, whose health check fails and whose containers depend on each other."""
    task = ask("GET", "/v1/tasks?family=shop")["items"][0]["taskId"]
    go(page, f"/tasks/{task}")
    containers = page.locator("#task-containers")
    expect(containers).to_contain_text("UNHEALTHY")
    go(page, f"/tasks/{task}")
    check = page.get_by_label("Output of the last failed health check")
    expect(check).to_contain_text("503")
    expect(containers.get_by_role("img", name="Containers and what they wait for")).to_be_visible()
    expect(page.locator("#task-life").get_by_role("img")).to_be_visible()
    expect(page.locator("#task-usage")).to_contain_text("so far")
    expect(containers.get_by_role("link", name="→ 8080/tcp")).to_have_attribute("href", re.compile("^http://127.0.0"))
    for variables in containers.locator("details").all():
        variables.locator("summary").click()
    expect(containers.get_by_role("row", name="GREETING")).to_contain_text("<b>hello</b>")
    expect(containers.get_by_role("row", name="DB_PASSWORD")).to_contain_text("not shown")
    if "not-to-be-seen" in page.content():
        wrong.append("a password is on the page")
    picture_for_docs(page, "task")
    look_around(page, "task-running")
    look_at(page, "tasks-one-stop", f"/tasks/{task}/stop")


def run_is_confirmed(page: Page) -> None:
    """What is filled in is shown before it is done."""
    go(page, "/task-definitions/job/latest/run")
    page.get_by_label("How many tasks").fill("2")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("main")).to_contain_text("This will happen: 2 tasks of job:1")
    look_around(page, "task-definitions-one-one-run-confirm")


def yaml_is_copied(browser: Browser) -> None:
    """The button puts the document on the clipboard."""
    context = browser.new_context(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    page = listen(context.new_page())
    go(page, "/task-definitions/web/1")
    page.get_by_role("button", name="Copy the YAML").click()
    expect(page.locator("#copy-state")).not_to_have_text("")
    copied = page.evaluate("navigator.clipboard.readText()")
    if copied.strip() != page.locator("#yaml").inner_text().strip() or "family: web" not in copied:
        wrong.append(f"what is copied is {copied[:200]}")
    context.close()


def reads_without_script(browser: Browser, pages: dict[str, str]) -> None:
    """Every page says without a script what it says with one; what needs one is not there."""
    context = browser.new_context(java_script_enabled=False, viewport=NARROW)
    page = listen(context.new_page())
    for kind, path in pages.items():
        go(page, path)
        # Figures that are added up come with the page that the browser asks for by itself.
        expect(page.locator("[data-soon]")).to_have_count(0)
        expect(page.locator("h1")).to_be_visible()
        if len(page.locator("main").inner_text()) < 40:
            wrong.append(f"{kind} says nothing without a script")
        for useless in page.get_by_role("button", name=re.compile("Copy|Follow|Start|Send")).all():
            if useless.is_visible():
                wrong.append(f"{kind} has a button that does nothing without a script: {useless.inner_text()}")
    go(page, "/")
    expect(page.locator("#services")).to_contain_text("web")
    context.close()


def sign_in(browser: Browser) -> None:
    """Who has no session is asked for the token, and comes back to where they wanted to go."""
    context = browser.new_context(viewport=WIDE)
    # A wrong token is refused with a status that a browser reports.
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(LOCKED_ENDPOINT + "/events")
    expect(page).to_have_url(re.compile("/sign-in"))
    look_around(page, "sign-in")
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
    nothing_jumps(page)
    is_done_by_keyboard(page)
    pages = discover(page)
    for kind, path in pages.items():
        look_at(page, kind, path)
    go_and_wait(page, "/")
    picture_for_docs(page, "overview")
    task_tells_everything(page)
    run_is_confirmed(page)
    yaml_is_copied(browser)
    reads_without_script(browser, pages)
    if has_page("/sign-in"):
        sign_in(browser)
        pages["sign-in"] = "/sign-in"
    return f"{len(pages)} pages ({' '.join(pages)})"


if __name__ == "__main__":
    sys.exit(look(all_pages))
