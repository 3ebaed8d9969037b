#!/usr/bin/env python3
"""A relay that cmdeploy set up is taken over: its users, their mailboxes, keys
and certificate stay as they are, its services end, and no mail is lost."""
import imaplib
import os
import re
import shutil
import smtplib
import ssl
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
import deltachat
import earlier
from dkimtest import RsaKey, sign
from relay import IMAPS, SMTP, SMTPS, Poll, Relay
from smtptest import encrypted, plain

BUILT = os.path.abspath("build/static/chatmail")
DOMAIN, OTHER = "chat.test", "other.test"
MAIL = "/home/vmail/mail/" + DOMAIN
ALICE, BOB, CAROL = ["%s@%s" % (n, DOMAIN)
                     for n in ("alice2345", "bobby2345", "carol2345")]
PASSWORDS = {ALICE: "correct horse \"battery\" \\staple", BOB: "bob's password",
             CAROL: "set-by-openssl"}
FOLDERS = ["INBOX", "Sent", "DeltaChat", "&AMQ-rger.B&AOQ-ume"]
# every setting of the earlier software, in its form
INI = """[params]

# mail domain (MUST be set to fully qualified chat mail domain)
mail_domain = %(domain)s

#
# If you only do private test deploys, you don't need to modify any settings below
#

# email sending rate per user and minute
max_user_send_per_minute = 6000
max_user_send_burst_size = 1000
max_mailbox_size = 500M
max_message_size = 31457280
#delete_mails_after = 20
delete_mails_after = 20
delete_large_after = 7
delete_inactive_users_after = 90
username_min_length = 9
username_max_length = 9
password_min_length = 9
max_load_1m = 500
min_available_memory = 20M
min_free_disk_space = 20M
max_imap_connections = 10000
max_smtp_connections = 1000
# tls_external_cert_and_key = /path/to/fullchain.pem /path/to/privkey.pem
www_folder =
disable_ipv6 = True
acme_email = root@%(domain)s
iroh_relay = https://iroh.%(domain)s
mtail_address = 127.0.0.1
imap_rawlog = false
imap_compress = false
filtermail_smtp_port = 10080
filtermail_smtp_port_incoming = 10081
filtermail_http_port_incoming = 10082
filtermail_lmtp_port_transport = 10083
postfix_reinject_port = 10025
postfix_reinject_port_incoming = 10026
turn_socket_path = /run/chatmail-turn/turn.socket

#
# Privacy Policy
#
privacy_postal = Relay e.V., Street 1
privacy_mail = privacy@%(domain)s
privacy_pdo = Somebody
privacy_supervisor = State

acme_directory = %(directory)s
"""
imaplib.Commands.update(dict.fromkeys(("SETMETADATA", "GETMETADATA"),
                                      ("AUTH", "SELECTED")))
host = relay = old = None


def sh(text):
    return old.sh(text).strip()


# ---- before -------------------------------------------------------------------

def add_carol():
    """As the earlier software stores an account: a folder and a hash, made
    here by another program."""
    hashed = sh("openssl passwd -6 " + PASSWORDS[CAROL])
    host.put("%s/%s/password" % (MAIL, CAROL), "{SHA512-CRYPT}" + hashed)
    sh("chown -R vmail: %s/%s; chmod 700 %s/%s; chmod 600 %s/%s/password" % (
        (MAIL, CAROL) * 3))


