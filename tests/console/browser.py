"""The browser that looks at the console, and what all looks have in common: a network of its own, rules, patience.

Each of the other files here is one subject, asked for by tests/console.rs, which starts the server and says in the environment
where it is and where pictures go. Whatever is wrong is collected and said at the end, all of it.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

ENDPOINT = os.environ["NEARGATE_ENDPOINT"]
# A server that wants to be signed in to, where there is one.
LOCKED_ENDPOINT = os.environ.get("LOCKED_ENDPOINT", "")
PICTURES = os.environ["PICTURES"]
PATIENCE_MS = 60_000
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
# A page may be as large as that, and so may a picture for the documentation.
MOST_BYTES = 200_000

wrong: list[str] = []

expect.set_options(timeout=PATIENCE_MS)


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
    """Goes to a network that has nothing but the servers.

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

    for endpoint in filter(None, (ENDPOINT, LOCKED_ENDPOINT)):
        host, port = urlsplit(endpoint).hostname, urlsplit(endpoint).port
        listener = socket.create_server((host, port))

        async def accept(reader, writer, host=host, port=port) -> None:
            there = await asyncio.open_connection(host, port)
            await asyncio.gather(forward(reader, there[1]), forward(there[0], writer))

        asyncio.run_coroutine_threadsafe(asyncio.start_server(accept, sock=listener), outside).result()


def ask(method: str, path: str, body: dict | None = None) -> dict:
    """The answer of the API, beside all pages."""
    request = urllib.request.Request(
        ENDPOINT + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def read(path: str) -> str:
    """The same as text."""
    with urllib.request.urlopen(ENDPOINT + path, timeout=30) as answer:
        return answer.read().decode()


def eventually(what: str, path: str, is_so: Callable, get: Callable = lambda path: ask("GET", path)):
    """Waits until the API answers something of which that is so."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not is_so(answer := get(path)):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited for {what}; instead: {str(answer)[:4000]}")
        time.sleep(0.05)
    return answer


def listen(page: Page) -> Page:
    """Notes whatever goes wrong in the page."""
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: wrong.append(f"{page.url}: {said.type}: {said.text}") if said.type in ("error", "warning") else None,
    )
    endpoints = tuple(filter(None, (ENDPOINT, LOCKED_ENDPOINT, "data:")))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(endpoints) else wrong.append(f"{page.url} asks for {asked.url}"),
    )
    page.set_default_timeout(PATIENCE_MS)
    return page


def go(page: Page, path: str) -> None:
    # Not until the network is idle: a page that is live never is.
    answer = page.goto(urljoin(ENDPOINT, path), wait_until="load")
    if answer is None or answer.status != 200:
        wrong.append(f"{path} answers {answer and answer.status}")
    elif len(answer.body()) > MOST_BYTES:
        wrong.append(f"{path} has {len(answer.body())} bytes")


def go_and_wait(page: Page, path: str) -> None:
    """The same, until what takes longer is there, too."""
    go(page, path)
    expect(page.locator("[data-soon]")).to_have_count(0)


def stay(page: Page, path: str) -> Page:
    """Opens a page that is to keep itself up to date from now on; `has_stayed` tells whether it did so by itself."""
    go(page, path)
    page.evaluate("window.stays = true")
    expect(page.locator("#live-state")).to_have_text("Live")
    return page


def has_stayed(page: Page) -> None:
    if page.evaluate("window.stays") is not True:
        wrong.append(f"{page.url} was loaded anew")


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


def fits(page: Page, what: str) -> None:
    """Nothing of the page is beyond the right edge of the screen."""
    reach, width = page.evaluate("document.documentElement.scrollWidth"), page.viewport_size["width"]
    if reach > width:
        wrong.append(f"{what} is {reach} wide on a screen of {width}")


def picture(page: Page, name: str) -> None:
    page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def picture_for_docs(page: Page, name: str) -> None:
    """What a screen shows of the page, for docs/images/: `make pictures` copies them there."""
    folder = f"{PICTURES}/docs"
    os.makedirs(folder, exist_ok=True)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    taken = page.screenshot(path=f"{folder}/{name}.png")
    if len(taken) > MOST_BYTES:
        wrong.append(f"the picture {name} has {len(taken)} bytes: too many for a page to carry")


def look(subject: Callable[[Browser], str]) -> int:
    """Hands `subject` a browser. It says what it has looked at; what is wrong is in `wrong`."""
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
            print(f"{subject(browser)} in {time.monotonic() - began:.1f} s")
        except Exception:
            for page in [page for context in browser.contexts for page in context.pages]:
                print(f"--- {page.url}\n{page.locator('body').inner_text()[:6000]}", file=sys.stderr)
            raise
        finally:
            for one in dict.fromkeys(wrong):
                print(one, file=sys.stderr)
            browser.close()
    return 1 if wrong else 0
