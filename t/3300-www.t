#!/usr/bin/env python3
"""www: pages from Markdown and templates, ours and the operator's; what is
refused, and that a refusal leaves the old pages as they were."""
import html.parser
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import role
import tap

TOP = os.path.join(HERE, "..")
top = tempfile.mkdtemp(prefix="chatmail-test-")
os.environ.pop("CHATMAIL_INI", None)


def at(*names):
    return os.path.join(top, *names)


def put(path, contents):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(contents if isinstance(contents, bytes) else contents.encode())


def read(*names):
    with open(os.path.join(*names), "rb") as f:
        return f.read().decode("utf-8", "surrogateescape")


def ini(domain="chat.example.org", **settings):
    return role.write_ini(at("chatmail.ini"), domain, **settings)


def www(*args, cwd=top, **how):
    """Exit code, stdout, stderr."""
    p = subprocess.run([role.CHATMAIL, "www", *args], cwd=cwd, timeout=120,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, **how)
    return (p.returncode, p.stdout.decode(),
            p.stderr.decode("utf-8", "surrogateescape"))


def tree(path):
    """Contents of every file by its name; links by what they say."""
    found = {}
    for folder, _, files in os.walk(path):
        for name in files:
            p = os.path.join(folder, name)
            rel = os.path.relpath(p, path)
            if os.path.islink(p):
                found[rel] = "-> " + os.readlink(p)
            else:
                with open(p, "rb") as f:
                    found[rel] = f.read()
    return found


def own(name="own"):
    """An operator's folder with one page, named in chatmail.ini."""
    folder = at(name)
    shutil.rmtree(folder, ignore_errors=True)
    put(folder + "/src/index.md", "# Hello\n")
    put(folder + "/src/page-layout.html", "{{ markdown_html }}")
    ini(www_folder=folder)
    return folder


def page(source, layout="{{ markdown_html }}", domain="chat.example.org",
         **settings):
    """What an operator's page becomes; or the error."""
    folder = own()
    put(folder + "/src/index.md", source)
    put(folder + "/src/page-layout.html", layout)
    ini(domain, www_folder=folder, **settings)
    code, out, err = www("--output", at("out"))
    if code != 0:
        return err.replace(folder, "DIR").replace(top, "TOP")
    return read(at("out/index.html"))


CONFLICT = "a\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> branch\nb\n"


class Checker(html.parser.HTMLParser):
    """Tags that are not closed, links that lead nowhere."""
    VOID = {"meta", "link", "img", "br", "hr", "input", "source", "col"}
    LAZY = {"li", "p", "td", "th", "tr", "thead", "tbody", "dt", "dd"}

    def __init__(self, root, name):
        super().__init__()
        self.root, self.name = root, name
        self.open, self.wrong, self.ids = [], [], set()
        self.lang = None
        self.feed(read(root, name))
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ("src", "href") and value is not None:
                self.link(value)
            if key == "lang" and tag == "html":
                self.lang = value
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        while self.open and self.open[-1] != tag and self.open[-1] in self.LAZY:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.wrong.append("</%s>" % tag)

    def link(self, target):
        path = re.split("[?#]", target)[0]
        if re.match(r"[A-Za-z]+:|//", target) or path in ("", "/new"):
            return
        base = self.root if path.startswith("/") else \
            os.path.dirname(os.path.join(self.root, self.name))
        if path.endswith("/"):
            path += "index.html"
        if not os.path.isfile(os.path.join(base, path.lstrip("/"))):
            self.wrong.append(target)


