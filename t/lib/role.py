"""A personality as a process, for tests.

    role = Role(["filtermail", ini, "outgoing"], port=10080)
    ...
    role.stop()                     # SIGTERM; role.log has what it said
"""
import atexit
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))


def write_ini(path, domain="chat.test", **settings):
    """A chatmail.ini with limits that a busy machine does not hit."""
    values = {"mail_domain": domain, "max_load_1m": 9999,
              "min_available_memory": 0, "min_free_disk_space": 0, **settings}
    with open(path, "w") as f:
        f.write("[params]\n")
        for name, value in values.items():
            f.write(f"{name} = {value}\n")
    return path


class Role:
    def __init__(self, args, port=None, path=None, env=None, wait=10,
                 before=None):
        self.lines = []
        self.process = subprocess.Popen(
            [CHATMAIL, *args], stderr=subprocess.PIPE, preexec_fn=before,
            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        atexit.register(self.kill)      # also when the test dies
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait(port, path, wait)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace"))

    def _wait(self, port, path, secs):
        end = time.time() + secs
        while time.time() < end and self.process.poll() is None:
            try:
                if port:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                elif path:
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(path)
                    s.close()
                return
            except OSError:
                time.sleep(.01)
        if self.process.poll() is None:
            self.kill()
        raise RuntimeError("did not start: " + self.log)

    @property
    def log(self):
        return "".join(self.lines)

    def wait_log(self, text, secs=5):
        end = time.time() + secs
        while text not in self.log and time.time() < end:
            time.sleep(.01)
        return text in self.log

    def rss_kb(self):
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def stop(self, sig=signal.SIGTERM, wait=15):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(wait)
        self._reader.join(5)
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)
