"""A directory with a chatmail.ini and mailboxes, for tests of one role."""
import json
import os
import shutil
import tempfile
import time

DOMAIN = "chat.example"


class RelayDir:
    def __init__(self, domain=DOMAIN, **settings):
        self.path = tempfile.mkdtemp(prefix="chatmail-test-")
        self.domain = domain
        self.ini = self.join("chatmail.ini")
        self.sock = self.join("role.sock")
        self.mailboxes = self.join("mail")
        self.pending = self.join("mail", "pending_notifications")
        os.mkdir(self.mailboxes)
        self.settings = {
            "mail_domain": domain,
            "mailboxes_dir": self.mailboxes,
            "turn_socket_path": self.join("turn.sock"),
            **settings,
        }
        self.write_ini()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.path, ignore_errors=True)

    def join(self, *names):
        return os.path.join(self.path, *names)

    def write_ini(self, **changes):
        """Values of None are left out."""
        self.settings.update(changes)
        lines = [f"{k} = {v}" for k, v in self.settings.items() if v is not None]
        with open(self.ini, "w") as f:
            f.write("[params]\n" + "\n".join(lines) + "\n")

    def addr(self, name):
        return f"{name}@{self.domain if self.domain[0] > '9' else f'[{self.domain}]'}"

    def add_user(self, name, tokens=(), metadata=None):
        """Make a mailbox; its metadata.json has these tokens, or that text.
        Returns the address."""
        addr = self.addr(name)
        os.makedirs(self.mailbox(addr), exist_ok=True)
        if tokens:
            now = int(time.time())
            metadata = json.dumps({"devicetoken": {t: now for t in tokens}})
        if metadata is not None:
            with open(self.metadata_path(addr), "w") as f:
                f.write(metadata)
        return addr

    def mailbox(self, addr):
        return os.path.join(self.mailboxes, addr)

    def metadata_path(self, addr):
        return os.path.join(self.mailbox(addr), "metadata.json")

    def read_metadata(self, addr):
        with open(self.metadata_path(addr)) as f:
            return json.load(f)

    def queue(self):
        """Names of what waits in pending_notifications."""
        return sorted(os.listdir(self.pending))