def test_packed():
    """The program's own pages, in each kind of relay."""
    for domain in "chat.example.org", "_chat.test", "192.0.2.7":
        ini(domain)
        code, out, err = www()
        tap.is_((code, out, err), (0, "www-build: the pages of %s\n" % domain,
                                   ""), domain + ": the program's own pages")
        root = at("www-build")
        for name in sorted(tree(root)):
            if not name.endswith(".html"):
                continue
            text = read(root, name)
            c = Checker(root, name)
            tap.is_(c.wrong, [], "%s: closed tags, good links" % name)
            tap.is_(c.lang, name.split("/")[0] if "/" in name else "en",
                    "its language")
            tap.is_(re.findall(r"\{\{|\{%|%\}|\}\}", text), [], "no tag left")
        tap.like(read(root, "index.html"), domain, "the domain is in it")
        pictures = ["qr-chatmail-invite-%s.%s" % (d, x)
                    for d in {domain, "[%s]" % domain
                              if domain[0] == "1" else domain}
                    for x in ("svg", "png")]
        tap.is_([p for p in pictures if not os.path.isfile(root + "/" + p)],
                [], "the invitation's pictures")
        modes = {stat.S_IMODE(os.stat(os.path.join(f, n)).st_mode)
                 for f, ds, fs in os.walk(root) for n in fs}
        tap.is_(modes, {0o644}, "all can read the files")
        first = tree(root)
        tap.is_(www(preexec_fn=lambda: os.umask(0o077))[0], 0, "once more")
        tap.ok(tree(root) == first, "gives the same bytes")
        tap.is_(stat.S_IMODE(os.stat(root).st_mode), 0o755,
                "and all can read them, whatever the umask")


def test_values():
    """Values are text, whatever is in them."""
    evil = "a*b*_c_[d](e)<script>&amp;\"'`|#{{ lang }}"
    shown = ("a*b*_c_[d](e)&lt;script&gt;&amp;amp;&quot;&#39;`|#{{ lang }}")
    for what, source, want in [
            ("text", "x {{ config.privacy_mail }} y", "<p>x %s y</p>\n"),
            ("no blanks", "{{config.privacy_mail}}", "<p>%s</p>\n"),
            ("no config.", "{{ privacy_mail }}", "<p>%s</p>\n"),
            ("heading", "# {{ privacy_mail }}", "<h1>%s</h1>\n"),
            ("emphasis", "**{{ privacy_mail }}**",
             "<p><strong>%s</strong></p>\n"),
            ("code", "`{{ privacy_mail }}`", "<p><code>%s</code></p>\n"),
            ("link", "[x](mailto:{{ privacy_mail }})",
             '<p><a href="mailto:%s">x</a></p>\n'),
            ("attribute", '<b title="{{ privacy_mail }}">x</b>',
             '<p><b title="%s">x</b></p>\n'),
            ("list", "- {{ privacy_mail }}\n- x",
             "<ul>\n<li>%s</li>\n<li>x</li>\n</ul>\n"),
            ("block", "<div>\n{{ privacy_mail }}\n</div>\n",
             "<div>\n%s\n</div>\n")]:
        tap.is_(page(source, privacy_mail=evil), want % shown,
                "a value in " + what)
    tap.is_(page("x", "{{ privacy_mail }}|{{ markdown_html }}",
                 privacy_mail=evil), shown + "|<p>x</p>\n", "in the layout")
    postal = "A <B>\n  * Street 1\n  - Town & Co\n  ```"
    want = "A &lt;B&gt;\n* Street 1\n- Town &amp; Co\n```"
    tap.is_(page("```\n{{ config.privacy_postal }}\n```\n",
                 privacy_postal=postal),
            "<pre><code>%s\n</code></pre>\n" % want, "several lines in a fence")
    tap.is_(page("by {{ config.privacy_postal }}.", privacy_postal=postal),
            "<p>by %s.</p>\n" % want, "and in a sentence")
    for domain, want in [("_chat.test", "_chat.test"),
                         ("1.2.3.4", "[1.2.3.4]")]:
        tap.is_(page("_{{ config.mail_domain }}_ ({{ mail_domain }})",
                     domain=domain),
                "<p><em>%s</em> (%s)</p>\n" % (want, want), "domain " + want)


