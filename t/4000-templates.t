#!/usr/bin/env python3
"""Every template renders for every kind of relay, and Postfix's and Dovecot's
own checkers accept the result; with the settings that must not get lost."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import sandbox
import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TEMPLATES = sorted(
    os.path.join(folder, name) for folder in ("postfix", "dovecot", "nginx")
    for name in os.listdir(os.path.join(TOP, "conf-templates", folder)))

# name, chatmail.ini
RELAYS = [
    ("acme", "mail_domain = chat.example.org"),
    ("self-signed", "mail_domain = _chat.example.org"),
    ("external certificate", "mail_domain = chat.example.org\n"
     "tls_external_cert_and_key = /etc/x/full.pem /etc/x/key.pem"),
    ("ipv4", "mail_domain = 192.0.2.7"),
    ("no ipv6", "mail_domain = chat.example.org\ndisable_ipv6 = true"),
    ("slower", "mail_domain = chat.example.org\nimap_notify_delay = 0100"),
    ("stock Dovecot", "mail_domain = chat.example.org\n"
     "imap_notify_delay = 500"),
    ("compress", "mail_domain = chat.example.org\nimap_compress = true"),
    ("rawlog", "mail_domain = chat.example.org\nimap_rawlog = yes"),
    ("metrics", "mail_domain = chat.example.org\nmtail_address = 127.0.0.1"),
    ("privacy", "mail_domain = chat.example.org\n"
     "privacy_mail = privacy@example.org"),
    ("limits", "mail_domain = chat.example.org\nmax_mailbox_size = 2G\n"
     "max_message_size = 10M\nmax_smtp_connections = 50\n"
     "max_imap_connections = 300"),
]

# relay, program, parameter, value of the rendered server configuration
SETTINGS = [
    ("acme", "postfix", "myhostname", "chat.example.org"),
    ("acme", "postfix", "mydestination", "chat.example.org"),
    ("acme", "postfix", "smtpd_tls_cert_file",
     "/var/lib/acme/live/chat.example.org/fullchain"),
    ("acme", "postfix", "smtpd_forbid_bare_newline", "normalize"),
    ("acme", "postfix", "lmtp_destination_recipient_limit", "1"),
    ("acme", "postfix", "bounce_queue_lifetime", "2d"),
    ("acme", "postfix", "maximal_queue_lifetime", "2d"),
    ("acme", "postfix", "smtp_tls_security_level", "verify"),
    ("acme", "postfix", "smtp_tls_policy_maps",
     "regexp:/etc/postfix/smtp_tls_policy_map"),
    ("acme", "postfix", "inet_protocols", "all"),
    ("acme", "postfix", "inet_interfaces", "all"),
    ("acme", "postfix", "message_size_limit", "31457280"),
    ("acme", "postfix", "local_transport", "lmtp:unix:private/dovecot-lmtp"),
    ("acme", "postfix", "default_transport", "smtp"),
    ("acme", "postfix", "smtpd_relay_restrictions", "reject"),
    ("acme", "postfix", "transport_maps", ""),
    ("acme", "postfix", "maillog_file", ""),
    ("self-signed", "postfix", "smtpd_tls_key_file",
     "/etc/ssl/private/mailserver.key"),
    ("external certificate", "postfix", "smtpd_tls_key_file", "/etc/x/key.pem"),
    ("ipv4", "postfix", "mydestination", "[192.0.2.7]"),
    ("ipv4", "postfix", "myhostname", "7.2.0.192.in-addr.arpa"),
    ("no ipv6", "postfix", "inet_protocols", "ipv4"),
    ("no ipv6", "postfix", "mynetworks", "127.0.0.0/8"),
    ("limits", "postfix", "message_size_limit", "10485760"),
    ("acme", "dovecot", "mail_plugins", "zlib quota"),
    ("acme", "dovecot", "protocol/imap/mail_plugins",
     "zlib quota imap_quota last_login"),
    ("acme", "dovecot", "protocol/lmtp/mail_plugins", "zlib quota mail_lua "
     "notify push_notification push_notification_lua"),
    ("acme", "dovecot", "protocol/lmtp/mail_fsync", "never"),
    ("acme", "dovecot", "mail_location",
     "maildir:/home/vmail/mail/chat.example.org/%u"),
    ("acme", "dovecot", "mail_attribute_dict",
     "proxy:/run/chatmail-metadata/metadata.socket:metadata"),
    ("acme", "dovecot", "plugin/last_login_dict",
     "proxy:/run/chatmail-lastlogin/lastlogin.socket:lastlogin"),
    ("acme", "dovecot", "plugin/quota_rule", "*:storage=500M"),
    ("acme", "dovecot", "plugin/quota_warning",
     "storage=75%% quota-warning 350 /home/vmail/mail/chat.example.org/%u"),
    ("acme", "dovecot", "service/quota-warning/executable",
     "script /usr/local/bin/chatmail quota-expire"),
    ("acme", "dovecot", "import_environment", "TZ CORE_OUTOFMEM CORE_ERROR "
     "LISTEN_PID LISTEN_FDS NOTIFY_SOCKET "
     "LD_PRELOAD=/usr/local/lib/chatmail/imap-notify.so "
     "CHATMAIL_IMAP_NOTIFY_DELAY=0"),
    ("acme", "dovecot", "imap_hibernate_timeout", "30 secs"),
    ("slower", "dovecot", "import_environment", "TZ CORE_OUTOFMEM CORE_ERROR "
     "LISTEN_PID LISTEN_FDS NOTIFY_SOCKET "
     "LD_PRELOAD=/usr/local/lib/chatmail/imap-notify.so "
     "CHATMAIL_IMAP_NOTIFY_DELAY=100"),
    # a hibernated connection of Dovecot alone loses notifications
    ("stock Dovecot", "dovecot", "imap_hibernate_timeout", "0"),
    ("stock Dovecot", "dovecot", "import_environment", "TZ CORE_OUTOFMEM "
     "CORE_ERROR LISTEN_PID LISTEN_FDS NOTIFY_SOCKET"),
    ("compress", "dovecot", "imap_hibernate_timeout", "0"),
    ("acme", "dovecot", "listen", "*, ::"),
    ("acme", "dovecot", "ssl", "required"),
    ("acme", "dovecot", "ssl_min_protocol", "TLSv1.3"),
    ("acme", "dovecot", "mail_server_admin", ""),
    ("acme", "dovecot", "service/imap-login/service_count", "0"),
    ("self-signed", "dovecot", "ssl_cert",
     "</etc/ssl/certs/mailserver.pem"),
    ("no ipv6", "dovecot", "listen", "0.0.0.0"),
    ("compress", "dovecot", "protocol/imap/mail_plugins",
     "zlib quota imap_quota last_login imap_zlib"),
    ("rawlog", "dovecot", "protocol/imap/rawlog_dir", "%h"),
    ("rawlog", "dovecot", "service/imap/executable", "imap postlogin"),
    ("metrics", "dovecot", "service/stats/inet_listener/http/address",
     "127.0.0.1"),
    ("metrics", "dovecot", "metric/imap_command/group_by",
     "cmd_name tagged_reply_state"),
    ("privacy", "dovecot", "mail_server_admin", "mailto:privacy@example.org"),
    ("limits", "dovecot", "plugin/quota_rule", "*:storage=2048M"),
    ("limits", "dovecot", "plugin/quota_max_mail_size", "10485760"),
    ("limits", "dovecot", "service/imap/process_limit", "300"),
]

# the same of Dovecot 2.4's, where that is installed
SETTINGS_24 = [
    ("acme", "mail_plugins", "mail_compress = yes\nquota = yes"),
    # beside those above
    ("acme", "protocol/imap/mail_plugins", "imap_quota = yes\n"
     "last_login = yes"),
    ("acme", "protocol/lmtp/mail_plugins", "mail_lua = yes\nnotify = yes\n"
     "push_notification = yes\npush_notification_lua = yes"),
    ("acme", "protocol/lmtp/mail_fsync", "never"),
    ("acme", "mail_driver", "maildir"),
    ("acme", "mail_path", "/home/vmail/mail/chat.example.org/%{user}"),
    ("acme", "mail_compress_write_method", "gz"),
    ("acme", "quota_storage_size", "500M"),
    ("acme", "quota_storage_grace", "0"),
    ("acme", "service/quota-warning/executable",
     "script /usr/local/bin/chatmail quota-expire"),
    ("acme", "imap_hibernate_timeout", "30s"),
    ("acme", "imap_capability", "XDELTAPUSH = yes\nXCHATMAIL = yes\n"
     "\"COMPRESS=DEFLATE\" = no"),
    ("acme", "import_environment/LD_PRELOAD",
     "/usr/local/lib/chatmail/imap-notify.so"),
    ("slower", "import_environment/CHATMAIL_IMAP_NOTIFY_DELAY", "100"),
    ("stock Dovecot", "imap_hibernate_timeout", "0"),
    ("compress", "imap_hibernate_timeout", "0"),
    ("compress", "imap_capability", "XDELTAPUSH = yes\nXCHATMAIL = yes"),
    ("acme", "listen", "* ::"),
    ("no ipv6", "listen", "0.0.0.0"),
    ("acme", "ssl", "required"),
    ("acme", "ssl_min_protocol", "TLSv1.3"),
    ("acme", "shutdown_clients", "no"),
    ("acme", "service/imap-login/restart_request_count", "unlimited"),
    ("self-signed", "ssl_server/cert_file", "/etc/ssl/certs/mailserver.pem"),
    ("rawlog", "protocol/imap/rawlog_dir", "%{home}"),
    ("rawlog", "service/imap/executable", "imap postlogin"),
    ("metrics", "service/stats/inet_listener/http/listen", "127.0.0.1"),
    ("privacy", "mail_server_admin", "mailto:privacy@example.org"),
    ("limits", "quota_storage_size", "2048M"),
    ("limits", "quota_mail_size", "10485760"),
    ("limits", "service/imap/process_limit", "300"),
]

# relay, service in master.cf, options it has
SERVICES = [
    ("acme", "25/inet", ["smtpd_tls_security_level=encrypt",
                         "smtpd_proxy_filter=127.0.0.1:10081",
                         "smtpd_relay_restrictions=reject_unauth_destination"]),
    ("acme", "587/inet", ["smtpd_tls_security_level=encrypt",
                          "smtpd_sasl_auth_enable=yes",
                          "smtpd_client_connection_count_limit=200",
                          "smtpd_proxy_filter=127.0.0.1:10080"]),
    ("acme", "465/inet", ["smtpd_tls_wrappermode=yes",
                          "smtpd_tls_mandatory_protocols=>=TLSv1.3",
                          "smtpd_proxy_filter=127.0.0.1:10080"]),
    ("acme", "127.0.0.1:10025/inet", ["cleanup_service_name=authclean"]),
    ("acme", "127.0.0.1:10026/inet",
     ["smtpd_relay_restrictions=reject_unauth_destination"]),
    ("limits", "465/inet", ["smtpd_client_connection_count_limit=10"]),
]

# destination, TLS level by the policy map; "" = main.cf's, which is verify
POLICIES = [
    ("_chat.example.org", "encrypt"),
    ("[192.0.2.1]", "encrypt"),
    ("[127.0.0.1]:2525", "encrypt"),
    ("[IPv6:2001:db8::1]", "encrypt"),
    ("nauta.cu", "may"),
    ("nauta.cu.example", ""),
    ("sub_domain.example", ""),
    ("chat.example.org", ""),
    ("[mx.example.org]", ""),
]

# table, line, what becomes of it
HEADERS = [
    ("submission_header_cleanup", "Received: from x", "IGNORE"),
    ("submission_header_cleanup", "User-Agent: x", "IGNORE"),
    ("submission_header_cleanup", "X-Originating-IP: 1", "IGNORE"),
    ("submission_header_cleanup", "x-mailer: x", "IGNORE"),
    ("submission_header_cleanup", "Subject: secret", "IGNORE"),
    ("submission_header_cleanup", "subject:", "IGNORE"),
    ("submission_header_cleanup", "Hide-Subject: yes",
     "REPLACE Subject: [...]"),
    ("submission_header_cleanup", "Subject-Like: x", ""),
    ("submission_header_cleanup", "From: a@b", ""),
    ("lmtp_header_cleanup", "DKIM-Signature: v=1", "IGNORE"),
    ("lmtp_header_cleanup", "Authentication-Results: x", "IGNORE"),
    ("lmtp_header_cleanup", "Received: by x", "IGNORE"),
    ("lmtp_header_cleanup", "Subject: [...]", ""),
    ("login_map", "alice@chat.example.org", "alice@chat.example.org"),
]


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/sbin")


def run(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


def render(ini, *options):
    """A directory with the rendered files of a relay; (dir, code, output)."""
    top = tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
    os.chmod(top, 0o755)
    with open(os.path.join(top, "chatmail.ini"), "w") as f:
        f.write("[params]\n" + ini.replace("@DIR@", top) + "\n")
    code, said = run(sandbox.CHATMAIL, "sandbox", top, *options)
    # of the directory of the program, which may be a private one
    said = re.sub(r".*: other users cannot enter it: .*\n", "", said)
    return top, code, said


def dovecot_conf(top):
    """The file that the Dovecot which is here reads."""
    return os.path.join(top, "dovecot", "dovecot-2.4.conf" if IS_24 else
                        "dovecot.conf")


def setting(top, program, name):
    if program == "postfix":
        return run(find("postconf"), "-c", os.path.join(top, "postfix"),
                   "-h", name)[1].strip()
    said = run(find("doveconf"), "-c", dovecot_conf(top), "-h",
               *doveconf_words(name))[1].strip()
    return re.sub(r"(?m)^\s+", "", said)


def doveconf_words(name):
    """protocol/imap/x is asked for with a filter, the rest by its path."""
    m = re.fullmatch(r"protocol/(\w+)/(\w+)", name)
    return ["-f", "protocol=" + m[1], m[2]] if m else [name]


def complaints(*command):
    """What a checker says beside its output."""
    p = subprocess.run(command, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
    return p.returncode, p.stderr


def names_in(*templates):
    """What the values and conditions of templates ask for."""
    text = "".join(open(os.path.join(TOP, "conf-templates/dovecot", t)).read()
                   for t in templates)
    return set(re.findall(r"(?:\{\{|\{% if(?: not)?) (\w+)", text))


def blocks_in(template):
    """The services, listeners, folders and figures that it names."""
    with open(os.path.join(TOP, "conf-templates/dovecot", template)) as f:
        return sorted(set(re.findall(
            r"(?m)^ *((?:service|metric|unix_listener|inet_listener|mailbox) "
            r".*) \{$", f.read())))


if not find("postconf") or not find("doveconf"):
    tap.skip_all("Postfix and Dovecot are not installed")
IS_24 = run(find("dovecot"), "--version")[1] >= "2.4"

rendered = {}
for name, ini in RELAYS:
    top, code, said = render(ini, "--server")
    rendered[name] = top
    tap.is_((code, said), (0, ""), name + ": renders without a word")
    files = sorted(os.path.relpath(os.path.join(folder, f), top)
                   for folder, _, fs in os.walk(top) for f in fs)
    tap.is_([f for f in TEMPLATES if f not in files], [],
            name + ": every template")
    left = [f for f in TEMPLATES
            if re.search(r"\{\{|\{%|%\}", open(os.path.join(top, f)).read())]
    tap.is_(left, [], name + ": no tag is left")
    said = complaints(find("postconf"), "-c", os.path.join(top, "postfix"))
    tap.is_(said, (0, ""), name + ": postconf has no complaint")
    said = complaints(find("doveconf"), "-n", "-c", dovecot_conf(top))
    tap.is_(said, (0, ""), name + ": doveconf has no complaint")

tap.is_(names_in("dovecot-2.4.conf", "auth.lua") ^
        names_in("dovecot.conf", "auth.conf"), set(),
        "both Dovecots follow the same settings")
tap.is_(set(blocks_in("dovecot.conf")) ^ set(blocks_in("dovecot-2.4.conf")),
        {"unix_listener anvil"}, "and have the same services and figures")

for name, program, parameter, want in [
        row for row in SETTINGS if row[1] != "dovecot" or not IS_24] + [
        (row[0], "dovecot", *row[1:]) for row in SETTINGS_24 if IS_24]:
    tap.is_(setting(rendered[name], program, parameter), want,
            "%s: %s %s" % (name, program, parameter))

for name, service, options in SERVICES:
    said = run(find("postconf"), "-c", os.path.join(rendered[name], "postfix"),
               "-M", service)[1]
    said += run(find("postconf"), "-c", os.path.join(rendered[name],
                                                     "postfix"), "-Px")[1]
    for option in options:
        parameter, value = option.split("=", 1)
        tap.like(said, "%s/%s = %s" % (service, parameter, value),
                 "%s: %s has %s" % (name, service, option))

postfix = os.path.join(rendered["acme"], "postfix")
for key, want in POLICIES:
    said = run(find("postmap"), "-c", postfix, "-q", key,
               "regexp:" + os.path.join(postfix, "smtp_tls_policy_map"))[1]
    tap.is_(said.strip(), want, "TLS to %s: %s" % (key, want or "verify"))
for table, line, want in HEADERS:
    said = run(find("postmap"), "-c", postfix, "-q", line,
               "regexp:" + os.path.join(postfix, table))[1]
    tap.is_(said.strip(), want, "%s: %s" % (table, line))

with open(os.path.join(postfix, "master.cf")) as f:
    tap.is_(f.read().count("smtpd_milters=unix:opendkim/opendkim.sock"), 2,
            "a server's milter is asked both ways")

# The sandbox's own layout, checked by Postfix for owners and modes as well.
if sandbox.skip_reason():
    tap.skip("sandbox layout", sandbox.skip_reason())
else:
    for name, ini in RELAYS:
        if "tls_external" in ini:
            continue            # has to be there; t/7500 has one
        own = "\nvmail_user = mail\nmailboxes_dir = @DIR@/mail"
        top, code, said = render(ini + own, "--render")
        tap.is_((code, said), (0, ""), name + ": the sandbox renders it")
        # those for all to see go to the pages
        there = [os.path.join(top, f) for f in TEMPLATES]
        there = [f for f in there if os.path.exists(f)]
        tap.ok(len(there) > len(TEMPLATES) - 4, name + ": nearly all there")
        outside = re.findall(r"(?<![\w/])/(?:etc|var|run|home)/\S+", "".join(
            open(f).read() for f in there))
        outside = [s for s in outside if s not in (
            "/etc/ssl/certs", "/etc/nginx/mime.types;")]
        tap.is_(outside, [], name + ": the sandbox stays in its directory")
        shutil.rmtree(top)

for top in rendered.values():
    shutil.rmtree(top)
tap.done()
