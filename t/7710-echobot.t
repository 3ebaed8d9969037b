#!/usr/bin/env python3
"""The echo bot on a whole relay, with Delta Chat's core on both sides: what is
said comes back, once, whatever is killed meanwhile."""
import os
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import deltachat
import sandbox
import tap

HELP = "Send me any message and I will echo it back."
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae"
    "426082")


def give_up(number, frame):
    raise deltachat.Timeout(signal.strsignal(number))


def until(condition, timeout=60):
    """Wait for a condition; returns its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


def children(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
        except OSError:
            pass
    return found


def arguments(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().decode().split("\0")
    except OSError:
        return []


def content(path):
    with open(path, "rb") as f:
        return f.read()


class Tests:
    def __init__(self, relay, core, directory):
        self.relay = relay
        self.core = core
        self.directory = directory
        self.link = self.invite_link()
        self.said = []      # what is to come back to alice
        self.known = {}     # messages that do not change any more

    # helpers

    def invite_link(self):
        path = self.relay.path("echobot/invite-link.txt")
        until(lambda: os.path.exists(path))
        return content(path).decode()

    def account(self, name, **config):
        addr, password = self.relay.new_user()
        account = self.core.account()
        account.set_config(displayname=name, **config)
        return account.login(deltachat.dclogin(
            addr, password, self.relay.ports["imaps"],
            self.relay.ports["smtps"]))

    def bot(self):
        """Pid of the bot, or None."""
        for pid in children(self.relay.process.pid):
            if arguments(pid)[:1] == ["echobot"]:
                return pid
        return None

    def server(self):
        """Pid of the bot's server, or None."""
        bot = self.bot()
        found = [pid for pid in (children(bot) if bot else [])
                 if arguments(pid)[:1] == ["deltachat-rpc-server"]]
        return found[0] if found else None

    def kill_server(self):
        server = until(self.server)
        if server:
            os.kill(server, signal.SIGKILL)
        return server

    def hold(self, on):
        """A server that starts waits before it is one."""
        if on:
            open(self.relay.path("hold"), "w").close()
        else:
            os.unlink(self.relay.path("hold"))

    def file(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def say(self, text, file=None, viewtype="File"):
        self.said.append(HELP if text == "/help" else text)
        if not file:
            return self.alice.send(self.chat, text)
        return self.alice.call("send_msg", self.chat, {
            "text": text, "file": file, "filename": os.path.basename(file),
            "viewtype": viewtype})

    def answers(self, account=None, chat=None):
        """What has come from others into a chat, in its order."""
        account, chat = account or self.alice, chat or self.chat
        found = []
        for number in account.call("get_message_ids", chat, False, False):
            key = account.number, number
            message = self.known.get(key) or account.message(number)
            if message["downloadState"] == "Done":
                self.known[key] = message
            if message["fromId"] > 9 and not message["isInfo"]:
                found.append(message)
        return found

    def texts(self):
        return [m["text"] for m in self.answers()]

    def wait_all(self):
        """Until all that was said has come back."""
        until(lambda: len(self.answers()) >= len(self.said))
        return self.texts()

    # tests

    def test_hello(self):
        tap.ok(self.link.startswith("https://i.delta.chat/#"),
               "the bot writes its invite link")
        mode = os.stat(self.relay.path("echobot/accounts")).st_mode
        tap.is_(oct(mode & 0o777), "0o700", "and keeps its profile to itself")
        self.alice = self.account("Alice")
        self.chat = self.alice.join(self.link)
        self.say("hello")
        tap.is_(self.wait_all(), self.said, "hello comes back")
        answer = self.answers()[0]
        tap.ok(answer["showPadlock"] and answer["isBot"],
               "encrypted, from a bot")
        tap.is_(answer["sender"]["address"], "echo@" + self.relay.domain,
                "whose address is echo@")
        tap.is_(answer["sender"]["displayName"], "Echo Bot", "who has a name")
        self.say("/help")
        tap.is_(self.wait_all(), self.said, "/help is answered")
        self.say("\u00e4\u2603 two\nlines \"\\")
        tap.is_(self.wait_all(), self.said, "any text comes back")

    def check_file(self, name, data, text, viewtype="File"):
        path = self.file(name, data)
        self.say(text, path, viewtype)
        until(lambda: len(self.answers()) == len(self.said) and
              self.answers()[-1]["downloadState"] == "Done")
        answer = self.answers()[-1]
        tap.is_((answer["text"], answer["viewType"]), (text, viewtype),
                "%s, %s comes back" % (viewtype, name))
        # the core gives images a name of its own
        tap.ok(viewtype == "Image" or answer["fileName"] == name,
               "by its name")
        tap.ok(answer["file"] and content(answer["file"]) == data,
               "byte by byte")

    def test_files(self):
        self.check_file("small file.bin", os.urandom(5000), "with a text")
        self.check_file("image.png", PNG, "", "Image")
        self.check_file("large.bin", os.urandom(2 << 20), "a large one")

    def test_group(self):
        group = self.alice.group("the two", "echo@" + self.relay.domain)
        self.alice.send(group, "in a group")
        until(lambda: self.answers(chat=group))
        self.alice.call("set_chat_name", group, "another name")
        self.alice.send(group, "still there")
        until(lambda: len(self.answers(chat=group)) == 2)
        tap.is_([m["text"] for m in self.answers(chat=group)],
                ["in a group", "still there"],
                "groups are answered, what is for information is not")

    def test_bots(self):
        other = self.account("Other bot", bot="1")
        chat = other.join(self.link)
        other.wait_sent(other.send(chat, "hello, I am a bot"))
        # the bot looks at messages in their order
        self.say("after the bot")
        tap.is_(self.wait_all(), self.said, "while people are answered")
        tap.is_([m["text"] for m in self.answers(other, chat)], [],
                "bots are not")

    def test_killed_between(self):
        tap.ok(self.kill_server(), "its server is killed")
        self.say("after a kill")
        tap.is_(self.wait_all(), self.said, "the next one does the work")
        bot = self.bot()
        os.kill(bot, signal.SIGKILL)
        until(lambda: self.bot() not in (bot, None))
        self.say("after another")
        tap.is_(self.wait_all(), self.said, "and so when the bot is killed")
        tap.is_(self.invite_link(), self.link, "it is the same bot")

    def test_down(self):
        self.hold(True)
        self.kill_server()
        for text in "while you", "were away":
            sent = self.say(text)
            self.alice.wait_sent(sent)
        self.hold(False)
        tap.is_(self.wait_all(), self.said,
                "what came while it was down is answered")

    def test_killed_amid(self):
        """At any moment of answering."""
        first = len(self.said)
        for i in range(9):
            self.say("amid %d" % i)
            if i % 3 == 0:
                # at the first sign of an answer, or a little later
                until(lambda: len(self.answers()) > first)
                time.sleep(random.random() * .1)
                self.kill_server()
                first = len(self.answers())
        self.wait_all()
        self.say("the end")
        until(lambda: "the end" in self.texts())
        tap.is_(sorted(self.texts()), sorted(self.said),
                "its server is killed amid its work: each comes back once")

    def test_mailbox(self):
        box = os.path.join(self.relay.info["mailboxes_dir"],
                           "echo@" + self.relay.domain)
        self.say("last")
        self.wait_all()
        new = lambda: sum(len(os.listdir(os.path.join(box, d)))
                          for d in ("new", "cur"))
        tap.ok(until(lambda: new() == 0), "nothing stays in its mailbox")
        tap.ok(os.path.exists(os.path.join(box, "enforceE2EEincoming")),
               "which takes no cleartext")
        log = self.relay.log()
        tap.ok("after another" not in log and "small file" not in log,
               "what people say is not in the log")

    def test_stop(self):
        server = self.server()
        tap.is_(self.relay.stop(), 0, "the relay stops")
        tap.ok(not os.path.exists("/proc/%d" % server),
               "and the bot's server with it")

    def test_lost(self):
        """The relay has the mailbox, the bot knows nothing of it."""
        old = self.link
        shutil.rmtree(self.relay.path("echobot"))
        self.relay.start()
        self.link = self.invite_link()
        tap.ok(self.link != old, "without its profile it is a new bot")
        self.chat = self.alice.join(self.link)
        self.said = [m["text"] for m in self.answers()] + ["who are you?"]
        self.alice.send(self.chat, "who are you?")
        until(lambda: len(self.answers()) == len(self.said))
        tap.is_(self.texts(), self.said, "with the same address")

    def run(self):
        self.test_hello()
        self.test_files()
        self.test_group()
        self.test_bots()
        self.test_killed_between()
        self.test_down()
        self.test_killed_amid()
        self.test_mailbox()
        self.test_stop()
        self.test_lost()


def write_server(relay, program):
    """The real one, which waits while we want it to."""
    path = relay.path("server")
    with open(path, "w") as f:
        f.write("#!/bin/bash\nwhile [ -e %s ]; do sleep .05; done\n"
                "exec -a deltachat-rpc-server %s\n" % (
                    relay.path("hold"), program))
    os.chmod(path, 0o755)
    return path


reason = sandbox.skip_reason()
if reason:
    tap.skip_all(reason)
try:
    program = deltachat.find_program()
except deltachat.Missing as e:
    tap.skip_all(e)
for number in signal.SIGALRM, signal.SIGTERM:
    signal.signal(number, give_up)
signal.alarm(600)
relay = sandbox.Sandbox(settings={
    "echobot": "true", "max_user_send_burst_size": 1000,
    "max_user_send_per_minute": 10000})
relay.settings["echobot_server"] = write_server(relay, program)
core_dir = tempfile.mkdtemp(prefix="chatmail-core-")
os.chmod(core_dir, 0o755)
try:
    relay.start()
    with deltachat.Core(program, core_dir) as core:
        Tests(relay, core, core_dir).run()
    tap.is_(relay.stop(), 0, "the relay stops")
except Exception as e:
    tap.ok(False, "%s: %s" % (type(e).__name__, str(e).split("\n")[0]))
    tap.diag(e)
    if os.path.exists(relay.path("output")):
        tap.diag(relay.tail())
finally:
    relay.stop()
    relay.remove()
    shutil.rmtree(core_dir, ignore_errors=True)
tap.done()
