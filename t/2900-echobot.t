#!/usr/bin/env python3
"""The echo bot with a server that dies at every step, talks nonsense or keeps
silent: each message is answered once, whatever happens. (What it does with Delta
Chat's core itself is in t/7710-echobot.t.)"""
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import role
import tap
from dictclient import DictClient, Role
from relaydir import RelayDir

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import crypt

PEER = os.path.join(HERE, "lib", "rpcpeer.py")
HELP = "Send me any message and I will echo it back."
TOP = tempfile.mkdtemp(prefix="chatmail-echobot-", dir="/tmp")
SECS = 60       # until something has to have happened

MESSAGE = {
    "chatId": 10, "fromId": 11, "text": "hello", "isInfo": False,
    "isBot": False, "viewType": "Text", "downloadState": "Done", "state": 10,
    "file": None, "fileName": None, "error": None}
FILE = {"file": "/blobs/x.bin", "fileName": "my file.bin", "viewType": "File"}
# What a message is made of, and what is sent: (text, file, name, type), or None.
ANSWERS = [
    ("a text", {}, ("hello", None, None, "Text")),
    ("a text of many lines", {"text": "a\nb\n\u00e4\u2603\"\\"},
     ("a\nb\n\u00e4\u2603\"\\", None, None, "Text")),
    ("a file", {**FILE, "text": ""},
     ("", "/blobs/x.bin", "my file.bin", "File")),
    ("a file and a text", FILE,
     ("hello", "/blobs/x.bin", "my file.bin", "File")),
    ("a voice message", {**FILE, "viewType": "Voice", "text": ""},
     ("", "/blobs/x.bin", "my file.bin", "Voice")),
    ("a file of some kind", {**FILE, "viewType": "Unknown"},
     ("hello", "/blobs/x.bin", "my file.bin", "Text")),
    ("/help", {"text": "/help"}, (HELP, None, None, "Text")),
    ("/help and more", {"text": " /help me\n"}, (HELP, None, None, "Text")),
    ("/help to one of many", {"text": "/help@echo"},
     (HELP, None, None, "Text")),
    ("/help with a file", {**FILE, "text": "/help"},
     (HELP, None, None, "Text")),
    ("another word", {"text": "/helpful"}, ("/helpful", None, None, "Text")),
    ("another command", {"text": "/start"}, ("/start", None, None, "Text")),
    ("nothing", {"text": ""}, None),
    ("an info message", {"isInfo": True}, None),
    ("a bot's", {"isBot": True}, None),
    ("our own", {"fromId": 1}, None),
    ("of the chat itself", {"fromId": 2}, None),
    ("of the device", {"fromId": 5}, None),
    ("a call", {"viewType": "Call"}, None),
    ("what could not be decrypted", {"error": "Decrypting failed"}, None),
    ("a group", {"chatId": 20}, ("hello", None, None, "Text")),
    ("a contact request", {"chatId": 21}, ("hello", None, None, "Text")),
    ("a mailing list", {"chatId": 22}, None),
    ("a channel", {"chatId": 23}, None),
    ("saved messages", {"chatId": 24}, None),
]
CHATS = {"20": {"chatType": "Group"}, "21": {"isContactRequest": True},
         "22": {"chatType": "Mailinglist"}, "23": {"chatType": "InBroadcast"},
         "24": {"isSelfTalk": True}}
# Where the server dies: each is asked while a message is answered.
STEPS = ["get_system_info", "get_all_account_ids", "get_config",
         "add_account", "list_transports", "batch_set_config", "add_or_update_transport",
         "get_chat_securejoin_qr_code", "start_io", "get_next_msgs",
         "get_message", "get_basic_chat_info", "misc_set_draft", "get_draft",
         "set_config", "misc_send_draft", "markseen_msgs", "delete_messages"]
NONSENSE = [
    ("garbage", "no JSON-RPC: not JSON from byte"),
    ("huge", "an answer is too long"),
]


