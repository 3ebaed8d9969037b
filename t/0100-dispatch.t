#!/usr/bin/env python3
"""What all personalities have in common: names, help, manual, exit codes; and
chatmail init."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
SRC = os.path.join(HERE, "..", "src")
ENV = {k: v for k, v in os.environ.items() if k != "CHATMAIL_INI"}
OK, FAIL, USAGE = 0, 1, 2


def run(*args, program=CHATMAIL, cwd=None, env=ENV):
    """Exit code, stdout, stderr."""
    try:
        done = subprocess.run([program, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=20,
                              stdin=subprocess.DEVNULL, cwd=cwd, env=env)
    except subprocess.TimeoutExpired:
        return "time is up", "", ""
    return done.returncode, done.stdout, done.stderr


def read(*names):
    with open(os.path.join(*names)) as f:
        return f.read()


def test_overview():
    code, text, _ = run("--list")
    tap.is_(code, OK, "--list")
    names = text.split()
    listed = re.findall(r"^APPLET\((\w+)\)", read(SRC, "applets.def"), re.M)
    tap.is_([n.replace("-", "_") for n in names], listed,
            "has the names of applets.def")
    code, overview, _ = run("help")
    tap.is_(code, OK, "help")
    tap.is_(run()[:2], (OK, overview), "is what the name alone says")
    tap.is_([n for n in names
             if not re.search(r"^  %s +[a-z]" % n, overview, re.M)], [],
            "and has each name with a summary")
    code, text, _ = run("--version")
    tap.ok(code == OK and re.fullmatch(r"chatmail \d+\.\d+\.\d+\n", text),
           "--version")
    with open("/dev/full", "w") as full:
        done = subprocess.run([CHATMAIL, "help"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    tap.is_(done.returncode, FAIL, "a full disk is noticed")
    return names


def test_help(name):
    """One personality; returns its aliases."""
    code, text, err = run("help", name)
    tap.is_((code, err), (OK, ""), "help " + name)
    tap.is_(run(name, "--help"), (code, text, err),
            "is what %s --help says" % name)
    tap.is_(run(name, "-h"), (code, text, err), "and %s -h" % name)
    first = text.splitlines()[0]
    tap.ok(re.fullmatch(r"%s - [^A-Z ].*[^.]" % re.escape(name), first),
           "a summary in lower case without a full stop")
    for part in "Usage: chatmail " + name, "\nExample:":
        tap.like(text, part, "has " + part.strip())
    tap.is_([s for s in text.splitlines() if len(s) > 80 or s != s.rstrip()],
            [], "fits in 80 columns")

    code, out, err = run(name, "--no-such-option")
    tap.is_((code, out), (USAGE, ""), "an unknown option is refused")
    tap.like(err, "Usage: chatmail " + name, "with the usage")
    args = re.search(r"^Usage: chatmail %s ?(.*)" % re.escape(name), text,
                     re.M)[1]
    if args and args[0] != "[":
        code, out, err = run(name)
        tap.is_((code, out), (USAGE, ""), "so are missing arguments")
        tap.like(err, "Usage: chatmail " + name, "with the usage")
    aliases = re.search(r"^Also called: (.*)", text, re.M)
    aliases = aliases[1].split() if aliases else []
    for alias in aliases:
        tap.is_(run("help", alias), run("help", name),
                "%s is another name" % alias)
    return aliases


def test_unknown():
    for args in ["nonsense"], ["help", "nonsense"], ["--nonsense"], [""]:
        code, out, err = run(*args)
        tap.is_((code, out), (USAGE, ""), "%s is refused" % " ".join(args))
        tap.like(err, '"%s"' % args[-1].strip(), "by its name")


def test_cmdeploy(program, directory):
    """The operator's commands under the name that they used to have."""
    ini = os.path.join(directory, "cmdeploy.ini")
    tap.is_(run(program=program), run(), "cmdeploy: the overview")
    tap.is_(run("run", "--help", program=program), run("help", "deploy"),
            "cmdeploy run is chatmail deploy")
    code, _, err = run("init", "--config", ini, "chat.example.org",
                       program=program)
    tap.is_((code, err, os.path.exists(ini)), (OK, "", True), "cmdeploy init")
    for name in "run", "dns", "status", "webdev":
        code, out, err = run(name, "--config", ini + ".none", program=program)
        tap.is_((code, out), (FAIL, ""), "cmdeploy %s --config" % name)
        tap.like(err, ini + ".none: No such file", "names the file")


