"""A person at a real browser, for the end-to-end tests: `$BROWSER` is `python browser.py %s`.

Opens the URL in Chromium, signs in at the development pages of `oidc-provider`, or consents at
the page of the double in `harbor_oauth.testing`, and waits for the page where a sign-in ends.
Appends to `$HARBOR_E2E_BROWSER_LOG` one JSON line with that page's title, its URL without the
query, the path of a screenshot, and what failed or null.
`$HARBOR_E2E_BROWSER_DECISION=deny` makes this person refuse.
`$HARBOR_E2E_BROWSER_SCREEN` shows the window on the display.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

ENDS: Final = ("/done", "/failed")
PATIENCE: Final = 60.0  # seconds for all pages

FLAGS: Final = (
    "--window-size=900,700",
    "--no-first-run",
    "--no-proxy-server",
    # Nothing but this machine: the login pages ask for web fonts.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--password-store=basic",  # leave the keychain under test alone
)


def open_browser(profile: str) -> Chrome:
    """Start Chromium with an own profile."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    hidden = [] if os.environ.get("HARBOR_E2E_BROWSER_SCREEN") else ["--headless=new"]
    for flag in (*FLAGS, *hidden, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to sandbox the superuser
    return Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))


def question(browser: Chrome, answered: set[str]) -> str:
    """Return what the page asks: `login`, `consent`, `` for nothing new, or that it is the end.

    The double asks for a `decision`.
    """
    if urlsplit(browser.current_url).path in ENDS:
        return "end"
    if browser.find_elements(By.NAME, "decision"):
        return "" if "decision" in answered else "decision"
    prompt = browser.find_element(By.NAME, "prompt").get_attribute("value") or ""
    return "" if prompt in answered else prompt


def answer(browser: Chrome, prompt: str) -> None:
    """Fill in and send the form of a page, or cancel."""
    denies = os.environ.get("HARBOR_E2E_BROWSER_DECISION") == "deny"
    if prompt == "decision":
        browser.find_element(By.ID, "deny" if denies else "allow").click()
        return
    if denies:
        browser.find_element(By.PARTIAL_LINK_TEXT, "Cancel").click()
        return
    if prompt == "login":
        for field, text in (("login", "ada"), ("password", "any password does")):
            browser.find_element(By.NAME, field).clear()  # of what a former attempt typed
            browser.find_element(By.NAME, field).send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def step(browser: Chrome, answered: set[str]) -> bool:
    """Answer what the page asks, if anything; say whether it is the last one."""
    prompt = question(browser, answered)
    if prompt == "end":
        return True
    if prompt:
        answer(browser, prompt)
        answered.add(prompt)
    return False


def sign_in(browser: Chrome, url: str) -> None:
    """Go through the pages until the last one."""
    # One page goes while the next one comes, under whoever looks at it: try again.
    passing = (
        ElementNotInteractableException,
        NoSuchElementException,
        StaleElementReferenceException,
    )
    answered: set[str] = set()
    browser.get(url)
    wait = WebDriverWait(browser, PATIENCE, poll_frequency=0.1, ignored_exceptions=passing)
    wait.until(lambda page: step(page, answered))


def main(url: str) -> None:
    """Sign in and record where that ended, also when it failed."""
    log = Path(os.environ["HARBOR_E2E_BROWSER_LOG"])
    os.environ["NO_PROXY"] = "127.0.0.1,localhost"  # selenium speaks to the driver over HTTP
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        browser = open_browser(profile)
        failure = None
        try:
            sign_in(browser, url)
        except WebDriverException as error:
            failure = f"{type(error).__name__}: {error.msg}"
            raise
        finally:
            screenshot = log.with_suffix(".png")
            browser.save_screenshot(str(screenshot))
            seen = {
                "title": browser.title,
                "url": urlsplit(browser.current_url)._replace(query="", fragment="").geturl(),
                "screenshot": str(screenshot),
                "failure": failure,
            }
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(seen) + "\n")
            browser.quit()


if __name__ == "__main__":
    main(sys.argv[1])
