"""A host as the earlier relay software (cmdeploy, chatmaild) leaves it: the
same packages, files, users, units and ports, real Postfix, Dovecot, OpenDKIM,
nginx and acmetool with a certificate of the test network's authority.

In the places of its Python services and its Rust filter are our roles where
they speak the same protocol, and programs that only hold the port where they
do not. So accounts, mailboxes and mail are real before anything is taken over.
"""
import json

from runs import Failed

LIB = "/usr/local/lib/chatmaild"
VENV = LIB + "/venv/bin/"
OLD_INI = LIB + "/chatmail.ini"
PACKAGES = "postfix dovecot-core dovecot-imapd dovecot-lmtpd opendkim " \
    "opendkim-tools nginx-light libnginx-mod-stream fcgiwrap unbound " \
    "dns-root-data dnsutils acmetool curl rsync openssl"
# (unit, program, arguments, user, more of [Service])
ROLES = [
    ("doveauth", VENV + "doveauth", "/run/doveauth/doveauth.socket " + OLD_INI,
     "RuntimeDirectory=doveauth\nUMask=0077"),
    ("lastlogin", VENV + "lastlogin",
     "/run/chatmail-lastlogin/lastlogin.socket " + OLD_INI,
     "RuntimeDirectory=chatmail-lastlogin"),
    ("chatmail-metadata", VENV + "chatmail-metadata",
     "/run/chatmail-metadata/metadata.socket " + OLD_INI,
     "RuntimeDirectory=chatmail-metadata\nUMask=0077"),
    ("filtermail", "/usr/local/bin/filtermail", OLD_INI + " outgoing", ""),
    ("filtermail-incoming", "/usr/local/bin/filtermail",
     OLD_INI + " incoming", ""),
]
# what only listens: unit, program, where, the name that its process has
HOLDERS = [
    ("filtermail-transport", "/usr/local/bin/filtermail-transport",
     "127.0.0.1:10083", "filtermail"),
    ("mta-sts-daemon",
     "/usr/local/lib/postfix-mta-sts-resolver/bin/mta-sts-daemon",
     "127.0.0.1:8461", "mta-sts-daemon"),
    ("doveauth-dictproxy", VENV + "doveauth-dictproxy", "127.0.0.1:10099",
     "doveauth-dictpr"),
    ("echobot", VENV + "echobot", "127.0.0.1:10098", "echobot"),
    ("iroh-relay", "/usr/local/bin/iroh-relay", "127.0.0.1:3340",
     "iroh-relay"),
    ("mtail", "/usr/local/bin/mtail", "127.0.0.1:3903", "mtail"),
]
HOLDER = """#!/usr/bin/perl
use IO::Socket::INET;
$0 = '%s';
my $s = IO::Socket::INET->new(LocalAddr => '%s', Listen => 5, ReuseAddr => 1)
    or die $!;
while (my $c = $s->accept) { close $c }
"""
# chatmail-turn takes its port, and makes credentials up; it relays nothing
TURN = """#!/usr/bin/perl
use IO::Socket::INET;
use IO::Socket::UNIX;
$0 = 'chatmail-turn';
my $u = IO::Socket::INET->new(LocalAddr => '0.0.0.0:3478', Proto => 'udp')
    or die $!;
my $s = IO::Socket::UNIX->new(Local => '/run/chatmail-turn/turn.socket',
    Listen => 5) or die $!;
while (my $c = $s->accept) {
    print $c time + 432000, ":of+the/earlier=\\n";
    close $c;
}
"""
# may run beside ours, and are to be left alone
KEPT = ["turnserver"]
# units that may neither run nor be enabled afterwards
GONE = ["opendkim", "filtermail-transport", "mta-sts-daemon",
        "doveauth-dictproxy", "echobot", "fcgiwrap", "fcgiwrap.socket",
        "acmetool-redirector", "acmetool-reconcile.timer",
        "acmetool-reconcile", "iroh-relay"]
