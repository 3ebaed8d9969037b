"""Chromium without a window, for tests of pages, by its DevTools protocol.

    with Browser() as browser:
        page = browser.page(width=360, height=740, dark=True)
        page.open("http://127.0.0.1:8000/")
        page.run("document.title"), page.errors, page.requests
        page.screenshot("/tmp/page.png")

The protocol comes over a pipe (--remote-debugging-pipe), as JSON with a NUL
byte at the end of each message. skip_reason() says what is missing.
"""

import base64
import collections
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-extensions", "--disable-dev-shm-usage",
         "--no-default-browser-check", "--hide-scrollbars",
         "--ignore-certificate-errors", "--remote-debugging-pipe")
TIMEOUT = 60            # seconds; the machine may have much else to do


def program():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def skip_reason():
    """Why no browser can run here, or None."""
    return None if program() else "chromium is not installed"


class Refused(RuntimeError):
    """What Chromium says against a command."""


class Browser:
    def __init__(self, *flags):
        """flags: more of Chromium's command line. It finds no host but by
        flags or as an IP address, so that nothing leaves the machine."""
        self.profile = tempfile.mkdtemp(prefix="chatmail-browser-")
        self.log = open(os.path.join(self.profile, "log"), "wb+")
        self.sessions = {}
        self.replies = {}
        self.count = 0
        self.rest = b""
        self._start(flags)

    def _start(self, flags):
        to_child, self.write_fd = os.pipe()
        self.read_fd, from_child = os.pipe()
        # above 4, so that neither dup2() closes the other's source
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10)
                for fd in (to_child, from_child)]

        def fds_3_and_4():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        # inherited fds 3 and 4 belong to the parent's other files, if any
        self.process = subprocess.Popen(
            [program(), *FLAGS, "--user-data-dir=" + self.profile, *flags,
             "about:blank"], stdout=self.log, stderr=self.log,
            env={**os.environ, "HOME": self.profile}, pass_fds=(3, 4),
            preexec_fn=fds_3_and_4)
        for fd in (to_child, from_child, *high):
            os.close(fd)

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.read_fd)
        os.close(self.write_fd)
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _receive(self, end):
        """The next message; None when there is none until end."""
        while b"\0" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.read_fd], [], [], left)[0]:
                return None
            data = os.read(self.read_fd, 1 << 20)
            if not data:
                self.log.seek(0)
                raise RuntimeError("chromium ended: %s" % self.log.read()[-999:]
                                   .decode(errors="replace"))
            self.rest += data
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def pump(self, until, timeout=TIMEOUT):
        """Take in messages until until() is true; returns its value."""
        end = time.monotonic() + timeout
        while not until():
            message = self._receive(end)
            if message is None:
                break
            if "id" in message:
                self.replies[message["id"]] = message
            elif message.get("sessionId") in self.sessions:
                self.sessions[message["sessionId"]].on_event(
                    message["method"], message["params"])
        return until()

    def call(self, method, session=None, **params):
        self.count += 1
        number = self.count
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_fd, data):]
        if not self.pump(lambda: number in self.replies):
            raise RuntimeError(method + ": no answer")
        reply = self.replies.pop(number)
        if "error" in reply:
            raise Refused("%s: %s" % (method, reply["error"]["message"]))
        return reply["result"]

    def page(self, **options):
        return Page(self, **options)


class Page:
    """A tab of its own, with no cookies or cache of others."""

    def __init__(self, browser, width=1280, height=800, dark=False,
                 script=True):
        self.browser = browser
        self.errors = []        # of scripts, the console, failed requests
        self.requests = []      # every URL asked for
        self.status = {}        # URL: HTTP status
        self.seen = collections.Counter()       # events
        self.context = browser.call("Target.createBrowserContext")[
            "browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank",
                              browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        browser.sessions[self.session] = self
        for domain in "Page", "Runtime", "Network", "Log":
            self.call(domain + ".enable")
        self.look(width, height, dark)
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def on_event(self, method, params):
        self.seen[method] += 1
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description")
                               or details["text"])
        elif method == "Runtime.consoleAPICalled":
            if params["type"] in ("error", "warning", "assert"):
                self.errors.append("console: %s" % params["args"])
        elif method == "Log.entryAdded":
            entry = params["entry"]
            if entry["level"] in ("error", "warning"):
                self.errors.append("%s %s" % (entry["text"],
                                              entry.get("url", "")))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.responseReceived":
            self.status[params["response"]["url"]] = \
                params["response"]["status"]

    def look(self, width, height, dark=False, still=False, media=""):
        """The window's size and what the user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion",
             "value": "reduce" if still else "no-preference"}])

    def open(self, url):
        """Go there and wait until everything is loaded."""
        self.wait_load(lambda: self.call("Page.navigate", url=url))

    def wait_load(self, action):
        before = self.seen["Page.loadEventFired"]
        result = action()
        if result and result.get("errorText"):
            raise RuntimeError(result["errorText"])
        if not self.browser.pump(
                lambda: self.seen["Page.loadEventFired"] > before):
            raise RuntimeError("the page does not load")

    def run(self, expression):
        """The value of an expression or of its promise, as JSON has it."""
        r = self.call("Runtime.evaluate", expression=expression,
                      returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(json.dumps(r["exceptionDetails"]))
        return r["result"].get("value")

    def wait(self, expression, timeout=TIMEOUT):
        """Wait until it is true; returns its value. It may fail while one
        page goes and another comes, or find neither."""
        end = time.monotonic() + timeout
        while True:
            try:
                value = self.run("try { %s } catch { false }" % expression)
            except Refused:
                value = None
            if value or time.monotonic() > end:
                return value
            time.sleep(0.05)

    def key(self, name, code):
        for kind in "rawKeyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key=name,
                      windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=True):
        data = self.call("Page.captureScreenshot",
                         captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF",
                                          printBackground=False)["data"])

    def close(self):
        self.browser.sessions.pop(self.session)
        self.browser.call("Target.disposeBrowserContext",
                          browserContextId=self.context)