def fill_mailboxes():
    """By LMTP and IMAP: flags, keywords, gaps in the UIDs, subfolders."""
    for addr in ALICE, BOB, CAROL:
        with relay.imap(addr, PASSWORDS[addr]) as m:
            for folder in FOLDERS[1:]:
                m.create(folder)
                m.subscribe(folder)
            for n, folder in enumerate(FOLDERS):
                for i in range(5):
                    m.append(folder, ("", "\\Seen", "\\Answered \\Flagged",
                                      "$Forwarded Own", "\\Deleted")[i],
                             imaplib.Time2Internaldate(1700000000 + i),
                             encrypted(BOB, addr, 500 * (i + n)))
                m.select(folder)
                m.store("2", "+FLAGS", "\\Deleted")
                m.uid("EXPUNGE", "2") if n % 2 else m.close()
            m._simple_command("SETMETADATA", "INBOX",
                              '(/private/devicetoken "token-%s")' % addr)
    for addr in ALICE, BOB:
        relay.submit(CAROL, PASSWORDS[CAROL], [addr],
                     encrypted(CAROL, addr, extra="X-Mark: before\r\n"))
        tap.ok(relay.wait_message(addr, PASSWORDS[addr], "X-Mark: before"),
               "the earlier relay brings mail to " + addr)


def mailbox(addr):
    """All that a client can see."""
    seen = {}
    with relay.imap(addr, PASSWORDS[addr]) as m:
        seen["folders"] = sorted(m.list()[1])
        seen["subscribed"] = sorted(m.lsub()[1])
        token = m._simple_command("GETMETADATA", "INBOX",
                                  "/private/devicetoken")
        seen["token"] = (token[0], m.untagged_responses.pop("METADATA", None))
        for folder in FOLDERS:
            m.select(folder, readonly=True)
            for name in "UIDVALIDITY", "UIDNEXT", "EXISTS":
                seen[folder, name] = m.response(name)[1]
            data = m.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE "
                         "RFC822.SIZE BODY.PEEK[])")[1]
            # \Recent goes with the first session that sees a message
            seen[folder] = [tuple(re.sub(rb"^\d+ |\\Recent ?", b"", part)
                                  for part in item) if
                            isinstance(item, tuple) else item
                            for item in data]
    return seen


def facts():
    """What has to be the same afterwards."""
    host.put("/root/chatmail", open(relay.binary, "rb").read(), 0o755)
    host.put("/root/ini", open(relay.ini).read())
    known = sh("/root/chatmail dns --collect /root/ini")
    return {
        "key": sh("sha256sum /etc/dkimkeys/opendkim.private; stat -c "
                  "'%U %G %a' /etc/dkimkeys/opendkim.private"),
        "record": re.findall(r"\bp=([\w+/=]+)", known),
        "account": re.findall(r'"acme_account_url": *"(.*?)"', known),
        "live": sh("readlink /var/lib/acme/live/" + DOMAIN),
        "passwords": sh("cd %s; cat */password" % MAIL),
        "acme": sh("cd /var/lib/acme; find . -name privkey -exec sha256sum "
                   "{} + | sort"),
        "queue": sh("postqueue -j"),
    }


def queue_something():
    """A mail whose transport does not take it now."""
    relay.submit(BOB, PASSWORDS[BOB], ["somebody@" + OTHER],
                 encrypted(BOB, "somebody@" + OTHER))
    end = time.monotonic() + 30
    while "somebody" not in sh("postqueue -j") and time.monotonic() < end:
        time.sleep(.2)
    return [m for m in re.findall(r'"queue_id": "(\w+)"', sh("postqueue -j"))]


def turn():
    """Credentials for calls, as apps get them."""
    with relay.imap(ALICE, PASSWORDS[ALICE]) as m:
        m._simple_command("GETMETADATA", '""',
                          "/shared/vendor/deltachat/turn")
        said = repr(m.untagged_responses.pop("METADATA", None))
    found = re.search(r"[\w.]+:3478:(\d+):[\w+/=]+", said)
    return found[0].replace(found[1], "TIME") if found else None


TURN = DOMAIN + ":3478:TIME:of+the/earlier="


def test_before():
    for name in [name for name, *_ in earlier.ROLES + earlier.HOLDERS] + \
            ["turnserver"]:
        tap.is_(sh("systemctl is-active " + name), "active",
                "before: %s runs" % name)
    tap.is_(turn(), TURN, "before: credentials for calls")
    for port in 10080, 10081, 10083, 402:
        tap.ok(sh("ss -Hltn sport = :%d" % port), "before: port %d is taken" %
               port)
    text = host.get("/etc/dkimkeys/opendkim.txt").decode()
    return "".join(re.findall(r'"([^"]*)"', text)).partition("p=")[2].strip()


