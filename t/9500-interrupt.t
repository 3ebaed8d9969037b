#!/usr/bin/env python3
"""A deploy that is interrupted: the relay that ran before serves on, and the
next run completes it and leaves nothing behind. LONG=1 tries 20 interruptions,
POINTS="kill full" three of those that it names, otherwise there are none;
SEED=NUMBER repeats a run's moments."""
import contextlib
import hashlib
import os
import random
import shutil
import subprocess
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
from relay import Relay
from runs import Failed
from smtptest import encrypted

BUILT = os.path.abspath("build/static/chatmail")
INI = """[params]
mail_domain = %s
acme_directory = %s
max_load_1m = 9999
min_available_memory = 0
min_free_disk_space = 1M
max_user_send_per_minute = 6000
max_user_send_burst_size = 1000
"""
# what a run with changes takes at most where nothing is installed, and else
SECONDS = {True: 4, False: 28}
# of a run: its process there with all that it has started
KILL = r"""
tree() { for p; do echo $p; tree $(pgrep -P $p); done; }
kill -9 $(tree $(pgrep -f "$0")) 2>/dev/null
"""
FINISHED = "! flock -n /run/lock/chatmail-deploy.lock true"


class Site:
    """A host that is to be a relay, or is one already."""

    def __init__(self, network, name, directory):
        self.network, self.name = network, name
        self.built = os.path.join(directory, "built")
        self.host = network.host(name, disk="2500M")
        self.host.use_unbound()
        self.host.start()
        self.ini = os.path.join(directory, name + ".ini")
        self.binary = os.path.join(directory, name + ".chatmail")
        self.relay = Relay(network, self.host, name, self.binary, self.ini)
        self.relay.publish()
        self.users = {"alice2345@" + name: "secret password",
                      "bobby2345@" + name: "another password"}
        self.count = 0
        self.change()

    def change(self):
        """Something to do for the next run: files, settings, the program."""
        self.count += 1
        with open(self.ini, "w") as f:
            f.write(INI % (self.name, self.network.acme.directory))
            f.write("max_message_size = %d\nprivacy_mail = p%d@%s\n" % (
                20000000 + self.count, self.count, self.name))
            if self.count % 2:
                f.write("metrics_address = 127.0.0.1\n")
        shutil.copy(self.built, self.binary)
        with open(self.binary, "ab") as f:
            f.write(b"\n%d\n" % self.count)

    def sh(self, text, *args):
        """(exit code, output) of a shell command on the host."""
        code, out, err = self.host.inside(["sh", "-c", text, *args])
        return code, (out + err).strip()

    def start(self):
        """A run that goes on while something happens."""
        self.output = tempfile.TemporaryFile()
        return subprocess.Popen(
            self.network.command(self.relay.command("--www", "none")),
            stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, env=self.network.env(),
            start_new_session=True)

    def said(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def mail(self, secs=60):
        """Do users get in and does mail arrive? True, or what does not."""
        (alice, password), (bob, other) = self.users.items()
        mark = "X-Mark: %d" % random.SystemRandom().randrange(1 << 60)
        end, sent = time.monotonic() + secs, False
        while True:
            try:
                with self.relay.imap(bob, other):
                    pass
                if not sent:
                    self.relay.submit(alice, password, [bob], encrypted(
                        alice, bob, extra=mark + "\r\n"))
                sent = True
                if self.relay.wait_message(bob, other, mark, 20):
                    return True
                why = "a mail was taken and did not arrive"
            except Exception as e:
                why = repr(e)
            if time.monotonic() > end:
                return why
            time.sleep(.3)


# ---- what comes between; each returns when it is over -----------------------------

def client_ends(client, secs=600):
    """None when it had to be ended, else its exit code."""
    try:
        return client.wait(secs)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
        return None


def cut(site, client, moment):
    """The line is dead, and the operator goes home."""
    time.sleep(moment)
    site.host.cut()
    with contextlib.suppress(subprocess.TimeoutExpired):
        client.wait(3)
    client.kill()
    client.wait()
    site.host.mend()


def client_killed(site, client, moment):
    time.sleep(moment)
    client.kill()
    client.wait()


def killed(site, client, moment):
    """As when memory runs out."""
    time.sleep(moment)
    site.sh(KILL, "[c]hatmail deploy --local")
    client_ends(client)


def apt_killed(site, client, moment):
    end = time.monotonic() + SECONDS[False]
    while client.poll() is None and time.monotonic() < end and \
            site.sh("pgrep -x apt-get")[0] != 0:
        time.sleep(.02)
    time.sleep(moment / 4)
    site.sh("kill -9 $(pgrep -x apt-get) $(pgrep -x dpkg)")
    client_ends(client)


def disk_full(site, client, moment):
    time.sleep(moment)
    with contextlib.suppress(OSError):
        site.host.fill(int(random.choice([0, 100e3, 6e6])))
    time.sleep(.5)
    with contextlib.suppress(OSError):
        site.host.fill()        # what was freed since
    try:
        client_ends(client)
    finally:
        site.host.empty()


def sources_broken(site, client, moment):
    """It was broken before the run began."""
    client_ends(client)
    site.sh("mv /root/sources.list /etc/apt/sources.list; "
            "mv /root/lists /var/lib/apt/lists.good; rm -rf /var/lib/apt/lists;"
            " mv /var/lib/apt/lists.good /var/lib/apt/lists")


def power_lost(site, client, moment):
    time.sleep(moment)
    site.host.kill()
    client.kill()
    client.wait()
    site.host.start()


POINTS = {"cut": cut, "client": client_killed, "kill": killed,
          "apt": apt_killed, "full": disk_full, "sources": sources_broken,
          "power": power_lost}


def prepare(site, kind, is_relay):
    """What has to be so before the run begins."""
    if is_relay:
        site.change()
        if kind in ("apt", "sources"):
            site.sh("dpkg --purge uacme dns-root-data")
    if kind == "sources":
        bad = random.choice(["deb nonsense", "deb http://127.0.0.1:9/ x main"])
        site.sh("cp /etc/apt/sources.list /root; mkdir /root/lists; "
                "mv /var/lib/apt/lists/* /root/lists; "
                "echo '%s' > /etc/apt/sources.list" % bad)


# ---- what has to hold afterwards ------------------------------------------------------

def wait_for_remote(site):
    """What the line was cut off from goes on to its end."""
    end = time.monotonic() + 300
    while site.sh(FINISHED)[0] == 0 and time.monotonic() < end:
        time.sleep(.2)


def leftovers(site):
    found = site.sh("""
        ls /usr/sbin/policy-rc.d /var/lib/dpkg/updates/* 2>/dev/null
        find /etc /usr/local /var/www /var/lib/chatmail /home/vmail \
            '(' -name '*.chatmail-new' -o -name '*.tmp-*' -o -name 'in-*' ')' \
            2>/dev/null
        flock -n /run/lock/chatmail-deploy.lock true || echo the lock is held
        dpkg --audit
        pgrep -af '[d]eploy --local'
        systemctl show -p Id,NeedDaemonReload '*.service' '*.socket' |
            tr '\\n' ' ' | grep -o 'Id=[^ ]* NeedDaemonReload=yes'
        systemctl show -P MainPID doveauth lastlogin chatmail-metadata \
            chatmail-dkim filtermail filtermail-incoming chatmail-newemail |
            while read pid; do [ -z "$pid" ] || readlink /proc/$pid/exe; done |
            grep -v '^/usr/local/bin/chatmail$'""")[1]
    return found


def is_installed(site):
    """The program and the settings are those that were deployed last."""
    with open(site.binary, "rb") as f:
        program = hashlib.sha256(f.read()).hexdigest()
    with open(site.ini, "rb") as f:
        return program in site.sh("sha256sum /usr/local/bin/chatmail")[1] and \
            site.host.get("/etc/chatmail/chatmail.ini") == f.read()


def try_point(site, number, kind, is_relay):
    share = random.random()
    moment = share * SECONDS[is_relay]
    name = "%d, %s after %.2f s%s" % (number, kind, moment,
                                      "" if is_relay else ", no relay yet")
    began = time.monotonic()
    prepare(site, kind, is_relay)
    client = site.start()
    try:
        POINTS[kind](site, client, moment)
    finally:
        if client.poll() is None:
            client.kill()
        client.wait()
    said = site.said()
    steps = [line for line in said.splitlines() if line.strip()]
    tap.diag("%s: exit code %s, %s" % (name, client.returncode,
                                       steps[-1:] or "nothing said"))
    good = True
    if kind == "sources":
        good &= tap.ok(client.returncode == 1 and "apt-get" in said,
                       name + ": it says that apt-get fails")
    if is_relay:
        good &= tap.is_(site.mail(), True, name + ": the relay serves")
    code, out, err = site.relay.deploy("--www", "none")
    good &= tap.is_(code, 0, name + ": the next run completes it")
    if code:
        tap.diag((out + err)[-4000:])
    good &= tap.is_(site.mail(), True, name + ": mail goes through")
    good &= tap.ok(is_installed(site), name + ": all is as it shall be")
    code, out, _ = site.relay.deploy("--www", "none")
    if not tap.ok(code == 0 and "Nothing to change" in out,
                  name + ": then nothing is to be changed"):
        tap.diag(out[-3000:])
    good &= tap.is_(leftovers(site), "", name + ": nothing is left behind")
    good &= tap.is_(site.host.failed_units(), [], name + ": nothing failed")
    if not good:
        tap.diag("the interrupted run: " + said[-3000:])
    tap.diag("%.1f s" % (time.monotonic() - began))


def test_by_hand(site):
    """Somebody changed a file and restarted the server: the deployed one comes
    back, and into use."""
    def started():
        return site.host.started()["filtermail.service"]

    site.sh("sed -i s/maximal_queue_lifetime.*/maximal_queue_lifetime=9d/ "
            "/etc/postfix/main.cf; sed -i '1i imap_id_send = name by-hand' "
            "/etc/dovecot/dovecot.conf; "
            "printf '[Service]\\nEnvironment=BY=hand\\n' >> "
            "/etc/systemd/system/doveauth.service; systemctl daemon-reload; "
            "systemctl restart doveauth dovecot; sed -i "
            "s/max_user_send_per_minute.*/max_user_send_per_minute=1/ "
            "/etc/chatmail/chatmail.ini; systemctl restart filtermail")

    def by_hand():
        with site.relay.imap(*list(site.users.items())[0]) as m:
            greeting = str(m.xatom("ID", "NIL")) + \
                str(m.response("ID"))
        env = site.sh("tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID "
                      "doveauth)/environ")[1]
        return "by-hand" in greeting, "BY=hand" in env

    tap.is_(by_hand(), (True, True), "what was changed by hand is in use")
    before = started()
    # killed between the files and the services
    client = site.start()
    while client.poll() is None and site.sh(
            "grep -q by-hand /etc/dovecot/dovecot.conf")[0] == 0:
        pass
    site.sh(KILL, "[c]hatmail deploy --local")
    client_ends(client)
    code, out, _ = site.relay.deploy("--www", "none")
    tap.is_(code, 0, "deployed again")
    tap.is_(by_hand(), (False, False), "the deployed one is in use again")
    tap.ok(started() != before, "a role starts again for its setting")


POLICY = """#!/bin/sh
# Made by chatmail deploy, which starts services itself; goes away
# with it.
exit 101
"""


def test_half_a_package(site):
    """apt was killed when it had unpacked one and not what that needs."""
    code, out = site.sh("dpkg --purge uacme && dpkg --force-depends --purge "
                        "libev4 && dpkg --unpack /var/cache/apt/archives/"
                        "uacme_*.deb")
    tap.is_(code, 0, "half a package is there")
    tap.ok(site.sh("dpkg --configure -a")[0] != 0, "dpkg cannot go on with it")
    site.host.put("/usr/sbin/policy-rc.d", POLICY, 0o755)
    code, out, err = site.relay.deploy("--www", "none")
    if not tap.is_(code, 0, "it is finished"):
        tap.diag((out + err)[-1500:])
    tap.is_(leftovers(site), "", "and nothing is left of it")
    # with all packages there nobody but the check for leftovers meets it
    site.host.put("/usr/sbin/policy-rc.d", POLICY, 0o755)
    out = site.relay.deploy("--www", "none")[1]
    tap.like(out, "may start their services again", "a policy that was left "
             "behind is taken away")
    site.host.put("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
    out = site.relay.deploy("--www", "none")[1]
    tap.like(out, "Nothing to change", "one of the operator's is not")
    site.sh("rm /usr/sbin/policy-rc.d")


def test_little_room(site):
    """What would not do to install a relay does to change one."""
    site.change()
    site.host.fill(150 << 20)
    try:
        code, out, err = site.relay.deploy("--www", "none")
    finally:
        site.host.empty()
    if not tap.is_(code, 0, "a relay with a disk that is almost full is "
                   "changed"):
        tap.diag((out + err)[-1500:])


def plan():
    """[(kind, is there a relay already?)]; the first makes it."""
    names = os.environ.get("POINTS", "").split() or list(POINTS)
    if os.environ.get("LONG"):
        new = [(k, False) for k in names]
        more = [k for _ in range(20) for k in random.sample(names, len(names))]
        return new + [(k, True) for k in more[:max(20 - len(new), 0)]]
    return [("kill", False)] + [(k, True) for k in random.sample(
        names, min(2, len(names)))]


def main():
    if not os.access(BUILT, os.X_OK):
        tap.skip_all("there is no build/static/chatmail; make static")
    reason = hosts.skip_reason()
    if not os.environ.get("LONG") and not os.environ.get("POINTS"):
        reason = "with LONG=1 or POINTS only"
    if reason:
        tap.skip_all(reason)
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    random.seed(seed)
    tap.diag("SEED=%d" % seed)
    with hosts.Network() as network, \
            tempfile.TemporaryDirectory(prefix="chatmail-") as d:
        site = None
        # the same one for all, whoever builds another meanwhile
        shutil.copy(BUILT, d + "/built")
        for number, (kind, is_relay) in enumerate(plan(), 1):
            if not is_relay:
                if site:
                    site.host.stop()
                site = Site(network, "r%d.test" % number, d)
            try:
                try_point(site, number, kind, is_relay)
            except (Failed, OSError, subprocess.TimeoutExpired) as e:
                tap.ok(False, "%d, %s: %r" % (number, kind, e))
        test_by_hand(site)
        test_half_a_package(site)
        test_little_room(site)
    tap.done()


main()