def test_install(names, directory):
    bin = os.path.join(directory, "bin")
    os.mkdir(bin)
    tap.is_(run("--install", bin), (OK, "", ""), "--install")
    tap.is_(sorted(os.listdir(bin)), sorted(names + ["cmdeploy"]),
            "makes all names")
    tap.is_([n for n in names
             if os.path.realpath(os.path.join(bin, n)) !=
             os.path.realpath(CHATMAIL)], [], "links to the program")
    tap.is_([n for n in names
             if run("--help", program=os.path.join(bin, n)) !=
             run("help", n)], [], "each starts its personality")
    test_cmdeploy(os.path.join(bin, "cmdeploy"), directory)
    os.remove(os.path.join(bin, "init"))
    os.symlink("/nowhere", os.path.join(bin, "init"))
    tap.is_(run("--install", bin), (OK, "", ""), "--install again")
    tap.is_(os.path.realpath(os.path.join(bin, "init")),
            os.path.realpath(CHATMAIL), "mends a wrong link")
    os.remove(os.path.join(bin, "init"))
    with open(os.path.join(bin, "init"), "w") as f:
        f.write("mine")
    code, _, err = run("--install", bin)
    tap.is_(code, FAIL, "another file in the way is an error")
    tap.like(err, os.path.join(bin, "init"), "that names it")
    tap.is_(read(bin, "init"), "mine", "and keeps it")
    tap.is_(run("--install", bin + "/none")[0], FAIL, "as is no directory")
    tap.is_(run("--install")[0], USAGE, "or no argument")

    def link(name):
        path = os.path.join(bin, name)
        os.symlink(CHATMAIL, path)
        return path

    tap.is_(run("--help", program=link("chatmail-init")), run("help", "init"),
            "a leading chatmail- is dropped")
    tap.is_(run("help", program=link("chatmail")), run("help"),
            "chatmail is no personality")
    tap.is_(run("init", "--help", program=link("chatmail-2.0")),
            run("help", "init"), "under another name the argument counts")


def roff_warnings(page):
    done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-"],
                          input=page, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()


def rendered(page):
    done = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou",
                           "-rLL=200n", "-rHY=0", "-"],
                          input=page, stdout=subprocess.PIPE, text=True)
    return done.stdout


def words(text):
    return " ".join(text.split())


def test_man(names, settings):
    code, program, err = run("man", "chatmail")
    tap.is_((code, err), (OK, ""), "the manual of chatmail")
    tap.is_([n for n in names if "\n.SS %s\n" % n.replace("-", "\\-")
             not in program], [], "has every personality")
    tap.is_(run("man")[1], program, "is what man alone prints")
    code, ini, err = run("man", "chatmail.ini")
    tap.is_((code, err), (OK, ""), "the manual of chatmail.ini")
    tap.is_([s["name"] for s in settings
             if "\n.B %s\n" % s["name"] not in ini], [],
            "has every setting")
    code, out, err = run("man", "nonsense")
    tap.is_((code, out), (USAGE, ""), "there is no third")
    if not shutil.which("groff"):
        tap.skip("the manual is valid", "no groff")
        return
    tap.is_(roff_warnings(program), [], "groff likes the first")
    tap.is_(roff_warnings(ini), [], "and the second")
    text = words(rendered(program))
    tap.is_([n for n in names
             if words(run("help", n)[1].split("\n\n", 2)[2]) not in text], [],
            "the help of each is in the manual word for word")
    text = words(rendered(ini))
    tap.is_([s["name"] for s in settings if words(s["doc"]) not in text], [],
            "as is the text of each setting")


