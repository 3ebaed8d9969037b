#!/usr/bin/env python3
"""chatmail test against a relay on a real host: all is ok there, and when
something is broken on purpose, what fails is the check of that thing, for that
reason, and what cannot be tried without it. Things that do not touch each
other are broken together; LONG=1 breaks each alone, and more of them.
BREAK=TEXT takes those alone that have TEXT in their names."""
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import deploying
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
from deploying import Operator

DOMAIN = "chat.test"
NAMES = [DOMAIN, "www." + DOMAIN, "mta-sts." + DOMAIN]
OK, FAILED, BLOCKED, SKIPPED = "ok", "failed", "blocked", "skipped"
# what is looked at beside what is broken
CONTROLS = ["tls-submission", "login", "self-mail", "home-page"]
SAVED = "etc/postfix etc/dovecot etc/nginx etc/chatmail var/www/html " \
    "usr/local/lib/chatmail"
# who has to read its files again: a word in a breakage's commands, and how
SERVICES = [
    ("/etc/postfix", "postfix reload"), ("postconf", "postfix reload"),
    ("/etc/dovecot", "systemctl restart dovecot"),
    ("/usr/local/lib", "systemctl restart dovecot"),
    ("/etc/nginx", "systemctl reload nginx"),
    ("chatmail.ini", "systemctl reload doveauth filtermail"),
]
ROLES = "filtermail chatmail-metadata chatmail-newemail"
REFUSED = "Connection refused"
PLUGINS = "printf 'plugin {\\n  acl = vfile\\n}\\n' >>/etc/dovecot/dovecot.conf"


def fails(said, *checks):
    return {check: (FAILED, said) for check in checks}


def blocks(said, *checks):
    return {check: (BLOCKED, said) for check in checks}


def edit(path, *commands):
    return "; ".join("sed -i '%s' %s" % (c, path) for c in commands)


def main_cf(*settings):
    return "postconf -e " + " ".join("'%s'" % s for s in settings)


def master_cf(*settings):
    return "postconf -P " + " ".join("'%s'" % s for s in settings)


def ini(**settings):
    """On the relay alone; the operator's is as before."""
    return "printf '%s' >>/etc/chatmail/chatmail.ini" % "".join(
        "%s = %s\\n" % item for item in settings.items())


def stop(role):
    return "systemctl stop %s.socket %s.service" % (role, role)


OPENSSL = """
[ca]
default_ca = own
[own]
database = %(own)s.index
new_certs_dir = %(dir)s
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = %(names)s
"""


def certificate(path, names, ca=True, end="20991231235959Z"):
    """A function that puts a certificate, and its key at path.key, there."""
    def put(tests):
        files = tests.network.run_files
        own, root = files.path("own"), tests.network.acme.ca_file
        with open(own + ".conf", "w") as f:
            f.write(OPENSSL % {"own": own, "dir": files.path(""), "names":
                               ",".join("DNS:" + n for n in names)})
        open(own + ".index", "w").close()
        hosts.command(
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout",
            own + ".key", "-out", own + ".csr")
        signer = ["-cert", root, "-keyfile", root.replace(".pem", ".key")] \
            if ca else ["-selfsign", "-keyfile", own + ".key"]
        hosts.command("openssl", "ca", "-batch", "-notext", "-config",
                      own + ".conf", "-in", own + ".csr", "-out", own + ".pem",
                      "-startdate", "20200101000000Z", "-enddate", end,
                      *signer)
        for part, target in (".pem", path), (".key", path + ".key"):
            with open(own + part) as f:
                tests.host.put(target, f.read(), 0o600)
    return put


def postfix_tls(path):
    return main_cf("smtpd_tls_cert_file=" + path,
                   "smtpd_tls_key_file=%s.key" % path)


def nginx_tls(path):
    return edit("/etc/nginx/nginx.conf", "s,ssl_certificate .*,"
                "ssl_certificate %s;," % path, "s,ssl_certificate_key .*,"
                "ssl_certificate_key %s.key;," % path)


def blind_idle(tests):
    """In the place of our library for Dovecot: one that never tells of a
    change in a directory."""
    path = tests.network.run_files.path("blind")
    with open(path + ".c", "w") as f:
        f.write("int inotify_add_watch(int fd, const char *path, unsigned m)"
                "{ return 1; }\n")
    hosts.command("gcc", "-shared", "-fPIC", "-nostdlib", "-o", path + ".so",
                  path + ".c")
    with open(path + ".so", "rb") as f:
        tests.host.put("/usr/local/lib/chatmail/imap-notify.so", f.read(),
                       0o755)