def until(condition, secs=SECS):
    end = time.monotonic() + secs
    while not condition() and time.monotonic() < end:
        time.sleep(.02)
    return condition()


class Bot:
    """The bot in a directory of its own, with a scripted server."""
    number = 0

    def __init__(self, messages=(MESSAGE,), faults=(), args=(), **settings):
        Bot.number += 1
        self.dir = os.path.join(TOP, str(Bot.number))
        os.mkdir(self.dir)
        self.write({"messages": {str(i + 1): {**MESSAGE, **m}
                                 for i, m in enumerate(messages)},
                    "chats": CHATS, "faults": list(faults)})
        self.ini = role.write_ini(
            self.path("chatmail.ini"), echobot="true", echobot_server=PEER,
            echobot_dir=self.path("state"),
            echobot_password_path=self.path("password"), **settings)
        self.args = args

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, state):
        with open(self.path("state.json"), "w") as f:
            json.dump(state, f)

    def read(self):
        with open(self.path("state.json")) as f:
            return json.load(f)

    def calls(self):
        with open(self.path("calls")) as f:
            return f.read().split()

    def start(self):
        self.role = role.Role(["echobot", *self.args, self.ini],
                              env={"RPCPEER_DIR": self.dir,
                                   "CHATMAIL_LOG": "debug"})
        return self

    def stop(self, sig=signal.SIGTERM):
        return self.role.stop(sig, 60)

    def sent(self):
        return [(m["text"], m["file"], m["fileName"], m["viewType"])
                for m in self.read().get("sent", [])]

    def server(self):
        """Pid of the scripted server, or None."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == self.role.pid:
                return int(pid)
        return None

    def is_done(self):
        """Has everything been looked at?"""
        state = self.read()
        theirs = [int(n) for n, m in state["messages"].items()
                  if m["fromId"] != 1]
        waiting = state.get("account", {}).get("config", {}).get(
            "ui.echobot.waiting")
        return state.get("seen", 0) >= max(theirs, default=1) and \
            not state["faults"] and not waiting

    def wait_done(self):
        return until(self.is_done)


def answers(bot):
    """Run to the end; what was sent, and the bot's exit code."""
    bot.start()
    done = bot.wait_done()
    code = bot.stop()
    if not done:
        tap.diag(bot.role.log)
        tap.diag(json.dumps(bot.read()))
    return done, bot.sent(), code


def side_by_side(work, items):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(zip(items, pool.map(work, items)))


def test_answers():
    # what stands between texts that are answered, in their order
    messages = []
    for i, (_, parts, _) in enumerate(ANSWERS):
        messages += [parts, {"text": "end of %d" % i}]
    done, sent, code = answers(Bot(messages))
    tap.is_((done, code), (True, 0), "all kinds of messages")
    for i, (name, _, want) in enumerate(ANSWERS):
        mine = []
        while sent and sent[0][0] != "end of %d" % i:
            mine.append(sent.pop(0))
        sent = sent[1:]
        tap.is_(mine, [want] if want else [], name)
    bot = Bot([{"text": "%d" % i} for i in range(60)])
    done, sent, code = answers(bot)
    tap.is_([m[0] for m in sent], ["%d" % i for i in range(60)],
            "many messages are answered in their order")
    bot.start()
    tap.ok(until(lambda: not bot.read()["messages"]),
           "neither they nor the answers are kept")
    bot.stop()


