"""The console in a real browser: one browser, and all pages that the navigation and the lists lead to.

Asked for by tests/console.rs, which starts the server and says in the environment where it is, where pictures go, and what
to sign in with. Whatever is wrong is collected and said at the end, all of it.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

ENDPOINT = os.environ["NEARGATE_ENDPOINT"]
LOCKED_ENDPOINT = os.environ["LOCKED_ENDPOINT"]
TOKEN = os.environ["LOCKED_TOKEN"]
PICTURES = os.environ["PICTURES"]
PATIENCE_MS = 60_000
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
# Of lists, one entry of each kind is visited: what follows is the same for all.
MOST_PAGES = 24
# Not pages: the API's own documentation, and what is not HTML.
OTHERS = re.compile(r"^/(docs|openapi|v1|assets|metrics)|\.(txt|yaml|csv|json)$|/(yaml|csv|log\.txt)(/|$)")

wrong: list[str] = []


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def leave_the_network() -> None:
    """Goes to a network that has nothing but the two servers.

    A browser drops what it is doing whenever an interface comes or goes, and Docker makes interfaces for each container, those
    of other tests too. Besides, the console has to work without the Internet: here is none.
    """
    # Connections belong to the network of the thread that opens them: this one stays where the servers are.
    outside = asyncio.new_event_loop()
    threading.Thread(target=outside.run_forever, daemon=True).start()
    new_network = 0x40000000  # CLONE_NEWNET of <sched.h>
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_network) != 0:
        print(f"the browser shares the machine's network: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return
    set_flags, is_up = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP, of netdevice(7)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", is_up))

    for endpoint in (ENDPOINT, LOCKED_ENDPOINT):
        host, port = urlsplit(endpoint).hostname, urlsplit(endpoint).port
        listener = socket.create_server((host, port))

        async def accept(reader, writer, host=host, port=port) -> None:
            there = await asyncio.open_connection(host, port)
            await asyncio.gather(forward(reader, there[1]), forward(there[0], writer))

        asyncio.run_coroutine_threadsafe(asyncio.start_server(accept, sock=listener), outside).result()


def ask(method: str, path: str, body: dict | None = None) -> dict:
    request = urllib.request.Request(
        ENDPOINT + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def listen(page: Page) -> Page:
    """Notes whatever goes wrong in the page."""
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: wrong.append(f"{page.url}: {said.type}: {said.text}") if said.type in ("error", "warning") else None,
    )
    page.on(
        "request",
        lambda asked: None
        if asked.url.startswith((ENDPOINT, LOCKED_ENDPOINT, "data:"))
        else wrong.append(f"{page.url} asks for {asked.url}"),
    )
    page.set_default_timeout(PATIENCE_MS)
    return page


def go(page: Page, path: str) -> None:
    # Not until the network is idle: a page that is live never is.
    answer = page.goto(urljoin(ENDPOINT, path), wait_until="load")
    if answer is None or answer.status != 200:
        wrong.append(f"{path} answers {answer and answer.status}")


def follow_rules(page: Page, what: str) -> None:
    """The rules of axe, and those of ours that it has not."""
    for rule in Axe().run(page).response["violations"]:
        for node in rule["nodes"]:
            wrong.append(f"{what}: {rule['id']}: {rule['help']}: {node['html'][:200]}: {node['failureSummary']}")
    if page.locator("h1").count() != 1:
        wrong.append(f"{what} has {page.locator('h1').count()} headings of the first level")
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((one) => Number(one.nodeName[1]))")
    if any(later - earlier > 1 for earlier, later in zip([0, *levels], levels)):
        wrong.append(f"{what} skips a level of headings: {levels}")


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
    words = known | {"rightsizing", "diff", "run", "stop", "use", "revisions", "update", "force", "delete", "scale", "deploy", "rollback", "new", "deployments", "history"}
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


def picture(page: Page, kind: str, path: str) -> None:
    """Looks at a page in all four ways, and takes pictures of them."""
    go(page, path)
    for size, viewport in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=f"{PICTURES}/{kind}-{scheme}-{size}.png", full_page=True)
            # Contrast differs from scheme to scheme, and hardly anything does from width to width.
            if size == "wide":
                follow_rules(page, f"{kind} ({scheme})")
        reach = page.evaluate("document.documentElement.scrollWidth")
        if reach > viewport["width"]:
            wrong.append(f"{kind} is {reach} wide on a screen of {viewport['width']}")
    page.set_viewport_size(WIDE)


def deployment_is_seen_live(page: Page) -> None:
    """The overview shows a deployment that begins while it is open, and its end, without being loaded again."""
    go(page, "/")
    page.evaluate("window.stays = true")
    row = page.locator("#services tr", has_text="web")
    expect(row).to_contain_text("web:1", timeout=PATIENCE_MS)
    if page.locator("#live-state").count():
        expect(page.locator("#live-state")).to_have_text("Live", timeout=PATIENCE_MS)
    ask("PATCH", "/v1/services/web", {"taskDefinition": "web:2"})
    expect(row).to_contain_text("web:2", timeout=PATIENCE_MS)
    page.screenshot(path=f"{PICTURES}/overview-deploying.png", full_page=True)
    expect(page.locator("#feed")).to_contain_text("has reached a steady state", timeout=PATIENCE_MS)
    if page.evaluate("window.stays") is not True:
        wrong.append("the overview was loaded anew")


def reads_without_script(browser) -> None:
    page = listen(browser.new_context(java_script_enabled=False).new_page())
    go(page, "/")
    expect(page.locator("#services")).to_contain_text("web", timeout=PATIENCE_MS)
    page.context.close()


def sign_in(browser) -> None:
    """Who has no session is asked for the token, and comes back to where they wanted to go."""
    context = browser.new_context(viewport=WIDE)
    # A wrong token is refused with a status that a browser reports.
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(LOCKED_ENDPOINT + "/events")
    expect(page).to_have_url(re.compile("/sign-in"))
    follow_rules(page, "sign-in")
    page.screenshot(path=f"{PICTURES}/sign-in.png", full_page=True)
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


def main() -> int:
    os.makedirs(PICTURES, exist_ok=True)
    leave_the_network()
    began = time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"],
            # Root may not have the browser's own sandbox, and containers have little shared memory.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        try:
            rules_can_fail(browser.new_page())
            page = listen(browser.new_context(viewport=WIDE).new_page())
            deployment_is_seen_live(page)
            focus_in_order(page)
            pages = discover(page)
            for kind, path in pages.items():
                picture(page, kind, path)
            reads_without_script(browser)
            if has_page("/sign-in"):
                sign_in(browser)
                pages["sign-in"] = "/sign-in"
        finally:
            browser.close()
    print(f"{len(pages)} pages in {time.monotonic() - began:.1f} s: {' '.join(pages)}")
    for one in dict.fromkeys(wrong):
        print(one, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
