"""Trees of mailboxes with every case that expire has a rule for, and what
becomes of each file by upstream's rules (chatmaild/expire.py).

    tree = Tree(path)           # an empty directory, made
    tree.fill(2000)
    tree.gone, tree.figures     # paths that have to go, and the counts

Times are relative to NOW, which expire gets by --now.
"""
import gzip
import os
import random
import socket
import stat

NOW = 1_800_000_000
DAY = 86400
MS = 0.001
MAILS, LARGE, LOGIN = 20, 7, 90         # days, as in SETTINGS
SETTINGS = {"delete_mails_after": MAILS, "delete_large_after": LARGE,
            "delete_inactive_users_after": LOGIN, "max_mailbox_size": "10M"}
TARGET = 7340032                        # 70 % of max_mailbox_size

OLD = MAILS * DAY + MS
OLD_LARGE = LARGE * DAY + MS
BIG = 200001
KEEP, GONE = "keep", "gone"
# Kept, yet upstream takes the mailbox for changed: maildirsize goes.
TOUCH = "touch"
DOMAIN = "chat.example"
SUBS = {"cur", "new", "tmp"}

# path, age of the mtime in seconds, size, verdict, upstream's rule
MESSAGES = [
    ("cur/a", 0, 10, KEEP, "new"),
    ("cur/b", MAILS * DAY, 10, KEEP, "mtime < cutoff: not at the very cutoff"),
    ("cur/c", MAILS * DAY - MS, 10, KEEP, "not before it either"),
    ("cur/d", OLD, 10, GONE, "mtime < cutoff"),
    ("new/e", OLD, 10, GONE, "in new as well"),
    ("tmp/f", OLD, 10, GONE, "in tmp as well"),
    ("new/g", MAILS * DAY, 10, KEEP, "the same boundary in new"),
    ("tmp/h", MAILS * DAY, 10, KEEP, "and in tmp"),
    ("cur/empty", OLD, 0, GONE, "size 0"),
    ("cur/ancient", NOW, 10, GONE, "mtime 0 is a time like others"),
    ("cur/before-1970", NOW + 5, 10, GONE, "so is a negative one"),
    ("cur/future", -400 * DAY, 10, KEEP, "mtime in the future"),
    ("cur/future-large", -DAY, BIG, KEEP, "a large one"),
    ("cur/i", LARGE * DAY, BIG, KEEP, "large: not at the very cutoff"),
    ("cur/j", OLD_LARGE, BIG, GONE, "large: size > 200000, mtime < cutoff"),
    ("cur/k", OLD_LARGE, 200000, KEEP, "200000 bytes are not large"),
    ("new/l", OLD_LARGE, BIG, TOUCH, "large in new: not noticed, kept"),
    ("tmp/m", OLD_LARGE, BIG, TOUCH, "large in tmp: kept"),
    ("new/n", OLD, BIG, GONE, "old is old, also when large in new"),
    (".Sent/cur/a", OLD, 10, GONE, "folders too"),
    (".Sent/new/b", OLD, 10, GONE, "their new"),
    (".Sent/tmp/c", OLD, 10, GONE, "their tmp"),
    (".Sent/cur/d", OLD_LARGE, BIG, GONE, "large in a folder's cur"),
    (".Sent/new/e", OLD_LARGE, BIG, TOUCH, "large in a folder's new"),
    (".Sent/cur/f", MAILS * DAY, 10, KEEP, "the boundary in a folder"),
    (".A.B &AMQ-/cur/x", OLD, 10, GONE, "a folder in a folder"),
    (".DeltaChat/cur/x", 5 * DAY, 10, KEEP, "a folder of old clients"),
    ("deep/er/cur/x", OLD, 10, GONE, "cur at any depth"),
    ("deep/er/x", OLD, 10, KEEP, "no message: not in cur, new, tmp"),
    ("cur/dir/x", OLD, 10, KEEP, "directories in cur are not entered"),
    ("cur/dir/cur/x", OLD, 10, KEEP, "not even for a cur"),
    ("curl/x", OLD, 10, KEEP, "cur is the whole name"),
    ("dovecot.index.log", OLD, 10, KEEP, "Dovecot's files"),
    ("dovecot-uidlist", OLD, BIG, KEEP, "large ones too"),
    ("metadata.json", OLD, 10, KEEP, "the tokens"),
    ("enforceE2EEincoming", OLD, 0, KEEP, "the flag"),
    ("cur/two\nlines", OLD, 10, GONE, "a line feed in the name"),
    ("cur/ space ", OLD, 10, GONE, "spaces"),
    ("cur/-rf", OLD, 10, GONE, "a dash"),
    ("cur/%s\x1b[31m", OLD, 10, GONE, "control bytes"),
    ("cur/bad\udcff\udc80", OLD, 10, GONE, "bytes that are no UTF-8"),
    ("cur/" + "x" * 255, OLD, 10, GONE, "the longest name"),
    ("cur/\u00e9\u2603", OLD, 10, GONE, "UTF-8"),
    ("cur/.hidden", OLD, 10, GONE, "a dot file is a message"),
    ("cur/...", OLD, 10, GONE, "three dots"),
    ("new/bad\udcff\nname", 0, 10, KEEP, "odd names that are new"),
]


