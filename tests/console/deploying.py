"""A service while it changes: a deployment that fails and is rolled back, scaling, and going back by hand.

The server has a service `web` of two tasks of web:1, whose circuit breaker is off; the tasks of web:2 fail, and those of web:3
run. Nothing here happens before the browser has seen what comes before it, so nothing can be missed.
"""

import re
import sys

from playwright.sync_api import Browser, BrowserContext, Page, expect

from browser import WIDE, ask, eventually, fits, follow_rules, go, has_stayed, listen, look, picture, picture_for_docs, stay, wrong

SERVICE = "/services/default/web"
# What the tasks of web:2 write before they fail.
LAST_LINE = "cannot open /no/such/file"


def deploy(definition: str) -> None:
    ask("PATCH", "/v1/services/web", {"taskDefinition": definition})


def is_steady(service: dict) -> bool:
    return service["steady"] and len(service["deployments"]) == 1 and service["healthyCount"] == service["desiredCount"]


def fails_and_is_rolled_back(context: BrowserContext) -> None:
    """Seen live from two pages; the reason and what the tasks last wrote can be read when it is over."""
    overview = stay(listen(context.new_page()), "/")
    page = stay(listen(context.new_page()), SERVICE)
    expect(overview.locator("#services tr", has_text="web")).to_contain_text("steady")
    deploy("web:2")

    # It fails for as long as nobody stops it: both pages say so, and why.
    problem = overview.locator("#problems li", has_text="web (web:2)")
    expect(problem).to_contain_text("IN_PROGRESS")
    expect(problem).to_contain_text(re.compile("essential container", re.IGNORECASE))
    expect(overview.locator("#services tr", has_text="web")).to_contain_text("deploying")
    deployments = page.locator("#deployments")
    expect(deployments.locator(".card", has_text="web:2 (new)")).to_contain_text(re.compile(r"[1-9]\d* failed"))
    # One may have gone: a new task counts for the moment between its start and its end.
    expect(deployments.locator(".card", has_text="web:1 (old)")).to_contain_text(re.compile("[12] healthy"))
    picture(overview, "overview-failing")
    picture(page, "service-failing")
    picture_for_docs(page, "service")

    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    ask("PATCH", "/v1/services/web", {"deploymentConfiguration": breaker})
    row = overview.locator("#services tr", has_text="web")
    expect(row).to_contain_text("web:1")
    expect(row).to_contain_text("steady")
    expect(problem).to_have_count(0)
    expect(page.locator("#state")).to_contain_text("steady")
    past = page.locator("#history article", has_text="web:2")
    expect(past).to_contain_text("ROLLBACK_SUCCESSFUL")
    expect(past).to_contain_text("tasks failed to start")
    expect(past).to_contain_text("Rolled back to web:1 by the circuit breaker")
    expect(past.locator("details pre").first).to_contain_text(LAST_LINE)
    expect(past.locator("summary").first).to_contain_text("Essential container in task exited")
    has_stayed(overview)
    has_stayed(page)
    follow_rules(page, "service after a rollback")
    fits(page, "service after a rollback")
    picture(page, "service-rolled-back")

    # From there one gets to the task that failed, which is over, and says by which code and with which log.
    past.locator("details a").first.click()
    expect(page).to_have_url(re.compile("/tasks/[0-9a-f]{32}$"))
    expect(page.locator("#task-state")).to_contain_text("EssentialContainerExited")
    expect(page.locator("#task-containers")).to_contain_text("exit code 1")
    expect(page.locator("#log")).to_contain_text(LAST_LINE)
    overview.close()
    page.close()


def confirm(page: Page, label: str, what: str) -> None:
    """Goes to the page that asks; it says what will happen, and nothing has happened yet."""
    page.get_by_role("link", name=f"{label}…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{label}: web")
    expect(page.locator("main")).to_contain_text(what)
    follow_rules(page, f"confirm {label}")


def is_scaled(page: Page) -> None:
    """To three tasks and back to two, from the page to the end."""
    go(page, SERVICE)
    for before, count in ((2, 3), (3, 2)):
        confirm(page, "Scale", f"It is to have {before} tasks")
        page.get_by_label("Tasks that it is to have").fill(str(count))
        page.get_by_role("button", name="Scale").click()
        expect(page).to_have_url(re.compile(SERVICE + r"\?done=scale$"))
        expect(page.get_by_role("status").filter(has_text="It is being scaled")).to_be_visible()
        expect(page.locator("#state")).to_contain_text(f"{count} desired, {count} running, 0 pending, {count} healthy")
        expect(page.locator("#tasks tbody tr .badge", has_text="RUNNING")).to_have_count(count)
        service = eventually(f"{count} tasks", "/v1/services/web", is_steady)
        if service["desiredCount"] != count:
            wrong.append(f"scaled to {count}, and there are {service['desiredCount']}")


def is_left_alone(page: Page) -> None:
    """Whoever does not want it goes back, and nothing happens."""
    go(page, SERVICE)
    confirm(page, "Stop all tasks", "It is to have no tasks")
    page.get_by_role("link", name="Cancel").click()
    expect(page).to_have_url(re.compile(SERVICE + "$"))
    expect(page.locator("#state")).to_contain_text("2 desired, 2 running")


def goes_back(page: Page) -> None:
    """From web:3 to web:1, from the page to the end."""
    deploy("web:3")
    eventually("web:3", "/v1/services/web", lambda one: is_steady(one) and one["taskDefinition"] == "web:3")
    go(page, SERVICE)
    confirm(page, "Roll back", "Its tasks are replaced by tasks of web:1")
    page.get_by_role("button", name="Roll back").click()
    expect(page).to_have_url(re.compile(SERVICE + r"\?done=roll-back$"))
    expect(page.locator("#state")).to_contain_text("web:1")
    expect(page.locator("#state")).to_contain_text("in a steady state")
    service = eventually("web:1", "/v1/services/web", is_steady)
    if service["taskDefinition"] != "web:1":
        wrong.append(f"rolled back, and it is {service['taskDefinition']}")
    newest = page.locator("#history article").first
    expect(newest).to_contain_text("web:1")
    expect(newest).to_contain_text("by console")


def service(browser: Browser) -> str:
    context = browser.new_context(viewport=WIDE)
    fails_and_is_rolled_back(context)
    page = listen(context.new_page())
    is_scaled(page)
    is_left_alone(page)
    goes_back(page)
    return "a failed deployment, its rollback, scaling and going back"


if __name__ == "__main__":
    sys.exit(look(service))
