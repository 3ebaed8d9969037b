#!/usr/bin/env python3
"""nginx's configuration for every kind of relay: nginx's own checker takes it,
and what must be in it is; with the files for mail clients and servers."""
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import nginxconf
import sandbox
import tap

# domain, other settings, TLS mode
KINDS = [
    ("chat.example.org", "", "acme"),
    ("_chat.example.org", "", "self"),
    ("192.0.2.7", "", "self"),
    (".".join(["x" * 60] * 4) + ".example", "", "acme"),
    ("chat.example.org", "tls_external_cert_and_key = /x/full /x/key",
     "external"),
    ("_chat.example.org", "tls_external_cert_and_key = /x/full /x/key",
     "external"),
    ("192.0.2.7", "tls_external_cert_and_key = /x/full /x/key", "external"),
]
IPV6 = [("", True), ("disable_ipv6 = true", False)]
IROH = [("", True), ("iroh_relay =", False),
        ("iroh_relay = https://iroh.example.org", False)]
FOLDERS = [("", False), ("www_folder = /srv/pages", True)]
METRICS = "metrics_address = 127.0.0.1"

HEADERS = {"Cache-Control", "Retry-After", "Vary", "X-Content-Type-Options",
           "Referrer-Policy"}
OWN_PAGES = {"Content-Security-Policy", "Permissions-Policy"}


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/sbin")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::", 0))
    except OSError:
        return False
    return True


def run(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    return p.returncode, p.stdout


def render(domain, *settings):
    """A directory with the files of a relay, and what was said."""
    folder = os.path.join(top, "relay")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder, 0o755)
    with open(folder + "/chatmail.ini", "w") as f:
        f.write("[params]\nmail_domain = %s\n%s\n" % (domain,
                                                      "\n".join(settings)))
    return folder, run(sandbox.CHATMAIL, "sandbox", folder, "--server")


def read(*names):
    with open(os.path.join(*names)) as f:
        return f.read()


def check(folder):
    """What nginx says. The certificate is one of ours, and nothing of the
    machine's is touched."""
    text = read(folder, "nginx/nginx.conf")
    text = re.sub(r"(ssl_certificate) \S+;", r"\1 %s/cert.pem;" % top, text)
    text = re.sub(r"(ssl_certificate_key) \S+;", r"\1 %s/key.pem;" % top, text)
    text = re.sub(r"^pid \S+;", "pid %s/pid;" % top, text, flags=re.M)
    with open(folder + "/checked.conf", "w") as f:
        f.write(text)
    return run(find("nginx"), "-t", "-q", "-e", "stderr", "-p", top, "-c",
               folder + "/checked.conf")


def locations(server):
    return {" ".join(d.args): d for d in server.all("location")}


def check_stream(conf, ipv6, name):
    outer = conf.all("stream", "server")[0]
    want = [["443"]] + [["[::]:443"]] * ipv6
    tap.is_(outer.find("listen"), want, name + ": 443 by ALPN")
    tap.is_((outer.find("ssl_preread"), outer.find("proxy_protocol")),
            ([["on"]], [["on"]]), name + ": with the client's address")
    inner = [(d.find("listen")[0], d.find("proxy_pass")[0],
              d.find("proxy_protocol"))
             for d in conf.all("stream", "server")[1:]]
    tap.is_(inner, [
        (["127.0.0.1:8465", "proxy_protocol"], ["127.0.0.1:465"], []),
        (["127.0.0.1:8993", "proxy_protocol"], ["127.0.0.1:993"], [])],
        name + ": which Postfix and Dovecot do not get")


def check_tls(conf, mode, domain, name):
    cert = {"acme": "/var/lib/acme/live/%s/fullchain" % domain,
            "self": "/etc/ssl/certs/mailserver.pem",
            "external": "/x/full"}[mode]
    tap.is_(conf.find("http", "ssl_certificate"), [[cert]],
            name + ": the certificate")
    tap.is_(conf.find("http", "ssl_protocols"), [["TLSv1.2", "TLSv1.3"]],
            name + ": TLS 1.2 and 1.3")


def check_headers(conf, mode, own, name):
    added = [d.args for d in conf.all("http", "add_header")]
    want = HEADERS | (set() if mode == "self" else
                      {"Strict-Transport-Security"}) | \
        (set() if own else OWN_PAGES)
    tap.is_({a[0] for a in added}, want, name + ": the headers")
    tap.ok(all(a[-1] == "always" for a in added), name + ": of errors too")
    below = [d for s in conf.all("http", "server") for d in s.everything()
             if d.name == "add_header"]
    tap.is_(below, [], name + ": which nothing takes away")
    tap.is_((conf.find("http", "access_log"),
             conf.find("http", "server_tokens")), ([["off"]], [["off"]]),
            name + ": nothing is logged, no version shown")


