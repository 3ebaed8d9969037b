#!/usr/bin/env python3
"""qr: a scanner reads what it shows, in a terminal, as SVG, as PNG."""
import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import role
import tap

def long_domain(n):
    """A domain of n characters."""
    labels = "chat-relay-of-many-people." * 10
    return labels[:n - 5].rstrip(".-").ljust(n - 5, "x") + ".info"


# From 60 on a pattern that scanners look for is in the middle, under the logo;
# 170 and 253 have none there again.
DOMAINS = ["a.de", "chat.example.org", "_chat.test", "1.2.3.4", "xn--bcher-kva.de",
           *map(long_domain, [40, 60, 61, 80, 100, 130, 170, 253])]
top = tempfile.mkdtemp(prefix="chatmail-test-")
ENV = {k: v for k, v in os.environ.items()
       if k not in ("CHATMAIL_INI", "NO_COLOR")}


def at(name):
    return os.path.join(top, name)


def run(*args, env=ENV, cwd=top):
    """Exit code, stdout as bytes, stderr."""
    p = subprocess.run([role.CHATMAIL, "qr", *args], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                       timeout=60, env=env, cwd=cwd)
    return p.returncode, p.stdout, p.stderr.decode("utf-8", "replace")


def missing(*programs):
    names = [p for p in programs if not shutil.which(p)]
    return ", ".join(names) + " not installed" if names else None