def test_account():
    bot = Bot()
    tap.is_(answers(bot)[2], 0, "SIGTERM ends it")
    account = bot.read()["account"]
    login = account["transports"][0]
    password = login.pop("password")
    tap.is_(login, {"addr": "echo@chat.test", "imapServer": "127.0.0.1",
                    "imapPort": 993, "imapSecurity": "ssl",
                    "smtpServer": "127.0.0.1", "smtpPort": 465,
                    "smtpSecurity": "ssl",
                    "certificateChecks": "acceptInvalidCertificates"},
            "it logs in on this machine")
    with open(bot.path("password")) as f:
        stored = f.read()
    tap.ok(stored.startswith("{SHA512-CRYPT}$6$"), "doveauth is told a hash")
    tap.is_(crypt.crypt(password, stored[14:]), stored[14:],
            "of the password")
    tap.ok(len(password) >= 20 and password not in bot.role.log,
           "which is long, and not logged")
    config = account["config"]
    tap.is_((config["bot"], config["mdns_enabled"], config["bcc_self"],
             config["delete_device_after"]),
            ("1", "0", "0", str(20 * 86400)), "it says that it is a bot")
    tap.ok(config["displayname"] and config["selfstatus"], "it has a name")
    with open(bot.path("state/invite-link.txt")) as f:
        tap.is_(f.read(), "https://i.delta.chat/#invite", "its invite link")
    tap.is_([oct(os.stat(bot.path(p)).st_mode & 0o777)
             for p in ("state/invite-link.txt", "password")],
            ["0o644", "0o644"], "which others can read, and the hash")

    state = bot.read()
    state["account"]["config"]["displayname"] = "Mirror"
    bot.write(state)
    answers(bot)
    tap.is_(bot.calls().count("add_account"), 1, "a second start has the same")
    tap.is_(bot.calls().count("add_or_update_transport"), 1,
            "and needs no new login")
    tap.is_(bot.read()["account"]["config"]["displayname"], "Mirror",
            "another name stays")
    with open(bot.path("password")) as f:
        tap.is_(crypt.crypt(password, f.read()[14:])[:3], "$6$",
                "doveauth is told again")
    tap.is_(bot.read()["account"]["transports"][0]["password"], password,
            "of the same password")


def test_upstream():
    """What the Python relay's bot has left: found servers, strict checks."""
    bot = Bot()
    state = bot.read()
    state["account"] = {"config": {"bot": "1"}, "transports": [
        {"addr": "echo@chat.test", "password": "Ab3$efghijkl",
         "imapServer": None, "certificateChecks": "automatic"}]}
    bot.write(state)
    tap.is_(answers(bot), (True, [("hello", None, None, "Text")], 0),
            "an account that is there is used")
    login = bot.read()["account"]["transports"][0]
    tap.is_((login["password"], login["imapServer"]),
            ("Ab3$efghijkl", "127.0.0.1"),
            "with its password, and our servers")
    with open(bot.path("password")) as f:
        stored = f.read()[14:]
    tap.is_(crypt.crypt("Ab3$efghijkl", stored), stored,
            "which doveauth is told")
    bot = Bot()
    state["account"]["transports"][0]["addr"] = "echo@old.test"
    bot.write(state)
    answers(bot)
    tap.is_(bot.calls().count("add_account"), 1,
            "another domain's account is not used")


def test_dying_server():
    rows = [(step, when, what) for step in STEPS for when, what in
            [("before", "kill"), ("after", "exit")]]
    texts = [{"text": "one"}, {"text": "two", **FILE}, {"text": "three"}]

    def run(row):
        step, when, what = row
        return answers(Bot(texts, [{"method": step, "when": when,
                                    "what": what}]))

    for (step, when, what), (done, sent, code) in side_by_side(run, rows):
        tap.is_((done, [m[0] for m in sent], code),
                (True, ["one", "two", "three"], 0),
                "its server dies %s %s: each is answered once" % (when, step))


def test_killed():
    """Of the bot itself, at every step."""
    def run(step):
        bot = Bot([{"text": "one"}, {"text": "two"}], [
            {"method": step, "when": "after", "what": "silent"}])
        bot.start()
        until(lambda: not bot.read()["faults"])
        bot.stop(signal.SIGKILL)
        return answers(bot)

    for step, (done, sent, code) in side_by_side(run, STEPS):
        tap.is_((done, [m[0] for m in sent], code), (True, ["one", "two"], 0),
                "the bot is killed after %s: each is answered once" % step)