def check_server(conf, mode, domain, iroh, name):
    server = conf.all("http", "server")[0]
    names = [domain] if domain[0].isdigit() else \
        [domain, "mta-sts." + domain, "autoconfig." + domain]
    tap.is_(server.find("server_name"), [names], name + ": the names")
    tap.is_(server.find("listen"), [["127.0.0.1:8443", "ssl",
                                     "proxy_protocol", "default_server"]],
            name + ": behind 443")
    there = locations(server)
    tap.is_("= /relay" in there, iroh, name + ": iroh if it is ours")
    tap.is_("= /.well-known/mta-sts.txt" in there, not domain[0].isdigit(),
            name + ": MTA-STS for names")
    tap.is_(there["= /mxdeliv"].find("client_max_body_size"), [["4000001"]],
            name + ": /mxdeliv takes the largest message, dots doubled")
    new = there[r"~ ^/(new|cgi-bin/newemail\.py)$"]
    tap.is_((new.find("limit_req"), new.find("if", "return")),
            ([["zone=newaccount", "burst=5", "nodelay"]],
             [] if mode == "self" else
             [["301", "dcaccount:https://%s/new" % domain]]),
            name + ": /new and its old name, with a limit")


def check_others(conf, mode, domain, ipv6, name):
    servers = conf.all("http", "server")[1:]
    if not domain[0].isdigit():
        tap.is_((servers[0].find("server_name"), servers[0].find("return")),
                ([["www." + domain]],
                 [["301", "https://%s$request_uri" % domain]]),
                name + ": www leads to the domain")
        servers = servers[1:]
    tap.is_(servers[0].find("listen"), [["80", "default_server"]] +
            [["[::]:80", "default_server"]] * ipv6, name + ": port 80")
    there = locations(servers[0])
    tap.is_((sorted(there), there["/"].find("return")),
            (["/"] + ["^~ /.well-known/acme-challenge/"] * (mode == "acme"),
             [["301", "https://$host$request_uri"]]),
            name + ": leads to HTTPS, but for ACME")
    tap.is_(len(servers), 1, name + ": no other server")


def check_config_xml(folder, domain, name):
    tree = xml.etree.ElementTree.parse(folder + "/nginx/autoconfig.xml")
    provider = tree.getroot().find("emailProvider")
    tap.is_((tree.getroot().tag, tree.getroot().get("version"),
             provider.get("id"), provider.find("domain").text),
            ("clientConfig", "1.1", domain, domain), name + ": autoconfig")
    got = [(s.tag, s.get("type")) + tuple(child.text for child in s)
           for s in provider if s.tag.endswith("Server")]
    tap.is_(got, [
        (way, kind, domain, port, security, "%EMAILADDRESS%",
         "password-cleartext")
        for way, kind, ports in (("incomingServer", "imap",
                                  ("993", "143", "443")),
                                 ("outgoingServer", "smtp",
                                  ("465", "587", "443")))
        for port, security in zip(ports, ("SSL", "STARTTLS", "SSL"))],
        name + ": its servers")
    order = {tuple(child.tag for child in s) for s in provider
             if s.tag.endswith("Server")}
    tap.is_(order, {("hostname", "port", "socketType", "username",
                     "authentication")}, name + ": as the format has them")


def check_mta_sts(folder, domain, name):
    policy = read(folder, "nginx/mta-sts.txt")
    tap.is_(dict(line.split(": ") for line in policy.splitlines()),
            {"version": "STSv1", "mode": "enforce", "mx": domain,
             "max_age": "2419200"}, name + ": the MTA-STS policy")
    tap.ok(policy.startswith("version: STSv1\n"), name + ": version first")


if not find("nginx"):
    tap.skip_all("nginx is not installed")
if os.geteuid() != 0:
    tap.skip_all("not root")
top = tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
os.chmod(top, 0o755)
try:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                    "-keyout", top + "/key.pem", "-out", top + "/cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    for kind, v6, iroh, pages in itertools.product(KINDS, IPV6, IROH, FOLDERS):
        domain, extra, mode = kind
        name = ", ".join(filter(None, (domain[-30:], mode, v6[0], iroh[0],
                                       pages[0])))
        folder, said = render(domain, extra, v6[0], iroh[0], pages[0],
                              "max_message_size = 3000000")
        if not tap.is_(said, (0, ""), name + ": renders"):
            continue
        if v6[1] and not has_ipv6():
            tap.skip(name + ": nginx -t", "this machine has no IPv6")
        else:
            tap.is_(check(folder), (0, ""), name + ": nginx -t")
        conf = nginxconf.parse(read(folder, "nginx/nginx.conf"))
        check_stream(conf, v6[1], name)
        check_tls(conf, mode, domain, name)
        check_headers(conf, mode, pages[1], name)
        check_server(conf, mode, domain, iroh[1], name)
        check_others(conf, mode, domain, v6[1], name)
    for domain, extra, mode in KINDS[:4]:
        folder, _ = render(domain, extra)
        check_config_xml(folder, domain, domain)
        check_mta_sts(folder, domain, domain)

    folder, said = render("chat.example.org", METRICS)
    tap.is_(check(folder), (0, ""), METRICS + ": nginx -t")
    conf = nginxconf.parse(read(folder, "nginx/nginx.conf"))
    server = conf.all("http", "server")[-1]
    tap.is_((server.find("listen"), server.find("location", "scgi_pass")),
            ([["127.0.0.1:3905"]],
             [["unix:/run/chatmail-metrics/metrics.socket"]]),
            METRICS + ": the figures")
finally:
    shutil.rmtree(top)
tap.done()