def second_address(tests):
    tests.address(tests.host.address, tests.network.address)


NGINX, DOVECOT = "/etc/nginx/nginx.conf", "/etc/dovecot/dovecot.conf"
HEADERS = "/etc/postfix/submission_header_cleanup"
BY_SMTPS = ["self-mail", "delivery", "cleartext", "forged-from",
            "forged-sender", "size", "rate"]

# round, 0 for those that take long or touch others; what is broken; how:
# commands and functions; {check: (result, part of what is said)}
BREAKAGES = [
    # pages and port 443
    (1, "the page is gone", ["rm /var/www/html/index.html"],
     fails("status 404", "home-page")),
    (1, "http shows pages itself", [edit(
        NGINX, "s,return 301 https://$host.*,return 200 hello;,")],
     fails("status 200", "http-redirect")),
    (1, "www leads elsewhere", [edit(
        NGINX, r"s,301 https://chat.test\$,301 https://x.test\$,")],
     fails("leads to https://x.test", "www")),
    (1, "no new addresses", [stop("chatmail-newemail")],
     fails("POST /new gives status 50", "new-account")),
    (1, "the link leads to a page", [edit(NGINX, "s,301 dcaccount:,301 ,")],
     fails("leads to https://chat.test/new", "new-link")),
    (1, "autoconfig has another port", [edit(
        "/etc/nginx/autoconfig.xml", "s/993/994/")],
     fails("not both of ports 993 and 465", "autoconfig")),
    (1, "the policy is off", [edit("/etc/nginx/mta-sts.txt",
                                   "s/enforce/none/")],
     fails('mode is "none"', "mta-sts")),
    (1, "IMAP is not told apart at port 443", [edit(
        NGINX, r"/(^|,)imap(,|\$)/d")],
     fails("with ALPN \"imap\"", "alpn-imap")),
    (1, "SMTP is not told apart at port 443", [edit(
        NGINX, r"/(^|,)smtp(,|\$)/d")],
     fails("with ALPN \"smtp\"", "alpn-smtp")),

    # Dovecot
    (1, "port 143 takes passwords in clear", [edit(
        DOVECOT, r"s/^ssl = .*/ssl = yes\ndisable_plaintext_auth = no/")],
     fails("without TLS, one can log in", "no-tls-imap")),
    (1, "apps are not told of push", [edit(DOVECOT, "s/XDELTAPUSH //")],
     fails("not among them: XDELTAPUSH", "capabilities")),
    (1, "no credentials for calls", [stop("chatmail-turn")],
     fails("the relay tells apps of no TURN server", "turn")),
    (1, "another contact", [edit(DOVECOT, "s/mailto:.*/mailto:x@x.test/")],
     fails('/shared/admin is "mailto:x@x.test"', "metadata")),
    (1, "another quota", [edit(DOVECOT, "s/storage=500M/storage=400M/")],
     fails("409600 KB", "quota")),
    (1, "nothing can be deleted", [edit(
        DOVECOT, "s/^mail_plugins = zlib.*/& acl/"),
        PLUGINS.replace("vfile", "vfile:/etc/dovecot/acls"),
        "echo '* owner lrwstipka' >/etc/dovecot/acls"],
     fails("", "expunge")),

    # Postfix
    (1, "port 25 takes mail in clear", [master_cf(
        "25/inet/smtpd_tls_security_level=may",
        "25/inet/smtpd_tls_mandatory_protocols=")],
     fails('without TLS, MAIL gets "250', "no-tls-smtp")),
    (1, "an open relay", [main_cf("mynetworks=0.0.0.0/0"), master_cf(
        "25/inet/smtpd_relay_restrictions=permit_mynetworks,reject")],
     fails("port 25 takes mail for <chatmail-test@example.net> from anybody",
           "open-relay")),
    (1, "signatures are not asked for", [master_cf(
        "127.0.0.1:10026/inet/smtpd_milters=")],
     fails("it is accepted", "in-unsigned")),
    (1, "port 587 lets nobody log in", [master_cf(
        "587/inet/smtpd_sasl_auth_enable=no")],
     fails("port 587: 503", "login-smtp")),
    (1, "who has logged in sends as anybody", [master_cf(
        "465/inet/smtpd_sender_restrictions=permit")],
     fails("it is accepted", "forged-sender")),
    (1, "larger messages", [main_cf("message_size_limit=50000000")],
     fails("50000000 bytes, chatmail.ini 31457280", "size")),
    (1, "subjects are shown", [edit(HEADERS, "/Subject:/d")],
     fails("it arrives as \"Subject: chatmail test", "subject")),
    (1, "programs are shown", [edit(HEADERS, "/User-Agent:/d")],
     fails("it arrives with User-Agent", "headers")),

    # the filters and doveauth
    (2, "unencrypted mail is sent", [master_cf(
        "465/inet/smtpd_proxy_filter=")],
     {**fails("it is accepted", "cleartext", "forged-from"),
      **fails("messages in", "rate"), **fails("it arrives as", "subject"),
      **fails("it arrives with User-Agent", "headers")}),
    (2, "unencrypted mail comes in", [master_cf(
        "25/inet/smtpd_proxy_filter=")],
     fails("it is accepted", "in-cleartext", "in-unsigned")),
    (2, "short passwords", [ini(password_min_length=4)],
     fails("a password that is too short (", "short-password")),
    (2, "long names", [ini(username_max_length=20)],
     fails("a name that is too long (", "bad-names")),
    (2, "VRFY tells", [master_cf("25/inet/smtpd_recipient_restrictions="
                                 "reject_unverified_recipient"), main_cf(
        "unverified_recipient_reject_code=550")],
     fails("for who is not", "vrfy")),

    (2, "port 587 takes passwords in clear", [master_cf(
        "587/inet/smtpd_tls_security_level=may",
        "587/inet/smtpd_tls_auth_only=no")],
     fails('without TLS, MAIL gets "250', "no-tls-submission")),
    (0, "one app of an address at a time", [edit(
        DOVECOT, r"s/^protocol imap {/&\n  mail_max_userip_connections = 1/")],
     fails("", "login-again")),

    # ports, addresses, certificates
    (2, "nginx is down", ["systemctl stop nginx"], {
        **fails("port 443: " + REFUSED, "tls-https"),
        **fails("port 80: " + REFUSED, "http-redirect"),
        **blocks("port 443: " + REFUSED, "alpn-imap", "alpn-smtp", "alpn-http",
                 "home-page", "www", "new-account", "new-link", "autoconfig",
                 "mta-sts")}),
    (2, "port 143 is closed", [edit(DOVECOT, "s/port = 143/port = 0/")], {
        **fails("port 143: " + REFUSED, "tls-imap"),
        **blocks("port 143: " + REFUSED, "no-tls-imap", "login-starttls")}),
    (2, "metadata is down", [stop("chatmail-metadata")],
     fails("", "metadata", "push-token")),
    (2, "an address that nobody serves", [second_address],
     fails("does not answer at port", "addresses")),
    (0, "Postfix has a self-signed certificate",
     [certificate("/etc/postfix/own", NAMES, ca=False),
      postfix_tls("/etc/postfix/own")], {
          **fails("is not accepted: self-signed certificate", "tls-smtp",
                  "tls-submission", "tls-smtps"),
          **blocks("is not accepted: self-signed certificate", "login-smtp",
                   "vrfy", *BY_SMTPS),
          **blocks("there is no message", "idle", "expunge")}),

    (0, "nginx has a certificate for one name",
     [certificate("/etc/nginx/own", [DOMAIN]), nginx_tls("/etc/nginx/own")],
     fails("certificate", "www", "mta-sts")),
    (0, "less may be sent", [ini(max_user_send_burst_size=3)],
     fails("message 4 is refused, max_user_send_burst_size is 10",
           "rate")),
    (2, "IDLE does not tell", [blind_idle],
     fails("a message was there, but IDLE did not tell", "idle")),
    (0, "any password is good", [edit(
        DOVECOT, r"s/^service auth {/passdb {\n  driver = static\n"
        r"  args = nopassword=y\n}\n&/")],
     fails("a wrong password (", "wrong-password")),

    # mail, accounts
    (0, "an expired certificate", [
        certificate("/etc/nginx/own", NAMES, end="20200201000000Z"),
        nginx_tls("/etc/nginx/own")], {
            **fails("certificate has expired", "tls-https", "alpn-http",
                    "home-page", "mta-sts")}),
    (0, "nothing is delivered", [main_cf("defer_transports=lmtp")], {
        **fails("it did not arrive within 3 s", "self-mail", "delivery"),
        **blocks("there is no message to look at: it did not arrive", "idle",
                 "subject", "headers", "expunge")}),
    (0, "no filter for what is sent", [stop("filtermail")], {
        **fails("it is refused: 451", "self-mail", "delivery"),
        **fails("refused, but not with", "cleartext", "forged-from", "rate"),
        **blocks("it is refused: 451", "idle", "subject")}),
    (0, "no new accounts", ["touch /etc/chatmail-nocreate"], {
        **fails("cannot log in by IMAP: [AUTHENTICATIONFAILED]", "login"),
        **blocks("cannot log in by IMAP: [AUTHENTICATIONFAILED]",
                 "login-again", "login-smtp", "wrong-password", "in-unsigned",
                 "capabilities", *BY_SMTPS)}),
]