# ---- while it is taken over -----------------------------------------------------

class Sender:
    """Submits a mail again and again; .accepted are their marks."""

    def __init__(self):
        self.accepted, self.refused, self.count = [], {}, 0

    def attempt(self):
        self.count += 1
        mark = "mark-%d-x" % self.count
        try:
            relay.submit(BOB, PASSWORDS[BOB], [CAROL], encrypted(
                BOB, CAROL, extra="X-Mark: %s\r\n" % mark), timeout=10)
        except (OSError, smtplib.SMTPException) as e:
            if isinstance(e, smtplib.SMTPResponseException) and \
                    e.smtp_code >= 500 and e.smtp_code != 535:
                self.refused[e.smtp_code] = e.smtp_error
            return repr(e)
        self.accepted.append(mark)
        return True


def marks(addr):
    with relay.imap(addr, PASSWORDS[addr]) as m:
        m.select()
        data = m.uid("FETCH", "1:*", "BODY.PEEK[HEADER]")[1]
    return {mark.decode() for item in data if isinstance(item, tuple)
            for mark in re.findall(rb"X-Mark: (\S+)", item[1])}


def test_take_over(asked):
    sender = Sender()
    with Poll(lambda: relay.may_login(ALICE, PASSWORDS[ALICE], 10)) as logins, \
            Poll(sender.attempt, .3) as sending:
        code, out, err = relay.deploy()
    if not tap.is_(code, 0, "deploy takes the relay over"):
        tap.diag(out[-4000:] + err[-2000:])
    if os.environ.get("VERBOSE"):
        tap.diag(out)
    tap.diag("%d logins, %d gaps, %.1f s in all, the longest %.1f s: %s" % (
        logins.tries, len(logins.gaps), logins.how_long(), logins.longest(),
        {k[:90]: n for k, n in logins.reasons.items()}))
    tap.diag("%d mails, %d not taken, %.1f s in all: %s" % (
        sending.tries, sending.tries - len(sender.accepted),
        sending.how_long(), {k[:90]: n for k, n in sending.reasons.items()}))
    tap.is_(relay.network.acme.log()[asked:].splitlines(), [],
            "the authority was not asked for anything")
    tap.ok("" not in logins.reasons, "no right password was called wrong")
    tap.is_(sender.refused, {}, "no mail was refused for good")
    tap.ok(logins.tries > 5 and len(sender.accepted) > 2,
           "there were logins and mail meanwhile")
    end = time.monotonic() + 60
    while (lost := set(sender.accepted) - marks(CAROL)) and \
            time.monotonic() < end:
        time.sleep(.5)
    tap.is_(lost, set(), "all mail that was taken is in the mailbox")
    tap.like(out, "chatmail-turn goes on serving calls",
             "it says that calls stay as they are")
    for warning in re.findall("warning: .*", out):
        tap.diag(warning)


# ---- afterwards -----------------------------------------------------------------

def test_users(before):
    for addr in ALICE, BOB, CAROL:
        tap.is_(relay.may_login(addr, PASSWORDS[addr]), True,
                addr + ": the old password logs in")
        tap.is_(relay.may_login(addr, PASSWORDS[addr] + "x"), "",
                addr + ": another is refused")
    for addr, was in before.items():
        now = mailbox(addr)
        for name in was:
            tap.is_(now.get(name), was[name], "%s: %s" % (addr, name))


def shown():
    return {port: ssl.DER_cert_to_PEM_cert(relay.certificate(port))
            for port in (443, IMAPS, SMTPS, SMTP)}