def test_names():
    cases = [
        ("{{ pagename }} {{ lang }} [{{ root }}]", "home en []"),
        ("{{ username_min_length }} {{ config.username_min_length }}",
         "nine 9"),
        ("{{ username_max_length }} {{ password_min_length }}", "nine nine"),
        ("{{ config.delete_mails_after }}, {{ delete_inactive_users_after }}, "
         "{{ config.max_mailbox_size }}", "20, 90, 500M"),
        ("{{ config.max_user_send_per_minute }}", "60"),
        ("[{{ config.webdev }}]{% if config.webdev %}x{% endif %}", "[]"),
        ('{% if config.mail_domain != "nine.example" %}a{% else %}b{% endif %}',
         "a"),
        ("{% if config.mail_domain != 'chat.example.org' %}a{% else %}b"
         "{% endif %}", "b"),
        ('{% if config.tls_cert_mode == "self" %}a{% else %}b{% endif %}', "b"),
        ('{% if pagename == "home" %}a{% endif %}', "a"),
        ("[{{ language_links }}{{ hreflang_links }}]", "[]"),
    ]
    for source, want in cases:
        tap.is_(page(source), "<p>%s</p>\n" % want, source[:60])
        tap.is_(page("x", source), want, "the same in the layout")
    for n, word in [(1, "one"), (12, "twelve"), (13, "13"), (50, "50"),
                    (51, "more"), (4000, "more")]:
        tap.is_(page("{{ password_min_length }}", password_min_length=n),
                "<p>%s</p>\n" % word, "%d is %s" % (n, word))
    for source, want in [("# A *b* &c\n", "A b &amp;c"), ("x", "home"),
                         ("x\n\n### <a name='y'></a> {{ mail_domain }}\n# z",
                          "chat.example.org")]:
        tap.is_(page(source, "{{ title }}"), want, "title: " + want)


def test_dialect():
    """A whole site as upstream's operators write one."""
    folder = own()
    shutil.copytree(os.path.join(HERE, "www"), folder + "/src",
                    dirs_exist_ok=True)
    for domain, there, missing in [
            ("chat.example.org", ["DCACCOUNT:https://chat.example.org/new",
                                  "Welcome to our relay"], ["dclogin.js"]),
            ("_chat.test", ['id="dclogin-link"', "dclogin.js"],
             ["DCACCOUNT"]),
            ("relay.example", ["the one relay"], ["our relay"])]:
        ini(domain, www_folder=folder, username_min_length=5,
            privacy_postal="Street 1\n  12345 Town", privacy_mail="p@x.example")
        code, out, err = www("--output", at("out"))
        tap.is_((code, err), (0, ""), domain + ": builds")
        index, info = read(at("out/index.html")), read(at("out/info.html"))
        for text in there:
            tap.like(index, text, "has " + text)
        for text in missing:
            tap.ok(text not in index, "has not " + text)
        tap.like(index, "<title>%s home</title>" % domain, "its title")
        tap.like(info, "<title>%s info</title>" % domain, "another title")
        tap.like(info, "five to nine characters, passwords nine.", "numbers in words")
        tap.like(info, "<pre><code>Street 1\n12345 Town\n</code></pre>",
                 "the address")
        tap.ok("refresh" not in index, "nothing for webdev")
        tap.ok(not os.path.exists(at("out/page-layout.html")),
               "the layout is no page")
        tap.is_(sorted(n for n in tree(at("out")) if n.startswith("qr-")),
                ["qr-chatmail-invite-%s.%s" % (domain, x)
                 for x in ("png", "svg")], "the invitation")


