"""Delta Chat accounts for tests and the demo, over deltachat-rpc-server.

    with Core(find_program(), directory) as core:
        alice = core.account().login(dclogin_url)
        bob = core.account().login(other_url)
        chat = bob.join(alice.invite())     # each now has the other's key
        bob.send(chat, "hello")
        alice.wait_message("hello")["showPadlock"]

Every wait ends: it raises Timeout, with what the core said meanwhile.
"""

import collections
import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.parse

CALL_SECS = 60
# of the chat itself, not of a person: "Messages are end-to-end encrypted" …
FROM_SELF, FROM_INFO, FROM_DEVICE = 1, 2, 5
SECUREJOIN_DONE = 1000


class Error(Exception):
    """The core refused a call."""


class Timeout(Exception):
    pass


class Missing(Exception):
    """There is no core here, and none can be got."""


def find_program():
    """Path of deltachat-rpc-server; npm gives it when it is not here yet."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "core")
    done = subprocess.run([script], stdout=subprocess.PIPE, text=True,
                          timeout=360)
    if done.returncode == 77:
        raise Missing("Delta Chat's core cannot be had here")
    if done.returncode != 0:
        raise Error("t/lib/core failed")
    return done.stdout.strip()


def dclogin(addr, password, imap_port, smtp_port, host="127.0.0.1"):
    """Login link for a relay with its own ports and certificate."""
    query = {"p": password, "v": 1, "ic": 3,
             "ih": host, "ip": imap_port, "is": "ssl",
             "sh": host, "sp": smtp_port, "ss": "ssl"}
    return "dclogin:%s?%s" % (addr, urllib.parse.urlencode(
        query, quote_via=urllib.parse.quote))


class Core:
    def __init__(self, program, directory):
        """Starts the program; its accounts live in the directory."""
        env = dict(os.environ, DC_ACCOUNTS_PATH=os.path.join(
            directory, "accounts"), RUST_LOG="error")
        self.lock = threading.Condition()
        self.answers = {}
        self.accounts = {}
        self.next_id = 0
        self.ended = False
        self.stderr = open(os.path.join(directory, "core.log"), "ab")
        self.process = subprocess.Popen(
            [program], env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.stderr)
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self.read_answers, self.read_events)]
        for thread in self.threads:
            thread.start()

    def call(self, method, *params, timeout=CALL_SECS):
        with self.lock:
            self.next_id += 1
            number = self.next_id
            request = {"jsonrpc": "2.0", "id": number, "method": method,
                       "params": params}
            try:
                self.process.stdin.write(json.dumps(request).encode() + b"\n")
                self.process.stdin.flush()
            except (OSError, ValueError):
                self.ended = True
            if not self.lock.wait_for(
                    lambda: number in self.answers or self.ended, timeout):
                raise Timeout("%s: no answer in %g s" % (method, timeout))
            answer = self.answers.pop(number, None)
        if answer is None:
            raise Error(method + ": the core has ended")
        if "error" in answer:
            raise Error("%s: %s" % (method, answer["error"]["message"]))
        return answer["result"]

    def read_answers(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.lock:
                self.answers[answer.get("id")] = answer
                self.lock.notify_all()
        with self.lock:
            self.ended = True
            self.lock.notify_all()

    def read_events(self):
        with contextlib.suppress(Error):
            while True:
                batch = self.call("get_next_event_batch", timeout=None)
                with self.lock:
                    for item in batch:
                        account = self.accounts.get(item["contextId"])
                        if account:
                            account.on_event(item["event"])
                    self.lock.notify_all()

    def account(self):
        """A new account that knows no server yet."""
        number = self.call("add_account")
        with self.lock:
            self.accounts[number] = Account(self, number)
        return self.accounts[number]

    def close(self, timeout=10):
        """The program ends when its input does."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join(timeout)
        self.process.stdout.close()
        self.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Account:
    def __init__(self, core, number):
        self.core = core
        self.number = number
        self.events = []        # not yet waited for
        self.said = collections.deque(maxlen=60)
        self.seen = set()       # messages that wait_message() has returned

    def call(self, method, *params, timeout=CALL_SECS):
        return self.core.call(method, self.number, *params, timeout=timeout)

    def on_event(self, event):
        if event["kind"] in ("Info", "Warning", "Error"):
            self.said.append("%s: %s" % (event["kind"], event["msg"]))
        else:
            self.events.append(event)

    def story(self):
        """The last that the core said about this account, for reports."""
        with self.core.lock:
            return "\n".join(self.said)

    def wait(self, kind, timeout=30, **fields):
        """Take the first event of that kind with those values out of the
        queue, or wait for it. Others stay."""
        found = []

        def look():
            for event in self.events:
                if event["kind"] == kind and all(
                        event.get(k) == v for k, v in fields.items()):
                    self.events.remove(event)
                    found.append(event)
                    return True
            return self.core.ended

        with self.core.lock:
            self.core.lock.wait_for(look, timeout)
        if not found:
            raise Timeout("no %s %s in %g s\n%s" % (
                kind, fields or "", timeout, self.story()))
        return found[0]

    # account

    def login(self, url, timeout=60, idle=True):
        """Log in with a dclogin: link, which makes the account at the relay;
        Error when the relay refuses. Returns self when mail can come."""
        self.call("add_transport_from_qr", url, timeout=timeout)
        self.call("start_io")
        if idle:
            self.wait("ImapInboxIdle", timeout)
        return self

    def set_config(self, **values):
        self.call("batch_set_config", values)

    @property
    def addr(self):
        return self.call("get_config", "configured_addr")

    # chats

    def invite(self, chat=None):
        """Invite link for a contact, or for members of a group."""
        return self.call("get_chat_securejoin_qr_code", chat)

    def join(self, link, timeout=60):
        """Follow an invite link; returns the chat when both have each
        other's key."""
        chat = self.call("secure_join", link)
        self.wait("SecurejoinJoinerProgress", timeout,
                  progress=SECUREJOIN_DONE)
        return chat

    def chat_with(self, addr):
        """The encrypted chat with somebody whose key is known."""
        for contact in self.call("get_contacts", 0, None):
            if contact["address"] == addr and contact["e2eeAvail"]:
                return self.call("create_chat_by_contact_id", contact["id"])
        raise Error("no contact with a key: " + addr)

    def group(self, name, *addrs):
        chat = self.call("create_group_chat", name, False)
        for contact in self.call("get_contacts", 0, None):
            if contact["address"] in addrs:
                self.call("add_contact_to_chat", chat, contact["id"])
        return chat

    def members(self, chat):
        return [self.call("get_contact", number)["address"]
                for number in self.call("get_chat_contacts", chat)]

    # messages

    def send(self, chat, text=None, file=None):
        """Queue a message; returns its number."""
        if file is None:
            return self.call("misc_send_text_message", chat, text)
        return self.call("send_msg", chat, {
            "text": text, "file": file, "filename": os.path.basename(file),
            "viewtype": "File"})

    def wait_sent(self, message, timeout=60):
        """Until the relay has taken the message."""
        self.wait("MsgDelivered", timeout, msgId=message)

    def message(self, number):
        return self.call("get_message", number)

    def wait_message(self, text=None, timeout=60):
        """The next incoming message that a person wrote (with that text);
        its chat is accepted."""
        end = time.monotonic() + timeout
        while True:
            event = self.wait("IncomingMsg", max(0, end - time.monotonic()))
            message = self.message(event["msgId"])
            if message["fromId"] in (FROM_SELF, FROM_INFO, FROM_DEVICE) or \
                    message["isInfo"]:
                continue
            if text is None or message["text"] == text:
                self.call("accept_chat", message["chatId"])
                return message