# stay on the disk for whoever wants to go back
LEFT = [OLD_INI, VENV + "doveauth", VENV + "chatmail-metadata",
        "/usr/local/bin/filtermail", "/usr/lib/cgi-bin/newemail.py",
        "/etc/opendkim.conf", "/etc/dkimkeys/KeyTable",
        "/etc/dkimkeys/SigningTable", "/etc/dkimkeys/opendkim.txt",
        "/var/lib/acme/conf/target", "/etc/acme/hooks/nginx",
        "/etc/apt/preferences.d/pin-dovecot",
        "/etc/systemd/system/mta-sts-daemon.service",
        "/etc/systemd/system/filtermail-transport.service",
        "/etc/systemd/system/acmetool-redirector.service",
        "/etc/systemd/system/opendkim.service.d/10-prevent-memory-leak.conf",
        "/etc/systemd/system/postfix@.service.d/10_restart.conf",
        "/usr/local/lib/postfix-mta-sts-resolver/bin/mta-sts-daemon"]


def unit(start, user="vmail", more=""):
    return "[Unit]\nDescription=of an earlier relay\n\n[Service]\n" \
        "ExecStart=%s\nRestart=always\nRestartSec=30\nUser=%s\n%s\n\n" \
        "[Install]\nWantedBy=multi-user.target\n" % (start, user, more)


def job(name):
    start = "%schatmail-%s %s" % (VENV, name, OLD_INI)
    return {
        "chatmail-%s.service" % name: "[Unit]\nDescription=of an earlier "
        "relay\n\n[Service]\nType=oneshot\nUser=vmail\nExecStart=%s\n" % start,
        "chatmail-%s.timer" % name: "[Timer]\nOnCalendar=*-*-* 00:02:00\n\n"
        "[Install]\nWantedBy=timers.target\n"}