def test_languages():
    folder = own("lang")
    layout = ("{{ lang }}|{{ root }}|{{ title }}|{{ language_links }}|"
              "{{ hreflang_links }}")
    for path, text in [
            ("page-layout.html", layout),
            ("index.md", "# Home"), ("info.md", "# Info"),
            ("alone.md", "# Alone"),
            ("de/index.md", "<!-- language: Deutsch & so -->\n# Start"),
            ("de/info.md", "# Auskunft"), ("de/more/x y.md", "# X"),
            ("pt-BR/index.md", "# Casa"), ("pt-BR/more/x y.md", "# Y"),
            ("help/index.md", "# Help"), ("img/a.md", "# Image"),
            ("de/main.css", "b{}"), ("de/own/page-layout.html", "own"),
            ("de/own/z.md", "# Z"), ("de/own/deep/z.md", "# Z")]:
        put(folder + "/src/" + path, text)
    code, out, err = www("--output", at("out"))
    tap.is_((code, err), (0, ""), "languages")

    def links(*rows):
        return "".join('<a href="%s" lang="%s" hreflang="%s">%s</a>\n' %
                       (href, code, code, name) for href, code, name in rows)

    def alternates(*rows):
        return "".join('<link rel="alternate" hreflang="%s" href="https://'
                       'chat.example.org/%s">\n' % r for r in rows)

    three = alternates(("en", "index.html"), ("de", "de/index.html"),
                       ("pt-BR", "pt-BR/index.html"))
    de = "Deutsch &amp; so"
    for name, want in [
            ("index.html", "en||Home|" + links(
                ("de/index.html", "de", de),
                ("pt-BR/index.html", "pt-BR", "pt-BR")) + "|" + three),
            ("de/index.html", "de|../|Start|" + links(
                ("../index.html?lang=en", "en", "English"),
                ("../pt-BR/index.html", "pt-BR", "pt-BR")) + "|" + three),
            ("info.html", "en||Info|" + links(("de/info.html", "de", de)) +
             "|" + alternates(("en", "info.html"), ("de", "de/info.html"))),
            ("alone.html", "en||Alone||"),
            ("de/more/x y.html", "de|../../|X|" + links(
                ("../../pt-BR/more/x%20y.html", "pt-BR", "pt-BR")) + "|" +
             alternates(("de", "de/more/x%20y.html"),
                        ("pt-BR", "pt-BR/more/x%20y.html"))),
            ("help/index.html", "en|../|Help||"),
            ("de/own/z.html", "own"), ("de/own/deep/z.html", "own")]:
        tap.is_(read(at("out", name)), want, name)
    tap.is_(read(at("out/de/main.css")), "b{}", "files of a language")
    # img would be a language's code too; a folder of pictures is none
    tap.like(read(at("out/img/a.html")), "img|../|Image|", "three letters")
    put(folder + "/src/index.md", "<!-- language: Our English -->\n# Home")
    www("--output", at("out"))
    tap.like(read(at("out/de/index.html")), ">Our English</a>",
             "the top's language can be named")


