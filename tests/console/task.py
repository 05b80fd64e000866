"""A task from its page: its log as it is written, and commands in it.

The server has a family `talk`, whose task writes long lines as long as it lives, each fifth to stderr.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from browser import WIDE, ask, eventually, follow_rules, go, has_stayed, listen, look, picture, read, stay, wrong

NUMBER = re.compile(r"line (\d+)\.")


def run(may_exec: bool) -> str:
    answer = ask("POST", "/v1/tasks", {"taskDefinition": "talk", "enableExecuteCommand": may_exec})
    task = answer["tasks"][0]["taskId"]
    eventually("a task that runs", f"/v1/tasks/{task}", lambda one: one["lastStatus"] == "RUNNING")
    eventually("five lines", f"/v1/tasks/{task}/logs?tail=5", lambda text: text.count("\n") == 5, read)
    return task


def numbers(page: Page) -> list[int]:
    return [int(found) for found in NUMBER.findall(page.locator("#log").inner_text())]


def comes_beyond(page: Page, number: int) -> None:
    """Waits until lines are there that were written later."""
    expect(page.locator("#log .line", has_text=f"line {number + 20}.")).to_have_count(1)


def log_is_followed(page: Page, task: str) -> None:
    page_of_task = f"/tasks/{task}"
    stay(page, page_of_task)
    log, state = page.locator("#log"), page.locator("#log-state")
    expect(log.locator(".line.error").first).to_contain_text("main")
    follow = page.get_by_role("button", name="Follow")
    before = max(numbers(page))
    follow.click()
    expect(state).to_have_text("Following the log")
    comes_beyond(page, before)
    # Lines of stdout and stderr may change places.
    seen = sorted(number for number in numbers(page) if number <= before)
    if seen != list(range(seen[0], before + 1)):
        wrong.append(f"the log that is followed has holes, or lines twice: {seen}")
    follow_rules(page, "task that is followed")
    page.get_by_role("button", name="Stop following").click()
    expect(state).to_have_text("")
    expect(page.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    has_stayed(page)


def log_is_wrapped(page: Page) -> None:
    """Long lines go on beyond the edge, unless one wants them to be wrapped; the page never does."""
    wraps = page.get_by_label("Wrap long lines")
    is_cut = "(() => { const log = document.getElementById('log'); return log.scrollWidth > log.clientWidth; })()"
    if not page.evaluate(is_cut):
        wrong.append("the lines of the log are no longer than the page is wide: nothing is tested")
    wraps.check()
    expect(page.locator("#log")).to_have_class(re.compile("wraps"))
    if page.evaluate(is_cut):
        wrong.append("lines that are wrapped are cut off")
    wraps.uncheck()
    expect(page.locator("#log")).not_to_have_class(re.compile("wraps"))


def log_is_searched(page: Page, task: str) -> None:
    """Only lines with the text are shown, with its form and while it is followed."""
    go(page, f"/tasks/{task}")
    page.get_by_label("Search").fill("LINE 7")
    page.get_by_label("Wrap long lines").check()
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"find=LINE\+7&wrap=1"))
    expect(page.locator("#log")).to_have_class(re.compile("wraps"))
    expect(page.locator("#log .line").first).to_contain_text("line 7")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#log-state")).to_have_text("Following the log")
    expect(page.locator("#log .line").first).to_contain_text("line 7")
    others = [number for number in numbers(page) if not str(number).startswith("7")]
    if others:
        wrong.append(f"the search for line 7 shows {others}")
    go(page, f"/tasks/{task}?find=nothing-has-this")
    expect(page.locator("#log-state")).to_have_text("No line has that in it.")


def log_stays_text(page: Page) -> None:
    """Whatever a program writes is text, in what the server shows and in what is followed; escapes are written out."""
    nasty = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>\u001b[2J\u202eend"
    override = {"name": "main", "environment": [{"name": "TEXT", "value": nasty}]}
    order = {"taskDefinition": "rude", "overrides": {"containerOverrides": [override]}}
    task = ask("POST", "/v1/tasks", order)["tasks"][0]["taskId"]
    eventually("a task that has stopped", f"/v1/tasks/{task}", lambda one: one["lastStatus"] == "STOPPED")
    go(page, f"/tasks/{task}")
    title = page.title()
    shown = nasty.replace("\u001b", "\\x1b").replace("\u202e", "\\u{202e}")
    expect(page.locator("#log .line")).to_contain_text(shown)
    page.evaluate("document.getElementById('log').replaceChildren()")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#log-state")).to_have_text("The log has ended")
    expect(page.locator("#log .line")).to_contain_text(shown)
    if page.locator("#log img, #log script").count() or page.title() != title:
        wrong.append("what a program wrote became a part of the page")


def log_is_downloaded(page: Page, task: str) -> None:
    go(page, f"/tasks/{task}")
    before = max(numbers(page))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as text").click()
    if download.value.suggested_filename != f"{task}.log":
        wrong.append(f"the log is downloaded as {download.value.suggested_filename}")
    lines = Path(download.value.path()).read_text().splitlines()
    if not re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z main line 1\.", lines[0]) or len(lines) < before:
        wrong.append(f"of {before} lines, {len(lines)} are downloaded, beginning with {lines[:1]}")


def log_ends(page: Page, task: str) -> None:
    """What is followed ends with the task, and can be read afterwards."""
    go(page, f"/tasks/{task}")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#log-state")).to_have_text("Following the log")
    ask("POST", f"/v1/tasks/{task}/stop", {})
    expect(page.locator("#log-state")).to_have_text("The log has ended")
    expect(page.locator("#task-state")).to_contain_text("STOPPED")
    last = max(numbers(page))
    go(page, f"/tasks/{task}")
    expect(page.locator("#log .line").last).to_contain_text(f"line {last}.")
    expect(page.locator("#exec ~ p")).to_contain_text("no command can be run in it")


def start(page: Page, command: str) -> None:
    page.get_by_label("Command", exact=True).fill(command)
    page.get_by_role("button", name="Start").click()


def commands_are_run(page: Page, task: str) -> None:
    """A session in the browser: a command, what is typed and what it answers, its end, and its exit code."""
    go(page, f"/tasks/{task}")
    state, output = page.locator("#terminal-state"), page.locator("#terminal-output")
    start(page, "/workload cat")
    expect(state).to_have_text("Running /workload cat")
    typed = page.get_by_label("Input", exact=True)
    expect(typed).to_be_focused()
    for words in ("is anybody there?", "<b>not bold</b> & \\x1b[31m"):
        typed.fill(words)
        typed.press("Enter")
        # What was typed, and what came back.
        expect(output).to_contain_text(f"> {words}\n{words}\n")
        expect(typed).to_have_value("")
    follow_rules(page, "terminal")
    picture(page, "task-terminal")
    page.get_by_role("button", name="End of input").click()
    expect(state).to_have_text("It ended with exit code 0")
    expect(typed).to_be_hidden()

    start(page, "/workload exit --code 7")
    expect(state).to_have_text("It ended with exit code 7")
    start(page, "/workload read-file /no/such/file")
    expect(output.locator(".error", has_text="cannot open /no/such/file")).to_have_count(1)
    expect(state).to_have_text("It ended with exit code 1")
    start(page, "/no/such/command")
    expect(state).to_have_text(re.compile("exit code 12[67]|/no/such/command"))


def commands_are_refused(page: Page, task: str) -> None:
    """A task that was not made for it has no terminal, and says why."""
    go(page, f"/tasks/{task}")
    expect(page.locator("#exec ~ p")).to_contain_text("It was not run with enableExecuteCommand")
    expect(page.locator("#terminal")).to_have_count(0)


def one_task(browser: Browser) -> str:
    closed, open_ = run(False), run(True)
    page = listen(browser.new_context(viewport=WIDE, accept_downloads=True).new_page())
    log_is_followed(page, closed)
    log_is_wrapped(page)
    log_is_searched(page, closed)
    log_stays_text(page)
    log_is_downloaded(page, closed)
    commands_are_refused(page, closed)
    commands_are_run(page, open_)
    log_ends(page, open_)
    return "a log that is followed, wrapped, searched and downloaded, and commands in a task"


if __name__ == "__main__":
    sys.exit(look(one_task))