def stamp(age, seq, size, end=":2,S"):
    """A name as Dovecot gives it."""
    return f"{NOW - int(age)}.M{seq}P1.host,S={size},W={size}{end}"


# Lists of (path, verdict): the sums of S= are over TARGET or not.
def quota_cases():
    half = TARGET // 2
    q = stamp
    return [
        ("the sum is the target: nothing goes",
         [("cur/" + q(9 * DAY, 1, half), KEEP),
          ("cur/" + q(8 * DAY, 2, half), KEEP)]),
        ("one byte more: the oldest goes",
         [("cur/" + q(9 * DAY, 1, half), GONE),
          ("new/" + q(8 * DAY, 2, half + 1), KEEP)]),
        ("oldest by name, in cur and new",
         [("cur/" + q(4 * DAY, 1, half), GONE),
          ("new/" + q(5 * DAY, 2, half), GONE),
          ("cur/" + q(3 * DAY, 3, half), KEEP),
          ("new/" + q(2 * DAY, 4, half), KEEP)]),
        ("24 hours old may go, a second less may not",
         [("cur/" + q(DAY, 1, TARGET), GONE),
          ("cur/" + q(DAY - 1, 2, TARGET), KEEP),
          ("cur/" + q(5, 3, TARGET), KEEP)]),
        ("what is young counts and stays",
         [("cur/" + q(0, 1, 2 * TARGET), KEEP),
          ("cur/" + q(2 * DAY, 2, 1), GONE),
          ("new/" + q(3 * DAY, 3, 1), GONE)]),
        ("a time in the future is young",
         [("cur/" + q(-5 * DAY, 1, 2 * TARGET), KEEP)]),
        ("at one time the smaller goes first",
         [("cur/" + q(2 * DAY, 1, half + 2), KEEP),
          ("cur/" + q(2 * DAY, 2, half), GONE)]),
        ("and cur before new",
         [("new/" + q(2 * DAY, 1, half + 1), KEEP),
          ("cur/" + q(2 * DAY, 2, half + 1), GONE)]),
        ("and then by name",
         [("cur/" + q(2 * DAY, 2, half + 1), KEEP),
          ("cur/" + q(2 * DAY, 1, half + 1), GONE)]),
        ("the last S= counts",
         [("cur/" + q(2 * DAY, 1, 5, ",S=%d:2,S" % (TARGET + 1)), GONE),
          ("cur/" + q(1.5 * DAY, 2, TARGET * 9, ",S=1:2,"), KEEP)]),
        ("other names neither count nor go",
         [("cur/" + q(3 * DAY, 1, 10), KEEP),
          ("cur/x" + q(3 * DAY, 1, 2 * TARGET), KEEP),
          ("cur/msg,S=%d" % (2 * TARGET), KEEP),
          ("cur/%d.,S=%d" % (NOW - 3 * DAY, 2 * TARGET), KEEP),
          ("cur/%d.x,s=%d" % (NOW - 3 * DAY, 2 * TARGET), KEEP),
          ("cur/%d.x,S=x%d" % (NOW - 3 * DAY, 2 * TARGET), KEEP),
          ("cur/%d.a\nb,S=%d" % (NOW - 3 * DAY, 2 * TARGET), KEEP),
          ("cur/%d.\n,S=%d" % (NOW - 3 * DAY, 2 * TARGET), KEEP)]),
        ("a line feed behind the size does not matter",
         [("cur/%d.x,S=%d\n,S=1" % (NOW - 3 * DAY, 2 * TARGET), GONE)]),
        ("folders and tmp neither count nor go",
         [("cur/" + q(3 * DAY, 1, 10), KEEP),
          (".Sent/cur/" + q(3 * DAY, 2, 2 * TARGET), KEEP),
          ("tmp/" + q(3 * DAY, 3, 2 * TARGET), KEEP)]),
        ("names of odd bytes",
         [("cur/%d.\udcff\x01 x,S=%d" % (NOW - 3 * DAY, 2 * TARGET), GONE),
          ("new/%d.M2,S=%d" % (NOW - 2 * DAY, TARGET), KEEP)]),
        ("of twenty the ten oldest go",
         [("cur/" + q((30 - i) * DAY / 2, i, TARGET // 10),
           GONE if i < 10 else KEEP) for i in range(20)]),
    ]


class Tree:
    def __init__(self, path, outside):
        """outside: where links lead to, a directory that is made too."""
        self.path, self.outside = path, outside
        os.makedirs(path)
        os.makedirs(outside + "/cur")
        self.put_at(outside + "/secret", OLD)
        self.put_at(outside + "/cur/secret", OLD)
        self.gone = set()       # paths that --remove removes
        self.boxes = self.gone_boxes = 0
        self.files = self.gone_files = 0
        self.skipped = []       # without password, not empty
        self.links = []         # said not to be followed
        self.number = 0

    @property
    def summary(self):
        return (f"Removed {self.gone_boxes} out of {self.boxes} mailboxes and "
                f"{self.gone_files} out of {self.files} files in existing "
                "mailboxes in ")

    def put_at(self, path, age, data=b"x" * 10):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            if isinstance(data, int):
                f.truncate(data)
            else:
                f.write(data)
        ns = NOW * 10**9 - round(age * 1000) * 10**6
        os.utime(path, ns=(ns, ns))

    def box(self, what="box", login=3 * DAY, extras=True):
        """A new mailbox; login None for no password file."""
        self.number += 1
        path = f"{self.path}/{what}{self.number:05}@{DOMAIN}"
        os.mkdir(path)
        self.boxes += 1
        if login is not None:
            self.put_at(path + "/password", login)
        if extras:
            self.put_at(path + "/maildirsize", 0)
            for sub in "cur", "new", "tmp":
                os.makedirs(f"{path}/{sub}", exist_ok=True)
        return path

    def everything(self, path):
        """All paths at and below a path."""
        found = {path}
        for at, dirs, files in os.walk(path):
            found.update(os.path.join(at, n) for n in dirs + files)
        return found

    def message(self, box, row):
        path, age, size, verdict, _ = row
        self.put_at(f"{box}/{path}", age, size)
        if verdict == GONE:
            self.gone.add(f"{box}/{path}")

    def is_counted(self, box, at):
        """Is a directory cur, new or tmp, and not inside of one?"""
        parts = at[len(box) + 1:].split("/")
        return parts[-1] in SUBS and not SUBS & set(parts[:-1])

    def settle(self, box, verdicts):
        """Count the files of a mailbox with a login."""
        for at, _, files in os.walk(box):
            if self.is_counted(box, at):
                self.files += sum(stat.S_ISREG(os.lstat(
                    os.path.join(at, n)).st_mode) for n in files)
        if any(v != KEEP for v in verdicts):
            self.gone.add(box + "/maildirsize")
            self.gone_files += 1 + sum(v == GONE for v in verdicts)

    def messages(self, rows, **how):
        box = self.box(**how)
        for row in rows:
            self.message(box, row)
        self.settle(box, [row[3] for row in rows])
        return box

    def quota(self, rows):
        box = self.box("quota")
        for i, (path, verdict) in enumerate(rows):
            # the age of the file itself says nothing here
            self.put_at(f"{box}/{path}", i % 5 * DAY)
            if verdict == GONE:
                self.gone.add(f"{box}/{path}")
        self.settle(box, [verdict for _, verdict in rows])

    def remove_box(self, box):
        self.gone |= self.everything(box)
        self.gone_boxes += 1

    def keep_unknown(self, box):
        """No password file, not empty: only said."""
        self.skipped.append(box)

    # special cases, each a mailbox; upstream's verdict differs from those of
    # ours_

    def case_login_boundary(self):
        self.messages(MESSAGES[:6], what="at90", login=LOGIN * DAY)

    def case_unused(self):
        box = self.box("unused", LOGIN * DAY + MS)
        for row in MESSAGES:
            self.put_at(f"{box}/{row[0]}", row[1], row[2] % 1000)
        os.symlink(self.outside, box + "/link")
        os.symlink(self.outside + "/secret", box + "/cur/link")
        os.symlink("/nowhere", box + "/.Sent/dangling")
        os.mkfifo(box + "/fifo")
        os.chmod(box + "/cur", 0o555)
        self.remove_box(box)

    def case_unused_and_new_mail(self):
        box = self.box("unusedmail", 1000 * DAY)
        self.put_at(box + "/new/x", 0)
        self.remove_box(box)

    def case_login_zero(self):
        self.messages(MESSAGES[:6], what="zero", login=NOW)

    def case_login_before_1970(self):
        self.remove_box(self.box("neg", NOW + 1))

    def case_login_future(self):
        self.messages(MESSAGES[:6], what="future", login=-3000 * DAY)

    def case_empty(self):
        self.remove_box(self.box("empty", None, extras=False))

    def case_no_password(self):
        box = self.box("nopass", None, extras=False)
        self.put_at(box + "/cur/x", 900 * DAY)
        self.keep_unknown(box)

    def case_no_password_no_file(self):
        box = self.box("nofile", None, extras=False)
        os.mkdir(box + "/cur")
        self.keep_unknown(box)

    def case_password_directory(self):
        box = self.box("passdir", None)
        os.mkdir(box + "/password")
        self.keep_unknown(box)

    def ours_password_link(self):
        box = self.box("passlink", None)
        self.put_at(self.outside + "/old", 900 * DAY)
        os.symlink(self.outside + "/old", box + "/password")
        self.keep_unknown(box)
        # upstream follows it

    def ours_password_in_folder(self):
        box = self.box("passfolder", None)
        self.put_at(box + "/.Sent/password", 900 * DAY)
        self.keep_unknown(box)
        # upstream takes any password file

    def case_no_mail(self):
        self.settle(self.box("nomail", DAY, extras=False), [])

    def case_gz(self):
        box = self.box("gz")
        data = gzip.compress(b"y" * 900000)
        self.put_at(f"{box}/cur/{stamp(8 * DAY, 1, 900000)}Z", 8 * DAY, data)
        self.settle(box, [KEEP])        # what it takes on disk counts

    def case_not_regular(self):
        box = self.box("odd")
        os.mkfifo(box + "/cur/fifo")
        s = socket.socket(socket.AF_UNIX)
        os.chdir(box + "/cur")          # a socket's path is short
        s.bind("socket")
        s.close()
        os.chdir("/")
        os.makedirs(box + "/cur/directory")
        for name in "fifo", "socket", "directory":
            os.utime(f"{box}/cur/{name}", (0, 0))
        self.settle(box, [KEEP])

    def case_unreadable_message(self):
        box = self.box("mode0")
        self.put_at(box + "/cur/x", OLD)
        os.chmod(box + "/cur/x", 0)
        self.gone.add(box + "/cur/x")
        self.settle(box, [GONE])

    def case_dangling(self):
        box = self.box("dangling")
        os.symlink("/nowhere/at/all", box + "/cur/" + stamp(9 * DAY, 1, 1))
        os.symlink("nothing", box + "/subscriptions")
        self.links += [box + "/cur/" + stamp(9 * DAY, 1, 1),
                       box + "/subscriptions"]
        self.settle(box, [KEEP])

    def ours_message_is_link(self):
        box = self.box("msglink")
        os.symlink(self.outside + "/secret", box + "/cur/link")
        os.symlink("/etc/passwd", box + "/new/passwd")
        self.links += [box + "/cur/link", box + "/new/passwd"]
        self.settle(box, [KEEP])
        # upstream removes the link

    def ours_quota_link(self):
        box = self.box("quotalink")
        name = stamp(9 * DAY, 1, 2 * TARGET)
        os.symlink(self.outside + "/secret", f"{box}/cur/{name}")
        self.links.append(f"{box}/cur/{name}")
        self.settle(box, [KEEP])

    def ours_cur_is_link(self):
        box = self.box("curlink")
        os.rmdir(box + "/cur")
        os.symlink(self.outside + "/cur", box + "/cur")
        self.links.append(box + "/cur")
        self.settle(box, [KEEP])
        # upstream removes what is there

    def ours_folder_is_link(self):
        box = self.box("folderlink")
        os.symlink(self.outside, box + "/.Sent")
        os.symlink(box, box + "/.Loop")
        self.links += [box + "/.Sent", box + "/.Loop"]
        self.settle(box, [KEEP])

    CASES = sorted(n for n in locals() if n.startswith("case_"))
    OURS = sorted(n for n in locals() if n.startswith("ours_"))

    def no_mailboxes(self):
        """What is in mailboxes_dir beside mailboxes."""
        self.put_at(self.path + "/pending_notifications/cur/x", 900 * DAY)
        self.put_at(self.path + "/pending_notifications/password", 900 * DAY)
        os.mkdir(self.path + "/empty")
        self.put_at(self.path + "/file", 900 * DAY)

    def ours_no_mailboxes(self):
        # upstream ends at the first and follows the second
        self.put_at(f"{self.path}/file@{DOMAIN}", 900 * DAY)
        link = f"{self.path}/link@{DOMAIN}"
        os.symlink(self.outside, link)
        self.links.append(link)

    def fill(self, count, seed=1, ours=True):
        """count mailboxes: each special case, each row in many mixtures; with
        ours also what upstream treats in another way."""
        choose = random.Random(seed)
        self.no_mailboxes()
        for name in self.CASES + (self.OURS if ours else []):
            getattr(self, name)()
        for _, rows in quota_cases():
            self.quota(rows)
        for row in MESSAGES:
            self.messages([row], what="one")
        for i in range(self.number, count):
            rows = choose.sample(MESSAGES, choose.randint(0, 12))
            self.messages(rows, what=choose.choice(["box", "ci-", ".", "-"]),
                          login=choose.choice([0, 1, 45, 89]) * DAY)