def test_folder():
    """www_folder: built from src, as it is, or not there."""
    folder = own("folder")
    blob = bytes(range(256)) * 1000
    for path, text in [("a.bin", blob), ("sub/dir/b.css", "b{}"),
                       (".well-known/x", "y"), ("sub/.well-known/x", "z"),
                       ("empty", ""), (".index.md.swp", "x"), ("c~", "x"),
                       ("d.swp", "x"), (".git/config", "x"), (".hidden", "x"),
                       ("sub/.git/config", "x"), ("robots.txt", "own\n"),
                       ("x\ny.txt", "newline\n"), ("\u00e9.txt", "e\n")]:
        put(folder + "/src/" + path, text)
    code, out, err = www("--output", at("out"))
    tap.is_((code, err), (0, ""), "a folder with src/index.md")
    built = tree(at("out"))
    tap.is_(sorted(n for n in built if not n.startswith("qr-")),
            sorted([".chatmail-www", "index.html", "a.bin", "sub/dir/b.css",
                    ".well-known/x", "sub/.well-known/x", "empty",
                    "robots.txt", "x\ny.txt", "\u00e9.txt"]),
            "all but what editors and git leave")
    tap.ok(built["a.bin"] == blob, "byte for byte")
    put(folder + "/src/qr-chatmail-invite-chat.example.org.png", "mine")
    www("--output", at("out"))
    tap.is_(read(at("out/qr-chatmail-invite-chat.example.org.png")), "mine",
            "one's own picture is kept")

    os.unlink(folder + "/src/page-layout.html")
    tap.is_(www("--output", at("out"))[0], 0, "without a layout")
    text = read(at("out/index.html"))
    tap.ok(text.startswith("<!DOCTYPE html>") and "<h1>Hello</h1>" in text,
           "it is ours")
    tap.is_([w for w in Checker(at("out"), "index.html").wrong
             if not w.endswith(".html")], [], "with what it needs")
    tap.is_(read(at("out/robots.txt")), "own\n", "but nothing is overwritten")

    os.unlink(folder + "/src/index.md")
    put(folder + "/src/index.html", "{{ not }} {% a template")
    put(folder + "/index.html", "<b>done</b>")
    put(folder + "/page-layout.html", "{{ kept }}")
    put(folder + "/readme.md", "# {{ kept }}")
    code, out, err = www("--output", at("out"))
    tap.is_((code, err), (0, ""), "a folder without src/index.md")
    built = tree(at("out"))
    tap.is_((built["index.html"], built["page-layout.html"],
             built["readme.md"], built["src/index.html"]),
            (b"<b>done</b>", b"{{ kept }}", b"# {{ kept }}",
             b"{{ not }} {% a template"), "is taken as it is")
    tap.is_([n for n in built if n.startswith("qr-")], [],
            "without our pictures")

    before = tree(at("out"))
    for name, text, want in [
            ("a.css", CONFLICT, "/a.css:2: a merge conflict begins here"),
            ("sub/a.html", "\n<b>merlinux</b>", "/sub/a.html:2: names another"),
            ("a.md", "x\ntestrun.org", "/a.md:2: names another")]:
        put(folder + "/" + name, text)
        code, out, err = www("--output", at("out"))
        tap.is_(code, 1, "refused as well: " + name)
        tap.like(err, folder + want, "with its place")
        os.unlink(folder + "/" + name)
    tap.ok(tree(at("out")) == before, "the old pages stay")
    for missing in at("none"), at("chatmail.ini"), "disabled":
        ini(www_folder=missing)
        code, out, err = www("--output", at("out"))
        tap.is_((code, out), (0, ""), "a folder that is not there is passed by")
        tap.like(err, missing, "with a warning")
        tap.ok(tree(at("out")) == before, "the old pages stay")
    ini(www_folder="folder")
    os.rename(folder + "/src/index.html", folder + "/src/index.md")
    put(folder + "/src/index.md", "# Relative\n")
    tap.is_(www("--output", "out")[0], 0, "a relative path")
    tap.like(read(at("out/index.html")), "Relative", "from where we are")


def test_links():
    """Symbolic links lead to files inside the sources, or nowhere."""
    folder = own("links")
    put(at("secret.css"), "secret")
    put(at("secrets/a.css"), "secret")
    put(folder + "/src/sub/real.css", "real")
    for target, name in [("sub/real.css", "inside.css"),
                         ("../src/sub/real.css", "up-and-in.css"),
                         ("../sub/real.css", "sub/up.css"),
                         ("../../secret.css", "out.css"),
                         (at("secret.css"), "absolute.css"),
                         ("inside-out.css", "to-link.css"),
                         ("../../secret.css", "inside-out.css"),
                         ("/etc/passwd", "passwd.txt"),
                         ("../../secret.css", "page.md"),
                         (at("secrets"), "secrets"), (".", "loop"),
                         ("self.css", "self.css"), ("none.css", "dead.css"),
                         ("/proc/self/environ", "environ.txt")]:
        os.symlink(target, folder + "/src/" + name)
    os.mkfifo(folder + "/src/fifo")
    code, out, err = www("--output", at("out"))
    tap.is_(code, 0, "links")
    built = tree(at("out"))
    tap.is_([n for n, data in built.items() if b"secret" in data or
             b"root:" in data or str(data).startswith("->")], [],
            "nothing from outside, and no link")
    tap.is_([built.get(n) for n in ("inside.css", "sub/up.css")],
            [b"real"] * 2, "what is inside is there")
    tap.is_(sorted(n for n in built if not n.startswith("qr-")),
            sorted([".chatmail-www", "index.html", "inside.css", "sub/up.css",
                    "sub/real.css"]), "and nothing else")
    for name in ("out.css", "absolute.css", "to-link.css", "passwd.txt",
                 "page.md", "secrets", "loop", "self.css", "dead.css", "fifo",
                 "environ.txt", "up-and-in.css"):
        tap.like(err, "%s/src/%s: left out: " % (folder, name), "told: " + name)


