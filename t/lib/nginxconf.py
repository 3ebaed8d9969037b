"""Reads nginx configurations: directives with their arguments and blocks.

    conf = nginxconf.parse(text)
    conf.find("http", "server", "listen")       # [["443", "ssl"], ...]
"""
import re

TOKEN = re.compile(r"""\s+|\#[^\n]*|([{};])|'((?:\\.|[^'\\])*)'|"""
                   r""""((?:\\.|[^"\\])*)"|((?:\$\{\w+\}|[^\s{};])+)""", re.S)


class Directive:
    def __init__(self, name, args=()):
        self.name = name
        self.args = list(args)
        self.block = []

    def all(self, *names):
        """The directives on the way of these names."""
        found = [self]
        for name in names:
            found = [d for f in found for d in f.block if d.name == name]
        return found

    def find(self, *names):
        """Their arguments."""
        return [d.args for d in self.all(*names)]

    def everything(self):
        for d in self.block:
            yield d
            yield from d.everything()


def tokens(text):
    at = 0
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise ValueError("nginx.conf: " + text[at:at + 40])
        at = m.end()
        if m.lastindex:
            yield m.lastindex == 1, m[m.lastindex]


def parse(text):
    """The whole file as a directive without a name."""
    top = Directive("")
    open_blocks, words = [top], []
    for special, word in tokens(text):
        if not special:
            words.append(word)
            continue
        if word == "}":
            open_blocks.pop()
            continue
        d = Directive(words[0], words[1:])
        open_blocks[-1].block.append(d)
        words = []
        if word == "{":
            open_blocks.append(d)
    if len(open_blocks) != 1 or words:
        raise ValueError("nginx.conf: not all blocks are closed")
    return top