def test_nonsense():
    for what, why in NONSENSE:
        bot = Bot(faults=[{"method": "get_next_msgs", "when": "before",
                           "what": what}])
        tap.is_(answers(bot), (True, [("hello", None, None, "Text")], 0),
                "its server answers with %s" % what)
        tap.like(bot.role.log, why, "which is told")
        tap.is_(bot.read()["starts"], 2, "and another one started")
    bot = Bot(faults=[{"method": "get_message", "when": "before",
                       "what": "stray"}])
    tap.is_(answers(bot)[:2], (True, [("hello", None, None, "Text")]),
            "an answer to nothing, and a notification, are no harm")
    tap.is_(bot.read()["starts"], 1, "the server goes on")


def test_refusals():
    bot = Bot(faults=[{"method": "add_or_update_transport", "when": "before",
                       "what": "error"}] * 2)
    tap.is_(answers(bot), (True, [("hello", None, None, "Text")], 0),
            "the relay does not let it in yet: it tries again")
    tap.like(bot.role.log, "logging in as echo@chat.test: not now; "
             "trying again in 2 s", "and says so")
    tap.is_(bot.read()["starts"], 1, "with the same server")
    for step in "misc_set_draft", "misc_send_draft":
        bot = Bot([{"text": "one"}, {"text": "two"}], [
            {"method": step, "when": "before", "what": "error"}])
        tap.is_(answers(bot)[1], [("two", None, None, "Text")],
                "%s is refused: the next one is answered" % step)
        tap.like(bot.role.log, "not now", "and the reason told")


def test_waiting():
    """A file that comes later, with a restart between."""
    def run(faults):
        bot = Bot([{"text": "the file", "downloadState": "Available"},
                   {"text": "two"}], faults)
        bot.start()
        first = until(lambda: len(bot.sent()) == 1)
        first = first and [m[0] for m in bot.sent()]
        until(lambda: bot.read().get("seen", 0) >= 2)
        code = bot.stop()
        state = bot.read()
        state["messages"]["1"].update(downloadState="InProgress", **FILE)
        bot.write(state)
        bot.start()
        ok = until(lambda: len(bot.sent()) == 2) and bot.wait_done()
        bot.stop()
        if not ok:
            tap.diag(bot.role.log)
        return first, code, bot.sent()

    for faults in [[], [{"method": "set_config", "when": "before",
                         "what": "kill"}],
                   [{"method": "set_config", "when": "after",
                     "what": "kill"}]]:
        first, code, sent = run(faults)
        tap.is_(first, ["two"], "who waits for a file holds up nobody")
        tap.is_(sent, [("two", None, None, "Text"),
                       ("the file", "/blobs/x.bin", "my file.bin", "File")],
                "it is answered when the file is there, after a restart too")


def test_relogin():
    bot = Bot(args=["--relogin", "1"]).start()
    tap.ok(until(lambda: os.path.exists(bot.path("calls")) and
                 bot.calls().count("start_io") >= 3),
           "it logs in anew from time to time")
    calls = [c for c in bot.calls() if c in ("start_io", "stop_io")]
    tap.is_(calls[:3], ["start_io", "stop_io", "start_io"],
            "by leaving first")
    tap.is_(bot.stop(), 0, "and ends")


def test_full_disk():
    bot = Bot(min_free_disk_space="999999G").start()
    tap.ok(until(lambda: os.path.exists(bot.path("calls")) and
                 "stop_io" in bot.calls()),
           "on a full disk nothing more is fetched")
    tap.ok(bot.role.wait_log("less space than min_free_disk_space"),
           "and it says so")
    bot.stop()


def test_end():
    bot = Bot().start()
    bot.wait_done()
    server = bot.server()
    tap.ok(server, "its server is its child")
    tap.is_(bot.stop(), 0, "SIGTERM ends the bot")
    tap.ok(not os.path.exists("/proc/%d" % server), "and its server")
    bot.start()
    until(lambda: bot.server())
    server = bot.server()
    bot.stop(signal.SIGKILL)
    tap.ok(until(lambda: not os.path.exists("/proc/%d" % server)),
           "SIGKILL of the bot ends it as well")