def test_refused():
    """Each with its file and line; the old pages stay."""
    folder = own("refused")
    src = folder + "/src/"
    put(src + "main.css", "b{}")
    tap.is_(www("--output", at("kept"))[0], 0, "good pages")
    before = tree(at("kept"))
    cases = [
        ("unknown name", {"index.md": "# x\n\n{{ config.nothing }}\n"},
         'index.md:3: unknown name "config.nothing"'),
        ("unknown name in the layout", {"page-layout.html": "\n{{ y }}"},
         'page-layout.html:2: unknown name "y"'),
        ("config. before a page's name", {"index.md": "{{ config.pagename }}"},
         'index.md:1: unknown name "config.pagename"'),
        ("markdown_html in a page", {"index.md": "\n{{ markdown_html }}"},
         'index.md:2: unknown name "markdown_html"'),
        ("broken tag", {"index.md": "a\nb {{ lang\n"},
         "index.md:2: {{ is not closed in its line"),
        ("no endif", {"de/x.md": "a\n{% if lang %}\n"},
         "de/x.md:2: if without endif"),
        ("unknown tag", {"index.md": "{% for x in y %}"},
         'index.md:1: unknown tag "for"'),
        ("broken layout", {"page-layout.html": "{% else %}"},
         "page-layout.html:1: else without if"),
        ("not UTF-8", {"index.md": b"a\nb\n\xff\n"},
         "index.md:3: not UTF-8 text"),
        ("a NUL", {"index.md": b"a\n\0\n"}, "index.md:2: not UTF-8 text"),
        ("not UTF-8 in the layout", {"page-layout.html": b"\xe9"},
         "page-layout.html:1: not UTF-8 text"),
        ("two sources of a page", {"index.html": "x"},
         "index.md: the sources have index.html too"),
    ]
    cases += [("a conflict in " + name, {name: CONFLICT}, name + ":2: ")
              for name in ("index.md", "page-layout.html", "a.html", "main.css",
                           "a.js", "sub/robots.txt", "b.svg", "c.xml")]
    cases += [
        ("a conflict with CRLF", {"x.md": CONFLICT.replace("\n", "\r\n")},
         "x.md:2: "),
        ("a conflict as diff3 shows it",
         {"x.md": CONFLICT.replace("=======", "||||||| base\nold\n=======")},
         "x.md:2: a merge conflict begins here; it ends in line 8"),
        ("the beginning of a conflict", {"x.md": "a\n<<<<<<< HEAD\nb\n"},
         "x.md:2: a merge conflict begins here\n"),
        ("the rest of a conflict", {"x.md": "a\n=======\nb\n>>>>>>> x\n"},
         "x.md:4: a merge conflict ends here\n"),
    ]
    for word in "merlinux", "Schmieder", "TestRun.org", "nine.testrun.org":
        for name in "index.md", "page-layout.html", "x.html", "x.txt":
            cases.append((word + " in " + name, {name: "a\nsee " + word +
                                                 "!\n{{ markdown_html }}"},
                          name + ":2: names another relay's "))
    cases.append(("a contact in a branch that is taken",
                  {"index.md": '{% if mail_domain != "x" %}\na\nmerlinux\n'
                   "{% endif %}"}, "index.md:3: names another"))
    for what, files, want in cases:
        saved = {n: tree(src).get(n) for n in files}
        for name, text in files.items():
            put(src + name, text)
        code, out, err = www("--output", at("kept"))
        tap.is_((code, out), (1, ""), "refused: " + what)
        tap.like(err, "www: " + src + want, "with its place")
        tap.ok(tree(at("kept")) == before and
               [n for n in os.listdir(top) if n.startswith(".kept")] == [],
               "the old pages stay")
        for name, text in saved.items():
            if text is None:
                os.unlink(src + name)
            else:
                put(src + name, text)
    tap.is_(www("--output", at("kept"))[0], 0, "all is well again")
    tap.is_(www("--output", at("none/sub"))[0], 1, "no place for them")
    for what, name, text in [
            ("a heading's underline", "index.md", "A\n=======\n"),
            ("marks in another order", "index.md",
             ">>>>>>> x\n=======\n"),
            ("marks inside lines", "index.md",
             " <<<<<<< x\n =======\n >>>>>>> y\n"),
            ("longer marks", "index.md",
             "<<<<<<<< x\n========\n>>>>>>>> y\n"),
            ("a conflict in a picture", "a.bin", CONFLICT),
            ("contacts in a branch that is not taken", "index.md",
             '{% if config.mail_domain == "nine.testrun.org" %}\nmerlinux '
             'testrun.org\n{% endif %}\n{% if mail_domain != "nine.testrun.org"'
             ' %}a{% else %}merlinux{% endif %}'),
            ("another domain", "index.md", "mytestrun.org testrun.orga"),
            ("names in scripts", "x.js", "// testrun.org")]:
        put(src + name, text)
        code, out, err = www("--output", at("kept"))
        tap.is_((code, err), (0, ""), "passes: " + what)
        put(src + "index.md", "# x\n")