DOVECOT = """\
listen = 0.0.0.0
protocols = imap lmtp
auth_mechanisms = plain
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\
01234567890.-_@[]
default_client_limit = 20000
mail_plugins = zlib quota
imap_capability = +XDELTAPUSH XCHATMAIL
passdb {
  driver = dict
  args = /etc/dovecot/auth.conf
}
userdb {
  driver = dict
  args = /etc/dovecot/auth.conf
}
mail_location = maildir:/home/vmail/mail/%(domain)s/%%u
mail_uid = vmail
mail_gid = vmail
mail_cache_max_size = 500K
namespace inbox {
  inbox = yes
  mailbox Trash {
    special_use = \\Trash
  }
  mailbox Sent {
    special_use = \\Sent
  }
}
mail_attribute_dict = proxy:/run/chatmail-metadata/metadata.socket:metadata
protocol imap {
  mail_plugins = $mail_plugins imap_quota last_login
  imap_metadata = yes
}
plugin {
  last_login_dict = proxy:/run/chatmail-lastlogin/lastlogin.socket:lastlogin
  last_login_precision = s
  zlib_save = gz
  quota = maildir:User quota
  quota_rule = *:storage=500M
  quota_warning = storage=75%%%% quota-warning 350 /home/vmail/mail/%(domain)s/%%u
}
service quota-warning {
  executable = script %(venv)schatmail-quota-expire
  user = vmail
  unix_listener quota-warning {
    user = vmail
    mode = 0600
  }
}
service lmtp {
  user = vmail
  unix_listener /var/spool/postfix/private/dovecot-lmtp {
    group = postfix
    mode = 0600
    user = postfix
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
service auth-worker {
  user = vmail
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
ssl = required
ssl_cert = </var/lib/acme/live/%(domain)s/fullchain
ssl_key = </var/lib/acme/live/%(domain)s/privkey
ssl_dh = </usr/share/dovecot/dh.pem
ssl_min_protocol = TLSv1.3
imap_hibernate_timeout = 30s
service imap {
  unix_listener imap-master {
    user = $default_internal_user
  }
  extra_groups = $default_internal_group
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0660
    group = $default_internal_group
  }
}
"""
AUTH = """\
uri = proxy:/run/doveauth/doveauth.socket:auth
iterate_disable = no
iterate_prefix = userdb/
default_pass_scheme = plain
password_key = passdb/%Ew"%Eu
user_key = userdb/%Eu
"""
MAIN = """\
compatibility_level = 3.6
myorigin = %(domain)s
myhostname = %(domain)s
mydestination = %(domain)s
local_transport = lmtp:unix:private/dovecot-lmtp
local_recipient_maps =
inet_protocols = ipv4
alias_maps =
smtpd_tls_cert_file = /var/lib/acme/live/%(domain)s/fullchain
smtpd_tls_key_file = /var/lib/acme/live/%(domain)s/privkey
smtpd_tls_security_level = may
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_security_level = verify
smtpd_relay_restrictions = reject
mynetworks = 127.0.0.0/8
message_size_limit = 31457280
recipient_delimiter = +
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
default_transport = lmtp-filtermail:inet:[127.0.0.1]:10083
non_smtpd_milters = unix:opendkim/opendkim.sock
internal_mail_filter_classes = bounce
milter_macro_daemon_name = ORIGINATING
"""
MASTER = """\
smtp inet n - y - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_proxy_filter=127.0.0.1:10081
  -o smtpd_relay_restrictions=reject_unauth_destination
%(submissions)s
127.0.0.1:10025 inet n - n - 100 smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_milters=unix:opendkim/opendkim.sock
127.0.0.1:10026 inet n - n - 100 smtpd
  -o smtpd_relay_restrictions=reject_unauth_destination
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - y 1000? 1 tlsmgr
rewrite unix - - y - - trivial-rewrite
bounce unix - - y - 0 bounce
defer unix - - y - 0 bounce
trace unix - - y - 0 bounce
flush unix n - y 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - y - - smtp
showq unix n - y - - showq
error unix - - y - - error
retry unix - - y - - error
lmtp unix - - y - - lmtp
anvil unix - - y - 1 anvil
scache unix - - y - 1 scache
lmtp-filtermail unix - - y - 500 lmtp
"""
SUBMISSION = """\
%s inet n - y - 1000 smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_wrappermode=%s
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_proxy_filter=127.0.0.1:10080"""
OPENDKIM = """\
Syslog yes
Canonicalization relaxed/simple
Domain %(domain)s
Selector opendkim
KeyFile /etc/dkimkeys/opendkim.private
KeyTable /etc/dkimkeys/KeyTable
SigningTable refile:/etc/dkimkeys/SigningTable
UserID opendkim
UMask 007
Socket local:/var/spool/postfix/opendkim/opendkim.sock
PidFile /run/opendkim/opendkim.pid
TrustAnchorFile /usr/share/dns/root.key
MTA ORIGINATING
InternalHosts -
"""
NGINX = """\
load_module modules/ngx_stream_module.so;
user www-data;
pid /run/nginx.pid;
error_log syslog:server=unix:/dev/log,facility=local3;
events { worker_connections 2048; }
stream {
	map $ssl_preread_alpn_protocols $proxy {
		default 127.0.0.1:8443;
		~\\bsmtp\\b 127.0.0.1:465;
		~\\bimap\\b 127.0.0.1:993;
	}
	server {
		listen 443;
		proxy_pass $proxy;
		ssl_preread on;
	}
}
http {
	access_log off;
	%(tls)s
	server {
		listen 80;
		location /.well-known/acme-challenge/ {
			proxy_pass http://127.0.0.1:402;
		}
	}
}
"""
NGINX_TLS = """\
ssl_certificate /var/lib/acme/live/%(domain)s/fullchain;
	ssl_certificate_key /var/lib/acme/live/%(domain)s/privkey;
	server {
		listen 127.0.0.1:8443 ssl default_server;
		root /var/www/html;
		location /new {
			fastcgi_pass unix:/run/fcgiwrap.socket;
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME /usr/lib/cgi-bin/newemail.py;
		}
	}"""