def first_certificate():
    text = host.get("/var/lib/acme/live/%s/fullchain" % DOMAIN).decode()
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(
        text[:text.index("-----END")] + "-----END CERTIFICATE-----\n"))


def test_certificate(pem):
    for port, seen in shown().items():
        tap.ok(seen == pem, "port %d shows the certificate that was there" %
               port)


def test_services():
    for name in earlier.GONE:
        state = old.host.inside(["systemctl", "is-active", name])[1].strip()
        at_boot = old.host.inside(["systemctl", "is-enabled", name])[1].strip()
        tap.ok(state in ("inactive", "failed", "unknown") and
               at_boot not in ("enabled", "enabled-runtime"),
               "%s has ended (%s, %s)" % (name, state, at_boot))
    for name in earlier.KEPT:
        tap.is_(sh("systemctl is-active %s; systemctl is-enabled %s" % (
            name, name)), "active\nenabled", name + " is left alone")
    running = sh("for p in /proc/[0-9]*; do readlink $p/exe || :; "
                 "tr '\\0' ' ' < $p/cmdline || :; echo; done 2>/dev/null")
    for part in earlier.LIB, "/usr/local/bin/filtermail", "mta-sts-daemon", \
            "opendkim -", "fcgiwrap", "acmetool":
        tap.ok(part not in running, "nothing of %s runs" % part)
    tap.is_(host.failed_units(), [], "nothing has failed")
    for path in earlier.LEFT:
        tap.ok(host.exists(path), path + " is left on the disk")


def test_configuration():
    """What is in use names nothing of the earlier software."""
    ours = " ".join(sh("cd /etc/systemd/system; grep -ls "
                       "/usr/local/bin/chatmail *.service").split())
    tap.ok("doveauth.service" in ours and "filtermail.service" in ours,
           "our units are in their places")
    for what, command in (
            ("Dovecot", "doveconf -n"),
            ("Postfix", "postconf -n; postconf -M; postconf -P"),
            ("nginx", "nginx -T 2>/dev/null"),
            ("systemd", "systemctl cat dovecot postfix nginx mtail " + ours)):
        text = sh(command)
        found = [part for part in (
            "/usr/local/lib/chatmaild", "mta-sts-resolver", "10083",
            "newemail.py;", "fcgiwrap", "acmetool", "/usr/local/bin/mtail",
            "/usr/local/bin/filtermail") if part in text]
        tap.is_(found, [], what + " uses nothing of the earlier software")
    for port, program in ((10080, "filtermail"), (10081, "filtermail")):
        tap.like(sh("ss -Hltnp sport = :%d" % port), "systemd",
                 "port %d is ours" % port)
        tap.is_(sh("readlink /proc/$(systemctl show -P MainPID %s)/exe" %
                   program), "/usr/local/bin/chatmail", program + " is ours")
    # but for settings that the test network alone needs
    tap.is_(sh("cat /etc/chatmail/chatmail.ini"),
            open(relay.ini).read().strip(), "chatmail.ini is there as it was")


def test_mail(key):
    for what, message, want in (
            ("without a signature", encrypted("x@" + OTHER, ALICE),
             "No DKIM signature"),
            ("not encrypted", sign(plain("x@" + OTHER, ALICE), key, OTHER),
             "Invalid Unencrypted Mail"),
            ("without a Date, which is signed", sign(encrypted(
                "x@" + OTHER, ALICE), key, OTHER), ""),
            ("as it should be", sign(encrypted(
                "x@" + OTHER, ALICE, extra="X-Mark: after\r\nDate: Wed, 25 "
                "Nov 2026 18:00:00 +0000\r\n"), key, OTHER), "")):
        code, text = relay.deliver("x@" + OTHER, ALICE, message)
        if not tap.ok((code == 250) == (want == "") and want in text,
                      "from outside, " + what):
            tap.diag("%d %s" % (code, text))
    tap.ok(relay.wait_message(ALICE, PASSWORDS[ALICE], "X-Mark: after"),
           "and that arrives")
    try:
        relay.submit(ALICE, PASSWORDS[ALICE], [BOB], plain(ALICE, BOB))
        said = "taken"
    except smtplib.SMTPDataError as e:
        said = e.smtp_error.decode()
    tap.like(said, "Invalid Unencrypted Mail", "nor leaves what is not "
             "encrypted")


