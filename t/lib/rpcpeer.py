#!/usr/bin/env -S python3 -S
"""Stands in for deltachat-rpc-server where the real one cannot be made to fail
as it should: it knows as much of an account as the echo bot asks for, keeps it
in RPCPEER_DIR/state.json after every change, and dies or talks nonsense when
state.json's "faults" say so:

    {"method": "misc_send_draft", "when": "before" or "after" the effect,
     "what": "exit", "garbage", "huge", "silent", "error"}

Each fault happens once. What was called is in RPCPEER_DIR/calls."""
import json
import os
import signal
import sys
import time

DIR = os.environ["RPCPEER_DIR"]
STATE = os.path.join(DIR, "state.json")
DRAFT, PENDING, DELIVERED = 19, 20, 26
HUGE = 17 << 20
MESSAGE = {
    "chatId": 10, "fromId": 11, "text": "", "isInfo": False, "isBot": False,
    "viewType": "Text", "downloadState": "Done", "state": 10, "file": None,
    "fileName": None, "error": None}


class Refused(Exception):
    pass


class Peer:
    def __init__(self):
        with open(STATE) as f:
            self.state = json.load(f)
        self.events = []
        self.polling = None
        self.state["starts"] = self.state.get("starts", 0) + 1
        self.save()

    def save(self):
        with open(STATE + ".new", "w") as f:
            json.dump(self.state, f)
        os.rename(STATE + ".new", STATE)

    def new_id(self):
        self.state["last"] = self.state.get("last", 100) + 1
        return self.state["last"]

    def message(self, number):
        try:
            return self.state["messages"][str(number)]
        except KeyError:
            raise Refused("Message %d does not exist" % number)

    def event(self, kind, **fields):
        self.events.append({"contextId": 1, "event": {"kind": kind, **fields}})

    def hold(self):
        """While RPCPEER_DIR/hold is there, nothing is answered."""
        while os.path.exists(os.path.join(DIR, "hold")):
            time.sleep(.02)

    # methods

    def get_system_info(self):
        return {"deltachat_core_version": "v0"}

    def get_all_account_ids(self):
        return [1] if self.state.get("account") else []

    def add_account(self):
        self.state["account"] = {"config": {}, "transports": []}
        return 1

    def list_transports(self, account):
        return self.state["account"]["transports"]

    def add_or_update_transport(self, account, param):
        self.state["account"]["transports"] = [param]

    def batch_set_config(self, account, values):
        if "delete_server_after" in values:
            raise Refused("unknown key")
        self.state["account"]["config"].update(values)

    def set_config(self, account, key, value):
        self.state["account"]["config"][key] = value

    def get_config(self, account, key):
        if key == "configured_addr":
            transports = self.state["account"]["transports"]
            return transports[0]["addr"] if transports else None
        return self.state["account"]["config"].get(key)

    def get_chat_securejoin_qr_code(self, account, chat):
        return "https://i.delta.chat/#invite"

    def start_io(self, account):
        for number, message in self.state["messages"].items():
            if message["downloadState"] == "InProgress":
                message["downloadState"] = "Done"
                self.event("MsgsChanged", chatId=10, msgId=int(number))
        self.event("IncomingMsg", chatId=10, msgId=1)

    def stop_io(self, account):
        pass

    def get_next_msgs(self, account):
        seen = self.state.get("seen", 0)
        return sorted(int(n) for n, m in self.state["messages"].items()
                      if int(n) > seen and m["state"] != DRAFT)

    def get_message(self, account, number):
        return {**self.message(number), "id": number}

    def get_basic_chat_info(self, account, chat):
        return {"chatType": "Single", "isContactRequest": False,
                "isSelfTalk": False, "isDeviceChat": False,
                **self.state.get("chats", {}).get(str(chat), {})}

    def accept_chat(self, account, chat):
        self.state.setdefault("chats", {}).setdefault(str(chat), {})[
            "isContactRequest"] = False

    def draft(self, chat):
        for number, message in self.state["messages"].items():
            if message["state"] == DRAFT and message["chatId"] == chat:
                return number
        return None

    def misc_set_draft(self, account, chat, text, file, name, quote, view):
        old = self.draft(chat)
        if old:
            del self.state["messages"][old]
        self.state["messages"][str(self.new_id())] = {
            **MESSAGE, "chatId": chat, "fromId": 1, "text": text or "",
            "file": file, "fileName": name, "state": DRAFT,
            "viewType": view or "Text"}

    def get_draft(self, account, chat):
        number = self.draft(chat)
        return number and self.get_message(account, int(number))

    def misc_send_draft(self, account, chat):
        number = self.draft(chat)
        if not number:
            raise Refused("no draft")
        self.state.setdefault("sent", []).append(dict(self.message(number)))
        self.message(number)["state"] = self.state.get("sent_is", DELIVERED)
        self.event("MsgsChanged", chatId=chat, msgId=int(number))
        self.event("MsgDelivered", chatId=chat, msgId=int(number))
        return int(number)

    def resend_messages(self, account, numbers):
        # the same Message-ID: nobody sees it twice
        for number in numbers:
            self.message(number)["state"] = DELIVERED
            self.event("MsgDelivered", chatId=10, msgId=number)

    def markseen_msgs(self, account, numbers):
        self.state["seen"] = max(numbers + [self.state.get("seen", 0)])

    def delete_messages(self, account, numbers):
        for number in numbers:
            self.message(number)
            del self.state["messages"][str(number)]

    # the protocol

    def fault(self, method, when):
        for fault in self.state.get("faults", []):
            if fault["method"] == method and fault["when"] == when:
                self.state["faults"].remove(fault)
                self.save()
                return fault["what"]
        return None

    def misbehave(self, what):
        """Returns whether the request is answered nevertheless."""
        if what == "exit":
            os._exit(3)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "garbage":
            print("thread 'main' panicked at src/main.rs", flush=True)
        if what == "huge":
            sys.stdout.write('{"jsonrpc":"2.0","id":1,"result":"' +
                             "x" * HUGE + '"}\n')
            sys.stdout.flush()
        return what == "stray"

    def answer(self, **fields):
        print(json.dumps({"jsonrpc": "2.0", **fields}), flush=True)

    def request(self, line):
        request = json.loads(line)
        method, number = request["method"], request["id"]
        with open(os.path.join(DIR, "calls"), "a") as f:
            f.write(method + "\n")
        if method == "get_next_event_batch":
            self.polling = number
            return
        self.hold()
        what = self.fault(method, "before")
        if what == "error":
            self.answer(id=number, error={"code": -1, "message": "not now"})
            return
        if what == "stray":     # what nobody asked for is no harm
            self.answer(id=987654321, result=None)
            self.answer(method="hello", params=[])
        elif what and not self.misbehave(what):
            return
        try:
            result = getattr(self, method)(*request.get("params", []))
        except Refused as e:
            self.answer(id=number, error={"code": -1, "message": str(e)})
            return
        self.save()
        what = self.fault(method, "after")
        if what and not self.misbehave(what):
            return
        self.answer(id=number, result=result)

    def run(self):
        for line in sys.stdin:
            self.request(line)
            if self.events and self.polling is not None:
                self.answer(id=self.polling, result=self.events)
                self.events, self.polling = [], None


Peer().run()