def decode(path):
    """What the scanner reads in a picture."""
    p = subprocess.run(["zbarimg", "--quiet", "--raw", path],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return p.stdout.decode("utf-8", "replace").rstrip("\n")


def convert(source, path, *how):
    subprocess.run(["convert", source, *how, path], check=True)
    return path


def rasterise(svg, path, width):
    subprocess.run(["rsvg-convert", "-w", str(width), "-o", path],
                   input=svg, check=True)
    return path


def invite(domain):
    return "DCACCOUNT:https://%s/new" % domain


def png_chunks(data):
    """The chunks' types in order; None when it is no PNG."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    types, i = [], 8
    while i < len(data):
        n, = struct.unpack(">I", data[i:i + 4])
        types.append(data[i + 4:i + 8].decode())
        i += n + 12
    return types


def test_pictures(domain):
    ini = role.write_ini(at("chatmail.ini"), domain)
    code, svg, err = run("--svg", "--config", ini)
    tap.is_((code, err), (0, ""), domain + ": SVG")
    tap.is_(run("--svg", "--config", ini)[1], svg, "the same each time")
    text = svg.decode()
    tap.ok(text.startswith("<svg xmlns=") and text.endswith("</svg>\n"),
           "one element")
    size = re.search(r'viewBox="0 0 (\d+) \1"', text)
    tap.ok(size and text.count("<g ") == 1, "square, with a logo")
    picture = at("qr.png")
    code, out, err = run("--png", picture, "--config", ini)
    tap.is_((code, out, err), (0, b"", ""), "PNG")
    with open(picture, "rb") as f:
        png = f.read()
    tap.is_(run("--png", "-", "--config", ini)[1], png,
            "the same on standard output")
    tap.ok("tIME" not in png_chunks(png) and png_chunks(png)[-1] == "IEND",
           "without the time")
    width, height = struct.unpack(">II", png[16:24])
    tap.ok(width == height and 480 <= width <= 740, "of a useful size")
    why = missing("zbarimg", "convert", "rsvg-convert")
    if why:
        tap.skip("a scanner reads them", why)
        return
    for name, path in [
            ("PNG", picture),
            ("half a PNG", convert(picture, at("half.png"), "-filter", "box",
                                   "-resize", "50%")),
            ("SVG", rasterise(svg, at("svg.png"), 480)),
            ("half an SVG", rasterise(svg, at("half-svg.png"), 240)),
            ("SVG of an odd size", rasterise(svg, at("odd.png"), 333))]:
        tap.is_(decode(path), invite(domain), "a scanner reads the " + name)


def difference(a, b):
    """Of two pictures: from 0, the same, to 1."""
    p = subprocess.run(["convert", a, b, "-compose", "difference", "-composite",
                        "-colorspace", "gray", "-format", "%[fx:mean]",
                        "info:"], stdout=subprocess.PIPE, check=True)
    return float(p.stdout)


def test_logo():
    """It is the pages' logo."""
    why = missing("convert", "rsvg-convert")
    if why:
        tap.skip("the logo", why)
        return
    svg = run("--svg", "--config",
              role.write_ini(at("chatmail.ini"), "chat.example.org"))[1]
    with open(os.path.join(HERE, "..", "www", "logo.svg")) as f:
        logo = f.read().replace("#0d7d71", "#000")
    head, tail = "<svg xmlns='http://www.w3.org/2000/svg'", "</svg>"
    ours = re.search(r'<g [^>]*>(.*)</g>', svg.decode())[1]
    whole = head + " viewBox='0 0 100 100'><path fill='#fff' " \
        "d='M0 0h100v100H0z'/>%s" + tail
    theirs = logo.replace("<svg ", "<svg x='5.4' y='3.6' ").replace(
        'width="64" height="64"', 'width="89.6" height="89.6"')
    a = rasterise((whole % ours).encode(), at("ours.png"), 300)
    b = rasterise((whole % theirs).encode(), at("theirs.png"), 300)
    tap.ok(difference(a, b) < 0.02, "the code's logo is that of the pages")
    code = run("--png", at("logo.png"), "--config", at("chatmail.ini"))[0]
    with open(at("logo.png"), "rb") as f:
        width, = struct.unpack(">I", f.read(20)[16:])
    tap.ok(code == 0 and difference(
        at("logo.png"), rasterise(svg, at("svg.png"), width)) < 0.005,
        "the PNG shows what the SVG shows")


def test_text():
    """TEXT instead of the invitation."""
    why = missing("zbarimg", "rsvg-convert")
    # a scanner has to guess what other letters than ASCII's are
    texts = ["x", "https://i.delta.chat/#A" + "f" * 200 + "&a=b c", "<&\">"]
    for text in texts:
        code, svg, err = run(text, "--svg")
        tap.is_((code, err), (0, ""), "a text of one's own")
        tap.ok(b"<g " not in svg, "has no logo")
        if why:
            tap.skip("a scanner reads it", why)
        else:
            tap.is_(decode(rasterise(svg, at("own.png"), 600)), text,
                    "a scanner reads it")
    code, out, err = run("-", "--png", "-")
    tap.ok(code == 0 and png_chunks(out), "a dash is a text")
    code, out, err = run("--", "--svg")
    tap.ok(code == 0 and out.decode().endswith("\n--svg\n"),
           "as is an option behind --")
    tap.ok("\\x1b" in run("a\x1b[2Jb")[1].decode(),
           "control characters do not reach the terminal")


def screenshot(text, name, ink, paper):
    """A picture of text as a terminal shows it: in its colours, unless SGR
    sequences say otherwise."""
    body = html.escape(text)
    body = body.replace("\x1b[97;40m",
                        "<span style='color:#fff;background:#000'>")
    body = body.replace("\x1b[0m", "</span>")
    assert "\x1b" not in body
    page, picture = at(name + ".html"), at(name + ".png")
    with open(page, "w") as f:
        f.write("<!DOCTYPE html><meta charset=utf-8><body style='margin:20px;"
                "background:%s;color:%s'><pre style=\"font:16px/18.625px 'DejaVu "
                "Sans Mono';margin:0\">%s</pre>" % (paper, ink, body))
    subprocess.run([shutil.which("chromium"), "--headless", "--no-sandbox",
                    "--disable-gpu", "--disable-dev-shm-usage",
                    "--hide-scrollbars",
                    "--user-data-dir=" + at("chromium"),
                    "--window-size=1000,1100", "--screenshot=" + picture,
                    "file://" + page], check=True, timeout=120,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return picture


def on_terminal(*args, env=ENV):
    """What it writes to a terminal."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([role.CHATMAIL, "qr", *args], stdout=theirs,
                         stdin=subprocess.DEVNULL, env=env)
    os.close(theirs)
    out = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:     # the other side is closed
            break
        if not chunk:
            break
        out += chunk
    os.close(ours)
    p.wait()
    return out.decode().replace("\r\n", "\n")


def test_terminal():
    ini = role.write_ini(at("chatmail.ini"), "chat.example.org")
    plain = run("--config", ini)[1].decode()
    tap.ok("\x1b" not in plain, "no colours into a pipe")
    tap.ok(plain.endswith("\n" + invite("chat.example.org") + "\n"),
           "the text stands below")
    xterm = dict(ENV, TERM="xterm")
    coloured = on_terminal("--config", ini, env=xterm)
    tap.ok("\x1b[97;40m" in coloured, "colours on a terminal")
    tap.is_(re.sub(r"\x1b\[[0-9;]*m", "", coloured), plain,
            "and the same code")
    tap.is_(on_terminal("--config", ini, env=dict(xterm, NO_COLOR="1")), plain,
            "NO_COLOR")
    tap.is_(on_terminal("--config", ini, env=dict(xterm, TERM="dumb")), plain,
            "a dumb terminal")
    why = missing("zbarimg", "chromium")
    if why:
        tap.skip("a scanner reads the terminal", why)
        return
    for name, text, ink, paper in [
            ("a dark terminal", plain, "#ddd", "#000"),
            ("a dark terminal with colours", coloured, "#ddd", "#000"),
            ("a light terminal with colours", coloured, "#222", "#fff")]:
        tap.is_(decode(screenshot(text, "terminal", ink, paper)),
                invite("chat.example.org"), "a scanner reads " + name)


def test_errors():
    for args, want in [
            ([""], "there is no text"),
            (["x" * 2954], "the text is too long (2954 bytes)"),
            (["x" * 2332, "--svg"], "the text is too long (2332 bytes)"),
            (["x" * 2332, "--png", at("x.png")], "the text is too long"),
            (["--config", at("none.ini")], at("none.ini") + ": No such file"),
            (["x", "--png", at("none/x.png")], at("none/x.png") + ": No such"),
            (["x", "--png", top], top + ": Is a directory"),
            (["x", "--png", "/dev/full"], "/dev/full: No space left")]:
        code, out, err = run(*args)
        tap.is_((code, out), (1, b""), "refused: " + want[:30])
        tap.like(err, want, "with the reason")
    tap.ok(not os.path.exists(at("x.png")), "nothing was written")
    for args in ["a", "b"], ["--svg", "--png", "x"], ["--png"]:
        tap.is_(run(*args)[0], 2, "wrong usage: " + " ".join(args))
    with open(at("bad.ini"), "w") as f:
        f.write("[params]\nmail_domain = chat\n")
    code, out, err = run("--config", at("bad.ini"))
    tap.is_(code, 1, "a bad chatmail.ini")
    tap.like(err, at("bad.ini") + ":2: mail_domain: ", "is named with its line")
    tap.is_(run(env=dict(ENV, CHATMAIL_INI=at("chatmail.ini")), cwd="/")[0], 0,
            "CHATMAIL_INI")


try:
    for domain in DOMAINS:
        test_pictures(domain)
    test_logo()
    test_text()
    test_terminal()
    test_errors()
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
