"""A real browser for the pages: headless Chromium, where it and selenium are installed."""

import json
import shutil
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A driver of selenium, and what the pages that it opened said and asked for."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, height=900, *, dark=False):
        """Show a file in a window of so many pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")
        self.complaints(), self.requests()  # of pages before
        self.driver.get(Path(path).resolve().as_uri())

    def js(self, script, *arguments):
        """What a function body in JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self):
        """What went wrong since this was last asked, as the console has it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Addresses that were asked for since this was last asked."""
        events = [json.loads(entry["message"])["message"] for entry in self.log()]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def log(self):
        return self.driver.get_log("performance")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One for all tests of a session; they skip where it cannot be had."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    service = shutil.which("chromedriver")
    if program is None or service is None:
        pytest.skip("no chromium or chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(service))
    yield Browser(driver)
    driver.quit()