def test_doveauth():
    """Who may have the address."""
    addr = "echo@chat.test"
    hashes = ["{SHA512-CRYPT}$6$%s$%s" % (c * 16, c * 86) for c in "abc"]
    with RelayDir(domain="chat.test", echobot="true", username_min_length=2,
                  min_available_memory=0, min_free_disk_space="999999G",
                  max_load_1m=9999) as d:
        d.write_ini(echobot_password_path=d.join("hash"),
                    nocreate_file=d.join("nocreate"))
        open(d.join("nocreate"), "w").close()
        path = os.path.join(d.mailbox(addr), "password")

        def tell(number):
            with open(d.join("hash"), "w") as f:
                f.write(hashes[number])

        def login(name=addr):
            answer = client.lookup('shared/passdb/any-password"' + name)
            return json.loads(answer[1])["password"] if answer[0] == "O" \
                else answer[0]

        with Role(["doveauth", d.sock, d.ini], d.sock) as doveauth:
            client = DictClient(d.sock)
            tap.is_(login(), "N", "nobody has it before the bot")
            tell(0)
            tap.is_(login(), hashes[0], "the bot has it by its hash")
            tap.is_([os.path.exists(os.path.join(d.mailbox(addr), n))
                     for n in ("password", "enforceE2EEincoming", "echobot")],
                    [True] * 3, "a mailbox is made, full disk or not")
            tap.is_(login("other@chat.test"), "N", "others are not let in")
            tell(1)
            tap.is_(login(), hashes[1], "another hash is taken over")
            with open(path) as f:
                tap.is_(f.read(), hashes[1], "for all to see")
            os.unlink(d.join("hash"))
            tap.is_(login(), hashes[1], "and stays while the bot is away")
            os.unlink(os.path.join(d.mailbox(addr), "echobot"))
            tell(2)
            tap.is_(login(), hashes[1], "a person's address is not taken")
            tap.ok(doveauth.wait_log("is a person's"), "which is told")
            os.unlink(path)
            tap.is_(login(), hashes[2], "a mailbox without a password is")
            shutil.rmtree(d.mailbox(addr))
            os.unlink(d.join("nocreate"))
            d.write_ini(echobot="false", min_free_disk_space=0)
            doveauth.hup()
            tap.ok(until(lambda: login("other@chat.test")[0] == "{"),
                   "with echobot = false")
            tap.is_(login(), "N", "nobody has it, hash or not")
            tap.like(doveauth.log(), "is the echo bot's", "as the log says")


def test_command_line():
    bot = Bot()
    for args, want in [
            (["--imap", "993"], "--imap and --smtp need HOST:PORT"),
            (["--smtp", "x:0"], "--imap and --smtp need HOST:PORT"),
            (["--relogin", "0"], "--relogin needs a number of seconds"),
            (["a", "b"], "at most one INI is needed"),
            (["--nonsense"], "--nonsense")]:
        done = subprocess.run([role.CHATMAIL, "echobot", *args], text=True,
                              stderr=subprocess.PIPE, timeout=SECS)
        tap.is_(done.returncode, 2, " ".join(args))
        tap.like(done.stderr, want, "says why")
    role.write_ini(bot.ini, echobot_server="/no/such/server",
                   echobot_dir=bot.path("state"),
                   echobot_password_path=bot.path("password"))
    bot.start()
    tap.ok(bot.role.wait_log("/no/such/server", SECS),
           "a server that is not there is named")
    bot.stop()


try:
    test_command_line()
    test_doveauth()
    test_account()
    test_upstream()
    test_answers()
    test_dying_server()
    test_killed()
    test_nonsense()
    test_refusals()
    test_waiting()
    test_relogin()
    test_full_disk()
    test_end()
finally:
    shutil.rmtree(TOP, ignore_errors=True)
tap.done()