def test_chat():
    try:
        program = deltachat.find_program()
    except deltachat.Missing as e:
        tap.skip("two accounts chat", str(e))
        return
    with tempfile.TemporaryDirectory(prefix="chatmail-core-") as d, \
            deltachat.Core(program, d) as core:
        def login(addr, password):
            return core.account().login(deltachat.dclogin(
                addr, password, IMAPS, SMTPS, host.address))

        carol = login(CAROL, PASSWORDS[CAROL])
        new = login("newcomer9@" + DOMAIN, "a new password")
        chat = new.join(carol.invite())
        new.send(chat, "hello from a new account")
        tap.ok(carol.wait_message("hello from a new account"),
               "an old account and a new one chat")


def test_again():
    before, started = host.hash_etc(), host.started()
    code, out, err = relay.deploy()
    tap.is_(code, 0, "a second run")
    tap.like(out, "Nothing to change", "changes nothing")
    tap.is_(host.hash_etc(), before, "not in /etc")
    now = host.started()
    tap.is_({n: i for n, i in now.items() if n in started and
             started[n] != i}, {}, "and restarts nothing")


def test_calls():
    """chatmail-turn serves them until its unit is disabled, coturn then."""
    tap.is_(turn(), TURN, "credentials are still those of chatmail-turn")
    tap.ok(not host.exists("/usr/bin/turnserver") and
           not host.exists("/etc/chatmail-turn") and
           not host.exists("/etc/systemd/system/chatmail-turn.service"),
           "there is no coturn")
    sh("systemctl disable turnserver 2>&1")
    code, out, err = relay.deploy()
    tap.ok(code != 0 and "port 3478 (UDP) is taken by chatmail-turn" in
           out + err, "disabled, it may not run beside coturn")
    sh("systemctl stop turnserver")
    code, out, err = relay.deploy()
    tap.is_(code, 0, "when it has ended deploy installs coturn")
    tap.ok("goes on serving" not in out, "and says nothing more of it")
    tap.is_(sh("systemctl is-active coturn chatmail-turn"), "active\nactive",
            "which runs")
    now = turn()
    tap.ok(now and now != TURN, "with credentials of its own")


def test_reboot():
    host.reboot()
    tap.is_(relay.may_login(ALICE, PASSWORDS[ALICE]), True,
            "after a reboot users log in")
    relay.submit(ALICE, PASSWORDS[ALICE], [BOB], encrypted(
        ALICE, BOB, extra="X-Mark: rebooted\r\n"))
    tap.ok(relay.wait_message(BOB, PASSWORDS[BOB], "X-Mark: rebooted"),
           "and mail arrives")
    for name in earlier.GONE:
        state = old.host.inside(["systemctl", "is-active", name])[1].strip()
        tap.ok(state != "active", name + " has not come back")