def test_unreadable():
    if os.geteuid() != 0:
        tap.skip("unreadable sources", "not root")
        return
    shutil.copy(role.CHATMAIL, at("chatmail"))
    os.chmod(at("chatmail"), 0o755)
    os.chmod(top, 0o755)
    folder = own("unreadable")
    os.makedirs(at("theirs"))
    os.chown(at("theirs"), 65534, 65534)
    for name in "index.md", "page-layout.html", "a.css", "sub":
        own("unreadable")
        put(folder + "/src/a.css", "x")
        put(folder + "/src/sub/b.css", "x")
        os.chmod(folder + "/src/" + name, 0)
        p = subprocess.run([at("chatmail"), "www", "--output", at("theirs/out"),
                            at("chatmail.ini")], user=65534, extra_groups=[],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
        tap.is_(p.returncode, 1, "unreadable: " + name)
        tap.like(p.stderr, "%s/src/%s: Permission denied" % (folder, name),
                 "named with the reason")
        tap.is_(os.listdir(at("theirs")), [], "nothing is written")


def test_contacts():
    """Other operators' contacts in the privacy settings."""
    path = at("chatmail.ini")
    for key in ("privacy_postal", "privacy_mail", "privacy_pdo",
                "privacy_supervisor"):
        for value in ("x@merlinux.eu", "Mr SCHMIEDER", "x@nine.testrun.org",
                      "x@TESTRUN.ORG", "one\n  two\n  merlinux"):
            ini(**{key: value})
            line = 1 + [s.split(" ")[0] for s in
                        read(path).splitlines()].index(key)
            code, out, err = www("--output", at("none"))
            tap.is_((code, out), (1, ""), "%s = %r" % (key, value))
            tap.like(err, "%s:%d: %s: names another relay's " % (
                "chatmail.ini", line, key), "is refused with its line")
            tap.ok(not os.path.exists(at("none")), "and nothing is built")
    for domain in "testrun.org", "nine.testrun.org":
        ini(domain, privacy_mail="merlinux@testrun.org")
        tap.is_(www("--output", at("contacts"))[0], 0, "they may: " + domain)
    for domain in "mytestrun.org", "testrun.org.example":
        ini(domain, privacy_mail="merlinux@x.example")
        tap.is_(www("--output", at("contacts"))[0], 1, "but not " + domain)
        ini(domain)
        tap.is_(www("--output", at("contacts"))[0], 0,
                "which may have its own name in pages")


def test_output():
    """What is there is not destroyed, and is whole at any time."""
    ini()
    out = at("place")
    put(out + "/precious", "mine")
    code, _, err = www("--output", out)
    tap.is_((code, tree(out)), (1, {"precious": b"mine"}),
            "a directory with other files is left alone")
    tap.like(err, out + ": ", "by its name")
    os.unlink(out + "/precious")
    tap.is_(www("--output", out)[0], 0, "an empty one is taken")
    put(out + "/old.html", "x")
    tap.is_(www("--output", out + "//")[0], 0, "one of ours is replaced")
    tap.ok("old.html" not in tree(out), "as a whole")
    put(at("file"), "x")
    tap.is_(www("--output", at("file"))[0], 1, "a file is no directory")
    tap.is_(read(at("file")), "x", "and is kept")
    os.symlink("place", at("link"))
    tap.is_(www("--output", at("link"))[0], 0, "a link to one of ours")
    tap.ok(os.path.islink(at("link")) and os.path.isdir(out), "stays a link")
    for path in "", ".", "/", "/etc":
        tap.is_(www("--output", path)[0], 1, "not into \"%s\"" % path)
    folder = own("apart")
    before = tree(folder)
    for path in (folder + "/src/out", folder + "/src", folder + "/src/sub/x",
                 folder):
        tap.is_(www("--output", path)[0], 1, "not into the sources")
    tap.ok(tree(folder) == before, "which stay as they were")
    tap.is_(www("--output", folder + "/build")[0], 0, "but beside src")
    os.makedirs(at("around"))
    tap.is_(www("--output", at("around"))[0], 0, "a place of ours")
    shutil.copytree(folder, at("around/folder"))
    ini(www_folder=at("around/folder"))
    tap.is_(www("--output", at("around"))[0], 1, "not around the sources")
    tap.ok(os.path.exists(at("around/folder/src/index.md")), "which survive")
    ini()
    for path in at("place"), at("new-place"):
        done = www("--output", path, preexec_fn=no_space)
        tap.is_(done[0], 1, "a full disk")
        tap.like(done[2], "File too large", "is told")
    tap.ok(os.path.exists(out + "/index.html"), "the old pages stay")
    tap.is_([n for n in os.listdir(top) if n.startswith((".place", ".new"))],
            [], "nothing temporary is left")


def no_space():
    """Files end after 500 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_killed():
    """SIGKILL at any time leaves old pages or new ones, and the next run
    removes what was left."""
    folder = own("killed")
    for i in range(60):
        put(folder + "/src/p%d.md" % i, "# P\n" * 200)
    out = at("killed-out")
    generations = []
    for n in range(2):
        put(folder + "/src/p0.md", "# Generation %d\n" % n)
        www("--output", out)
        generations.append(tree(out))
    seen = set()
    for i in range(40):
        put(folder + "/src/p0.md", "# Generation %d\n" % (i % 2))
        p = subprocess.Popen([role.CHATMAIL, "www", "--output", out], cwd=top,
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(i * .0008)
        p.kill()
        p.wait()
        now = tree(out)
        seen.add(generations.index(now) if now in generations else -1)
    tap.ok(-1 not in seen, "SIGKILL never leaves half of the pages")
    tap.is_(www("--output", out)[0], 0, "the next run")
    tap.is_([n for n in os.listdir(top) if n.startswith(".killed-out")], [],
            "removes what was left")


def test_together():
    """Two at once: one of them wins."""
    own("together")
    ps = [subprocess.Popen([role.CHATMAIL, "www", "--output", at("both")],
                           cwd=top, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE) for _ in range(8)]
    codes = [p.wait(60) for p in ps]
    for p in ps:
        p.stderr.close()
    tap.ok(0 in codes and os.path.exists(at("both/index.html")),
           "builds at once do not spoil each other")
    tap.is_(www("--output", at("both"))[0], 0, "and the next works")


def test_arguments():
    for args in ["a", "b"], ["--output"]:
        tap.is_(www(*args)[0], 2, "wrong usage: " + " ".join(args))
    code, _, err = www(at("none.ini"))
    tap.is_(code, 1, "no chatmail.ini")
    tap.like(err, at("none.ini") + ": No such file", "is named")
    ini()
    env = dict(os.environ, CHATMAIL_INI=at("chatmail.ini"))
    tap.is_(www("--output", at("env"), cwd="/", env=env)[0], 0, "CHATMAIL_INI")


try:
    test_packed()
    test_values()
    test_names()
    test_dialect()
    test_languages()
    test_folder()
    test_links()
    test_refused()
    test_unreadable()
    test_contacts()
    test_output()
    test_killed()
    test_together()
    test_arguments()
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