def setting_rows():
    """settings.def as dictionaries."""
    text = re.sub(r"/\*.*?\*/", "", read(SRC, "relay", "settings.def"),
                  flags=re.S)
    rows = []
    for row in re.finditer(r'SETTING\((\w+), (\w+), "(.*?)", (\w+),(.*?)\)\n',
                           text, re.S):
        rows.append(dict(zip(("name", "type", "default", "show"),
                             row.groups()),
                         doc="".join(re.findall(r'"((?:[^"\\]|\\.)*)"',
                                                row[5])).replace("\\", "")))
    return rows


def test_init(settings, directory):
    os.mkdir(directory)
    tap.is_(run("init", "chat.example.org", cwd=directory),
            (OK, "chatmail.ini written for chat.example.org\n", ""), "init")
    ini = read(directory, "chatmail.ini")
    tap.like(ini, "[params]\n", "writes one section")
    tap.is_(re.findall(r"^\w.*", ini, re.M),
            ["mail_domain = chat.example.org"] +
            ["%s =" % s["name"] for s in settings[1:] if s["show"] == "ASK"],
            "with the settings to fill in")
    tap.is_(re.findall(r"^#(\w+ =.*)", ini, re.M),
            [("%s = %s" % (s["name"], s["default"])).strip()
             for s in settings if s["show"] == "HINT"],
            "and all others with their defaults, but for rare ones")
    tap.is_([s["name"] for s in settings if s["show"] != "RARE" and
             words(s["doc"]) not in words(ini.replace("\n# ", "\n"))], [],
            "each is explained")

    code, _, err = run("init", "_other.test", cwd=directory)
    tap.is_(code, FAIL, "a second init overwrites nothing")
    tap.like(err, "--force", "and says what would")
    tap.is_(read(directory, "chatmail.ini"), ini, "the file is as it was")
    tap.is_(run("init", "_other.test", "--force", cwd=directory)[0], OK,
            "--force overwrites")
    tap.like(read(directory, "chatmail.ini"), "mail_domain = _other.test\n",
             "as it says")

    path = os.path.join(directory, "x.ini")
    for domain in ("chat.example.org", "_chat.test", "_chat", "203.0.113.5",
                   "xn--bcher-kva.example", "a-b.example", "1and1.example"):
        code, _, err = run("init", "--config", path, "--force", domain)
        tap.is_((code, err), (OK, ""), "%s is accepted" % domain)
        tap.like(read(path), "mail_domain = %s\n" % domain, "and written")
    os.remove(path)
    for domain in ("", "Chat.example.org", "chat..example.org", ".example.org",
                   "chat.example.org.", "-chat.example.org", "chat_x.example",
                   "chat-.example.org", "chat example.org", "b\u00fccher.example",
                   "user@chat.example.org", "https://chat.example.org",
                   "chat.example.org/x", "1.2.3", "1.2.3.4.5", "256.1.1.1",
                   "1.2.3.4:25", "[1.2.3.4]", "::1", "2001:db8::1", "_",
                   "a" * 64 + ".org",
                   "chat.example.org\n[params]"):
        code, _, err = run("init", "--config", path, "--", domain)
        tap.ok(code in (FAIL, USAGE) and err.strip(),
               "%r is refused" % domain)
        tap.ok(not os.path.exists(path), "and nothing is written")

    code, _, err = run("init", "one.example", "two.example", cwd=directory)
    tap.is_(code, USAGE, "two domains are refused")
    env = dict(ENV, CHATMAIL_INI=path)
    tap.is_(run("init", "chat.example.org", env=env)[0], OK, "CHATMAIL_INI")
    tap.ok(os.path.exists(path), "names the file")
    code, _, err = run("init", "chat.example.org", "--config",
                       directory + "/none/x.ini")
    tap.is_(code, FAIL, "no directory is an error")
    tap.like(err, directory + "/none/x.ini", "that names it")


directory = tempfile.mkdtemp(prefix="chatmail-")
try:
    names = test_overview()
    aliases = sum([test_help(name) for name in names], [])
    test_unknown()
    test_install(names + aliases, directory)
    settings = setting_rows()
    tap.ok(len(settings) > 30, "settings.def can be read")
    test_man(names, settings)
    test_init(settings, os.path.join(directory, "init"))
finally:
    shutil.rmtree(directory)
tap.done()