def test_due(pem):
    """When the certificate is due, the account that acmetool had gets it."""
    account = sh("cat /var/lib/acme/accounts/*/*/privkey")
    count = relay.network.acme.log().count("accounts in memory")
    host.put("/root/due.sh", """set -e
cd /var/lib/acme; mkdir certs/old; cd certs/old
openssl ecparam -name prime256v1 -genkey -noout -out privkey
openssl req -x509 -key privkey -subj "/CN=authority" -days 90 -out /root/ca.pem
openssl req -new -key privkey -subj /CN=$1 -out /root/csr
printf 'subjectAltName=DNS:%s,DNS:www.%s,DNS:mta-sts.%s\\n' $1 $1 $1 >/root/ext
openssl x509 -req -in /root/csr -CA /root/ca.pem -CAkey privkey -days 5 \
    -CAcreateserial -extfile /root/ext -out fullchain
ln -sfn ../certs/old /var/lib/acme/live/$1
""")
    # five days, of which four are over: the clock is the machine's
    sh("sed -i 's/-days 5 /-not_before 20200101000000Z -days 5 /' /root/due.sh;"
       "sh /root/due.sh %s 2>/dev/null || { sed -i 's/-not_before [0-9]*Z //; "
       "s/-days 5 /-days 0 /' /root/due.sh; rm -r /var/lib/acme/certs/old; "
       "sh /root/due.sh %s; }" % (DOMAIN, DOMAIN))
    code, out, err = relay.deploy()
    if not tap.is_(code, 0, "a run when the certificate is due"):
        tap.diag(out[-3000:] + err[-2000:])
    now = first_certificate()
    tap.ok(now != pem, "there is a new one")
    issuer = sh("openssl x509 -noout -issuer -in /var/lib/acme/live/%s/"
                "fullchain" % DOMAIN)
    tap.like(issuer, "Pebble", "of the authority")
    for port, seen in shown().items():
        tap.ok(seen == now, "port %d shows it" % port)
    pub = "openssl pkey -pubout -in "
    tap.is_(sh(pub + "/var/lib/uacme/private/key.pem"),
            sh(pub + "$(ls /var/lib/acme/accounts/*/*/privkey)"),
            "by the account that acmetool had")
    tap.is_(relay.network.acme.log().count("accounts in memory"), count,
            "no other account was made")
    tap.is_(sh("cat /var/lib/acme/accounts/*/*/privkey"), account,
            "whose key is where it was")


def main():
    global host, relay, old
    if not os.access(BUILT, os.X_OK):
        tap.skip_all("there is no build/static/chatmail; make static")
    reason = hosts.skip_reason()
    if reason:
        tap.skip_all(reason)
    with hosts.Network() as network, \
            tempfile.TemporaryDirectory(prefix="chatmail-") as d:
        host = network.host(DOMAIN)
        host.use_unbound()
        host.start()
        text = INI % {"domain": DOMAIN, "directory": network.acme.directory}
        with open(d + "/chatmail.ini", "w") as f:
            f.write(text)
        # the same one at each run, whoever builds another meanwhile
        binary = shutil.copy(BUILT, d)
        relay = Relay(network, host, DOMAIN, binary, d + "/chatmail.ini")
        relay.publish()
        key = RsaKey()
        network.names.set(OTHER, A=["192.0.2.1"], MX=[(10, OTHER)])
        network.names.set("sel._domainkey." + OTHER, TXT=key.record())
        old = earlier.Earlier(host, DOMAIN, text, binary, network.acme)
        old.set_up()
        run(key)
    tap.done()


def run(key):
    record = test_before()
    add_carol()
    fill_mailboxes()
    mailboxes = {addr: mailbox(addr) for addr in (ALICE, BOB, CAROL)}
    queued = queue_something()
    before, pem = facts(), first_certificate()
    tap.is_(before["record"], [record], "the DKIM key's record is the "
            "one that opendkim-genkey wrote")
    tap.ok(queued, "a mail waits in the queue")
    asked = len(relay.network.acme.log())
    test_take_over(asked)
    after = facts()
    for name in "key", "record", "account", "live", "passwords", "acme":
        tap.is_(after[name], before[name], "unchanged: " + name)
    left = re.findall(r'"queue_id": "(\w+)"', after["queue"])
    tap.ok(set(queued) <= set(left), "what waited in the queue still does")
    # Carol got mail during the take-over
    mailboxes.pop(CAROL)
    for test, *args in [
            (test_users, mailboxes), (test_certificate, pem),
            (test_services,), (test_configuration,), (test_again,),
            (test_mail, key), (test_chat,), (test_calls,), (test_reboot,),
            (test_due, pem)]:
        began = time.monotonic()
        test(*args)
        tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))


main()
