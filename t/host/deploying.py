"""An operator with a chatmail.ini, who deploys a relay on a test host.

    why = deploying.skip_reason()
    op = Operator(network, host, mail_domain="_relay.test")
    code, out, err = op.deploy("--dry-run")
    run = op.steps()            # with --json: run.code, run.steps, run.end
    before = traces(host)       # what a deployment changes, but for services
"""
import json
import os
import shutil

import hosts

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
STATIC = os.path.join(os.path.dirname(hosts.image.STORE), "static", "chatmail")
PLACES = "/etc", "/usr/local", "/var/www", "/var/lib/chatmail"


def skip_reason():
    """Why nothing can be deployed here, or None."""
    if not os.path.exists(STATIC):
        return "no build/static/chatmail: make static"
    return hosts.skip_reason()


def traces(host, places=PLACES):
    """{path or package: what it is} of a host."""
    found = {}
    for place in places:
        if host.exists(place):
            found.update(host.listing(place))
    code, out, err = host.inside(["dpkg-query", "-W", "-f",
                                  "${Package} ${Version} ${Status}\\n"])
    if code != 0:
        raise hosts.runs.Failed(err)
    found.update(line.split(" ", 1) for line in out.splitlines())
    return found


class Steps:
    """What a run with --json printed: steps that have ended, and the end."""

    def __init__(self, code, out, err):
        self.code, self.err = code, err
        said = [json.loads(line) for line in out.splitlines()]
        self.steps = [s for s in said if s.get("result", "begins") != "begins"]
        self.end = said[-1] if said and "end" in said[-1] else {}

    def told(self, stage=None, result="changed"):
        """{step: lines} of a stage."""
        found = {}
        for s in self.steps:
            if s["result"] == result and stage in (None, s["stage"]):
                text = s.get("changes") or s.get("error") or ""
                found.setdefault(s["step"], []).extend(text.splitlines())
        return found

    def __str__(self):
        return "exit code %s\n%s\n%s\n%s" % (
            self.code, "\n".join(map(str, self.told())),
            self.told(result="failed"), self.err + str(self.end)[:2000])


class Operator:
    def __init__(self, network, host, **settings):
        """The host is named by its address."""
        self.network, self.host = network, host
        self.target = host.address if host else None
        self.settings = {"max_load_1m": 1000, **settings}
        self.dir = network.run_files.path("operator%d" % id(self))
        os.makedirs(self.dir + "/bin/static")
        self.program = self.dir + "/bin/chatmail"
        shutil.copy(CHATMAIL, self.program)
        os.symlink(os.path.realpath(STATIC), self.dir + "/bin/static/chatmail")
        # libssh2 1.10 leaks a list of methods when no key is taken
        with open(self.dir + "/leaks", "w") as f:
            f.write("leak:libssh2\n")
        network.run_files.env["LSAN_OPTIONS"] = "suppressions=%s/leaks:" \
            "print_suppressions=0:fast_unwind_on_malloc=0" % self.dir
        self.ini = self.dir + "/chatmail.ini"
        self.write()

    def write(self, **settings):
        """These settings, and all that were given before; None takes one
        away."""
        self.settings.update(settings)
        with open(self.ini, "w") as f:
            f.write("[params]\n" + "".join(
                "%s = %s\n" % item for item in self.settings.items()
                if item[1] is not None))

    def chatmail(self, *args, **more):
        """(exit code, stdout, stderr) of the program where chatmail.ini is."""
        return self.network.run([self.program, *args], cwd=self.dir, **more)

    def deploy(self, *args, **more):
        target = ["--ssh-host", self.target] if self.target else []
        return self.chatmail("deploy", *target, *args, **more)

    def steps(self, *args, **more):
        return Steps(*self.deploy("--json", *args, **more))