class Tests:
    def __init__(self, network):
        self.network = network
        self.host = network.host(DOMAIN)
        self.host.use_unbound()
        self.host.start()
        self.op = Operator(network, self.host, mail_domain=DOMAIN,
                           min_available_memory=0, min_free_disk_space="1M",
                           privacy_mail="mail@example.org",
                           acme_directory=network.acme.directory)
        network.names.update({name: {"CNAME": DOMAIN} for name in NAMES[1:]})
        self.address(self.host.address)
        self.roots = network.write_roots()

    def address(self, *addresses):
        self.network.names.set(DOMAIN, A=addresses, MX=[(10, DOMAIN)])

    def sh(self, text, check=True):
        code, out, err = self.host.inside(["sh", "-ec", text])
        if check and code:
            raise RuntimeError("%s: %d\n%s%s" % (text, code, out, err))
        return out

    def run(self, *args):
        """(exit code, {check: (result, said)}, the object)."""
        code, out, err = self.op.chatmail("test", "--json", "--ca-file",
                                          self.roots, *args)
        try:
            said = json.loads(out)
        except ValueError:
            raise RuntimeError("exit code %d\n%s%s" % (code, out, err))
        return code, {c["name"]: (c["result"], c["said"])
                      for c in said["checks"]}, said

    def deploy(self):
        code, out, err = self.op.deploy("--dns-server", self.network.address)
        if not tap.is_(code, 0, "the relay is deployed"):
            tap.diag((out + err)[-3000:])
            tap.done()
        self.sh("mkdir /root/good; cd /; cp -a --parents %s /root/good" % SAVED)

    def test_ok(self):
        code, found, said = self.run()
        skipped = [c for c, r in found.items() if r[0] == SKIPPED]
        wrong = {c: r for c, r in found.items() if r[0] not in (OK, SKIPPED)}
        if not tap.is_((code, wrong), (0, {}), "all is ok"):
            tap.diag(said)
        tap.is_((said["ok"], said["failed"], said["blocked"]), (True, 0, 0),
                "and said to be")
        tap.is_(sorted({*skipped} - {"turn"}),
                ["bounce", "from-second", "to-second"],
                "what needs a second relay is skipped")
        tap.is_([c["name"] for c in said["checks"] if "delivery_ms" in c],
                ["self-mail", "delivery"], "it is told how long mail took")
        names = self.sh("ls -d /home/vmail/mail/%s/*@*" % DOMAIN).split()
        names = [os.path.basename(n) for n in names]
        tap.is_((len(names), [n for n in names if n[:3] != "ci-"]), (3, []),
                "three accounts, all of them known as those of tests")
        tap.is_([n for n in names if len(n.split("@")[0]) != 9], [],
                "with names as the relay wants them")

    def test_forms(self):
        command = ["test", "--ca-file", self.roots, "--only",
                   "www,capabilities,to-second"]
        code, out, err = self.op.chatmail(*command, "--tap")
        lines = out.splitlines()
        tap.is_((code, err, lines[0], [s for s in lines if s[:2] == "ok"]), (
            0, "", "1..3", [
                "ok 1 - capabilities: apps know that this is a chatmail relay "
                "with push", "ok 2 - www: www. leads to the domain",
                "ok 3 - to-second: mail to the second relay arrives # SKIP no "
                "second relay is given (--second)"]), "--tap")
        code, out, err = self.op.chatmail(*command)
        tap.is_((code, out.count("\n  ok "), "\033" in out), (0, 2, False),
                "to a pipe: lines without colours")
        code, out, _ = self.op.chatmail("test", "--only", "login", DOMAIN)
        tap.ok(code == 1 and "certificate is not accepted: unable to get "
               "local issuer" in out, "an authority that nobody knows")
        code, found, _ = self.run("--address", self.network.address, "--only",
                                  "tls-imaps,login")
        tap.is_((code, found["tls-imaps"][1], found["login"][0]),
                (1, "port 993: " + REFUSED, BLOCKED), "--address")

    def test_dead(self):
        """Nobody answers at all: that takes seven seconds."""
        if not os.environ.get("LONG"):
            return
        self.host.cut(None)
        began = time.monotonic()
        code, found, said = self.run("--address", self.host.address)
        took = time.monotonic() - began
        self.host.mend()
        tap.is_((code, {r for r, _ in found.values()} - {SKIPPED},
                 said["passed"]), (1, {FAILED, BLOCKED}, 0),
                "a host that is silent")
        tap.is_(found["login"], (BLOCKED, "port 993: no answer"),
                "which is said")
        tap.like(found["tls-smtp"][1], "many networks let nothing out",
                 "of port 25 also why")
        tap.diag("%.1f s" % took)

    # ---- breakages

    def differs(self, want, only):
        """What is not as it should be, of one run."""
        code, found, _ = self.run("--wait", "3", "--only", ",".join(only))
        wrong = {}
        for check in only:
            result, part = want.get(check, (OK, ""))
            got = found.get(check, (None, ""))
            if got[0] != result or part not in got[1]:
                wrong[check] = (got, "not", (result, part))
        if code != 1:
            wrong["exit code"] = code
        return wrong

    def apply(self, hows):
        text = "\n".join(h for h in hows if isinstance(h, str))
        for how in hows:
            if callable(how):
                how(self)
                text += "\n: /usr/local/lib" if how is blind_idle else ""
        again = {how for word, how in SERVICES if word in text}
        self.sh("\n".join([text, *sorted(again)]))

    def broken(self, rows):
        want = {check: w for row in rows for check, w in row[3].items()}
        only = [*want, *(c for c in CONTROLS if c not in want)]
        began = time.monotonic()
        self.apply([how for row in rows for how in row[2]])
        # who is told to read its files again does it in its time
        while (wrong := self.differs(want, only)) and \
                time.monotonic() - began < 60:
            time.sleep(.2)
        took = time.monotonic() - began
        for _, name, _, own in rows:
            tap.is_({c: wrong[c] for c in own if c in wrong}, {}, "%s: %s" % (
                name, ", ".join(c for c, w in own.items() if w[0] == FAILED)))
        tap.is_({c: w for c, w in wrong.items() if c not in want}, {},
                "and nothing else")
        self.mend()
        tap.diag("%.1f s" % took)

    def mend(self):
        self.address(self.host.address)
        self.sh("cd /root/good; rm -f /etc/chatmail-nocreate; for d in %s; do "
                "find /$d -mindepth 1 -delete; done; cp -a . /; "
                "systemctl restart nginx dovecot postfix@- doveauth "
                "filtermail.socket filtermail chatmail-metadata.socket "
                "chatmail-newemail.socket chatmail-turn.socket" % SAVED)

    def test_broken(self):
        pick = os.environ.get("BREAK")
        alone = pick or os.environ.get("LONG")
        rounds = {}
        for n, row in enumerate(BREAKAGES):
            if pick in row[1] if pick else row[0] or alone:
                rounds.setdefault(n if alone else row[0], []).append(row)
        for rows in rounds.values():
            self.broken(rows)

    def test_again(self):
        only = ["--only", ",".join(CONTROLS)]
        code, found, _ = self.run(*([] if os.environ.get("LONG") else only))
        wrong = {c: r for c, r in found.items() if r[0] not in (OK, SKIPPED)}
        tap.is_((code, wrong), (0, {}), "all is ok again")


def main():
    why = deploying.skip_reason()
    if why:
        tap.skip_all(why)
    with hosts.Network() as network:
        tests = Tests(network)
        for test in (tests.deploy, tests.test_ok, tests.test_forms,
                     tests.test_broken, tests.test_again, tests.test_dead):
            began = time.monotonic()
            test()
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
    tap.done()


main()