class Earlier:
    """Lays it out on a started host with use_unbound(). ini: as the server
    has it. binary: static."""

    def __init__(self, host, domain, ini, binary, acme):
        self.host, self.domain, self.ini = host, domain, ini
        self.binary, self.acme = binary, acme
        self.names = {"domain": domain, "venv": VENV}

    def sh(self, text):
        code, out, err = self.host.inside(["sh", "-ec", text])
        if code != 0:
            raise Failed("%s\nexit code %d\n%s" % (text, code, out + err))
        return out

    def set_up(self):
        self._install()
        self._programs()
        self._units()
        self._dkim()
        self._resolver()
        self._certificate()
        self._servers()

    def _install(self):
        self.host.put("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.sh("DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "
                "--no-install-recommends " + PACKAGES)
        self.sh("rm /usr/sbin/policy-rc.d; rm -f /etc/cron.d/acmetool; "
                "groupadd --system vmail; useradd --system --gid vmail "
                "--home-dir /home/vmail vmail; useradd --system iroh; "
                "usermod -a -G opendkim postfix; "
                "mkdir -p /home/vmail/mail/%s; "
                "chown vmail: /home/vmail/mail/%s; "
                "chmod 700 /home/vmail/mail/%s; "
                "echo %s > /etc/mailname" % ((self.domain,) * 4))
        self.host.put("/etc/apt/apt.conf.d/00InstallRecommends",
                      'APT::Install-Recommends "false";\n')
        self.host.put("/etc/apt/preferences.d/pin-dovecot", "Package: "
                      "dovecot-*\nPin: version *\nPin-Priority: -1\n")

    def _programs(self):
        with open(self.binary, "rb") as f:
            self.host.put(LIB + "/program", f.read(), 0o755)
        self.host.put(OLD_INI, self.ini)
        programs = {path for _, path, *_ in ROLES} | {
            VENV + "chatmail-" + name
            for name in ("expire", "fsreport", "quota-expire")}
        for path in programs:
            self.sh("mkdir -p $(dirname %s); ln -sf %s/program %s" % (
                path, LIB, path))
        for _, path, where, name in HOLDERS:
            self.host.put(path, HOLDER % (name, where), 0o755)
        self.host.put("/usr/local/bin/chatmail-turn", TURN, 0o755)
        self.host.put("/usr/lib/cgi-bin/newemail.py", "#!/bin/sh\n", 0o755)

    def _units(self):
        units = {}
        for name, path, args, more in ROLES:
            start = "%s %s" % (path, args)
            units[name + ".service"] = unit(start, more=more)
        for name, path, *_ in HOLDERS:
            units[name + ".service"] = unit(path, user="root")
        units["turnserver.service"] = unit(
            "/usr/local/bin/chatmail-turn", more="RuntimeDirectory="
            "chatmail-turn")
        units.update({**job("expire"), **job("fsreport")})
        units["acmetool-redirector.service"] = unit(
            "/usr/bin/acmetool redirector --service.uid=daemon "
            "--bind=127.0.0.1:402", "root", "Type=notify")
        units["acmetool-reconcile.service"] = "[Service]\nType=oneshot\n" \
            "ExecStart=/usr/bin/acmetool --batch reconcile\n"
        units["acmetool-reconcile.timer"] = "[Timer]\nOnCalendar=*-*-* " \
            "16:20:00\n\n[Install]\nWantedBy=timers.target\n"
        units["opendkim.service.d/10-prevent-memory-leak.conf"] = \
            "[Service]\nRestart=always\nRuntimeMaxSec=1d\n"
        for name in "dovecot.service.d", "postfix@.service.d":
            units[name + "/10_restart.conf"] = \
                "[Service]\nRestart=always\nRestartSec=30\n"
        for name, text in units.items():
            self.host.put("/etc/systemd/system/" + name, text)
        self.sh("systemctl daemon-reload")

    def _dkim(self):
        name = "opendkim._domainkey." + self.domain
        self.host.put("/etc/opendkim.conf", OPENDKIM % self.names)
        self.host.put("/etc/dkimkeys/KeyTable", "%s %s:opendkim:"
                      "/etc/dkimkeys/opendkim.private\n" % (name, self.domain))
        self.host.put("/etc/dkimkeys/SigningTable", "*@%s %s\n" % (
            self.domain, name))
        self.sh("mkdir -p /etc/opendkim /var/spool/postfix/opendkim; "
                "opendkim-genkey -D /etc/dkimkeys -d %s -s opendkim; "
                "chown -R opendkim: /etc/dkimkeys /etc/opendkim "
                "/var/spool/postfix/opendkim; "
                "chmod 750 /etc/opendkim /var/spool/postfix/opendkim; "
                "systemctl enable --quiet --now opendkim" % self.domain)

    def _resolver(self):
        self.sh("systemctl enable --quiet unbound; systemctl restart unbound; "
                "printf 'nameserver 127.0.0.1\\nnameserver 9.9.9.9\\n' "
                "> /etc/resolv.conf")

    def _certificate(self):
        """By acmetool itself, with nginx before its redirector."""
        self.host.put("/etc/nginx/nginx.conf", NGINX % {
            **self.names, "tls": ""})
        self.host.put("/etc/acme/hooks/nginx", "#!/bin/sh\n[ \"$1\" != "
                      "live-updated ] || systemctl reload nginx\n", 0o755)
        self.host.put("/var/lib/acme/conf/target", "request:\n  provider: "
                      "%s\n  key:\n    type: ecdsa\n    ecdsa-curve: "
                      "nistp256\n  challenge:\n    webroot-paths:\n    - "
                      "/var/www/html/.well-known/acme-challenge\n" %
                      self.acme.directory)
        meta = json.loads(self.acme.get("/dir"))["meta"]
        self.host.put("/var/lib/acme/conf/responses", "\"acme-enter-email\": "
                      "\"root@%s\"\n\"acme-agreement:%s\": true\n" % (
                          self.domain, meta["termsOfService"]))
        self.host.put("/var/lib/acme/desired/" + self.domain, "satisfy:\n  "
                      "names:\n  - %s\n  - mta-sts.%s\n  - www.%s\n" % (
                          (self.domain,) * 3))
        self.sh("mkdir -p /var/www/html/.well-known/acme-challenge "
                "/var/run/acme/acme-challenge; "
                "systemctl restart nginx; systemctl enable --quiet --now "
                "acmetool-redirector acmetool-reconcile.timer; "
                "for i in 1 2 3 4 5; do acmetool --batch reconcile && break; "
                "done; test -e /var/lib/acme/live/%s/fullchain" %
                self.domain)

    def _servers(self):
        submissions = SUBMISSION % ("submission", "no") + "\n" + \
            SUBMISSION % ("smtps", "yes")
        for path, text in (
                ("/etc/dovecot/dovecot.conf", DOVECOT), ("/etc/dovecot/"
                 "auth.conf", AUTH.replace("%", "%%")),
                ("/etc/postfix/main.cf", MAIN),
                ("/etc/postfix/master.cf", MASTER)):
            self.host.put(path, text % {**self.names,
                                        "submissions": submissions})
        self.host.put("/etc/nginx/nginx.conf", NGINX % {
            **self.names, "tls": NGINX_TLS % self.names})
        roles = " ".join([name for name, *_ in ROLES + HOLDERS] +
                         ["turnserver", "chatmail-expire.timer", "chatmail-fsreport.timer"])
        self.sh("systemctl enable --quiet --now %s; "
                "systemctl enable --quiet --now fcgiwrap.socket fcgiwrap; "
                "systemctl enable --quiet dovecot postfix nginx; "
                "systemctl restart dovecot postfix nginx" % roles)
