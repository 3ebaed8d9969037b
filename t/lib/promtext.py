"""A strict reader of Prometheus' text format (version 0.0.4).

    samples, mistakes = promtext.read(text)
    samples['name{label="value"}'] == 1.0
"""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
VALUE = r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Inf)|NaN"
PAIR = rf'{LABEL}="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(
    rf"({NAME})(?:\{{((?:{PAIR}(?:,{PAIR})*)?,?)\}})? ({VALUE})(?: (-?\d+))?")
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.*)")
TYPES = "counter", "gauge", "histogram", "summary", "untyped"


class Reader:
    def __init__(self):
        self.samples, self.mistakes = {}, []
        self.heads = {}         # name: {"HELP": text, "TYPE": type}
        self.family, self.closed = None, set()

    def enter(self, name):
        """All lines of one family stand together."""
        if name == self.family:
            return
        if name in self.closed:
            self.mistakes.append(f"{name} goes on after others")
        self.closed.add(self.family)
        self.family = name

    def head(self, kind, name, text):
        self.enter(name)
        head = self.heads.setdefault(name, {})
        if kind in head:
            self.mistakes.append(f"second {kind} of {name}")
        if any(s.split("{")[0] == name for s in self.samples):
            self.mistakes.append(f"{kind} of {name} after its samples")
        if kind == "TYPE" and text not in TYPES:
            self.mistakes.append(f"{name} has type {text}")
        if re.search(r"\\(?![\\n])", text):
            self.mistakes.append(f"bad escape: {text}")
        head[kind] = text

    def base(self, name):
        """A histogram's or summary's family."""
        for end in "_bucket", "_sum", "_count":
            if name.endswith(end) and self.heads.get(
                    name[:-len(end)], {}).get("TYPE") in (
                        "histogram", "summary"):
                return name[:-len(end)]
        return name

    def sample(self, name, labels, value):
        self.enter(self.base(name))
        keys = re.findall(rf"({LABEL})=", re.sub(r'"(\\.|[^"\\])*"', "", labels))
        if len(keys) != len(set(keys)):
            self.mistakes.append(f"a label twice: {labels}")
        key = f"{name}{{{labels}}}" if labels else name
        if key in self.samples:
            self.mistakes.append(f"{key} twice")
        if set(self.heads.get(self.base(name), {})) != {"HELP", "TYPE"}:
            self.mistakes.append(f"{name} without HELP and TYPE")
        self.samples[key] = float(value)

    def line(self, text):
        head, sample = HEAD.fullmatch(text), SAMPLE.fullmatch(text)
        if head:
            self.head(*head.groups())
        elif sample:
            self.sample(sample[1], sample[2] or "", sample[3])
        elif re.match(r"# *(HELP|TYPE)", text) or not text.startswith("#"):
            self.mistakes.append(f"not a line of the format: {text!r}")


def read(text):
    """(samples by name and labels, mistakes)."""
    r = Reader()
    if not text.endswith("\n"):
        r.mistakes.append("the last line has no end")
    for line in text.split("\n")[:-1]:
        r.line(line)
    for name in r.heads:
        if not any(r.base(s.split("{")[0]) == name for s in r.samples):
            r.mistakes.append(f"{name} has no samples")
    return r.samples, r.mistakes
