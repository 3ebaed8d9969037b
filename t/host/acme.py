"""pebble, a certificate authority for tests, on the bridge.

    acme.directory      its URL for those who ask the bridge's name server
    acme.ca_file        what signed the certificate of its own HTTPS
    acme.roots_file     what ends the chains of the certificates it has issued;
                        a new root at every start, so the file grows

It validates by HTTP-01 at port 80, asks the network's name server, and refuses
a twentieth of all nonces, as it does by itself.
"""
import json
import os
import ssl
import time
import urllib.request

from runs import Failed, command

PORT, MANAGEMENT_PORT = 14000, 15000


def _key_and_certificate(path, name, *more):
    """path.pem and path.key, for P-256."""
    command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj",
            "/CN=" + name, "-keyout", path + ".key", "-out", path + ".pem",
            *more)


class Acme:
    def __init__(self, run, bridge, **env):
        """env: pebble's variables, as PEBBLE_WFE_NONCEREJECT="50"."""
        self.run, self.address = run, bridge.address
        self.env = {"PEBBLE_VA_NOSLEEP": "1", **env}
        self.directory = "https://acme.test:%d/dir" % PORT
        self.ca_file = self.run.path("acme", "ca.pem")
        self.roots_file = self.run.path("acme", "roots.pem")
        self.process = None

    def _configure(self):
        os.mkdir(self.run.path("acme"))
        ca, own = self.run.path("acme", "ca"), self.run.path("acme", "own")
        _key_and_certificate(ca, "test network " + self.run.id)
        _key_and_certificate(
            own, "acme.test", "-CA", ca + ".pem", "-CAkey", ca + ".key",
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
            "subjectAltName=DNS:acme.test,IP:" + self.address)
        config = {"listenAddress": "%s:%d" % (self.address, PORT),
                  "managementListenAddress": "%s:%d" % (self.address,
                                                        MANAGEMENT_PORT),
                  "certificate": own + ".pem", "privateKey": own + ".key",
                  "httpPort": 80, "tlsPort": 443}
        with open(self.run.path("acme", "pebble.json"), "w") as f:
            json.dump({"pebble": config}, f)

    def start(self, timeout=20):
        if not os.path.isdir(self.run.path("acme")):
            self._configure()
        self.process = self.run.start(
            ["pebble", "-config", self.run.path("acme", "pebble.json"),
             "-dnsserver", self.address + ":53"], "acme/log", **self.env)
        end = time.monotonic() + timeout
        while True:
            try:
                root = self.get("/roots/0", MANAGEMENT_PORT)
                break
            except OSError as e:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed("pebble: %s\n%s" % (e, self.log()[-2000:]))
                time.sleep(.05)
        with open(self.roots_file, "ab") as f:
            f.write(root)

    def stop(self):
        """Nobody gets a certificate any more, until start()."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def get(self, path, port=PORT):
        """What a URL of it has, as bytes; its certificate is verified."""
        context = ssl.create_default_context(cafile=self.ca_file)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context))
        url = "https://%s:%d%s" % (self.address, port, path)
        with opener.open(url, timeout=10) as answer:
            return answer.read()

    def log(self):
        with open(self.run.path("acme", "log"), errors="replace") as f:
            return f.read()
