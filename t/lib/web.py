"""HTTP and TLS as clients of a relay's pages speak them, and stand-ins for what
is behind the pages.

    web = Web(port, "chat.example")
    answer = web.get("/", accept_language="de")
    answer.status, answer.header("Content-Type"), answer.text()
"""
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading

TIMEOUT = 30
http.client._MAXHEADERS = 10000     # of what a Backend takes, too


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()

    def header(self, name):
        """Its value, None when it is not there; several are joined."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(values) if values else None

    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tls(port, name, alpn=(), context=None, source="127.0.0.1", proxy=None):
    """A TLS connection to that port, from that source address. proxy is sent
    first, in the clear."""
    context = context or insecure()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    s = socket.create_connection(("127.0.0.1", port), TIMEOUT,
                                 source_address=(source, 0))
    if proxy:
        s.sendall(proxy)
    try:
        return context.wrap_socket(s, server_hostname=name)
    except BaseException:
        s.close()
        raise


class Web:
    def __init__(self, port, name, context=None, proxy_port=None):
        """proxy_port: of the server that takes a PROXY line, for clients who
        are not on this machine."""
        self.port = port
        self.name = name
        self.context = context
        self.proxy_port = proxy_port

    def connect(self, host, source, client):
        if client is None:
            return tls(self.port, host, (), self.context, source)
        family = "TCP6" if ":" in client else "TCP4"
        line = "PROXY %s %s %s 50000 443\r\n" % (
            family, client, "::1" if family == "TCP6" else "127.0.0.1")
        return tls(self.proxy_port, host, (), self.context, source,
                   line.encode())

    def request(self, method, path, body=None, host=None, source="127.0.0.1",
                client=None, fields=(), **headers):
        """headers: accept_language="de"; fields: more as (name, value)."""
        host = host or self.name
        c = http.client.HTTPConnection(host, timeout=TIMEOUT)
        c.sock = self.connect(host, source, client)
        try:
            c.putrequest(method, path, skip_accept_encoding=True)
            if body is not None:
                c.putheader("Content-Length", str(len(body)))
            elif method == "POST":
                c.putheader("Content-Length", "0")
            for name, value in [(k.replace("_", "-"), v)
                                for k, v in headers.items()] + list(fields):
                c.putheader(name, value)
            c.endheaders()
            if body:
                try:
                    c.send(body)
                except (ConnectionError, ssl.SSLError):
                    pass            # refused before all was sent
            return Answer(c.getresponse())
        finally:
            c.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)


def plain(port, text):
    """The answer to text sent without TLS."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as s:
        s.sendall(text.encode())
        answer = http.client.HTTPResponse(s)
        answer.begin()
        return Answer(answer)


class Authority:
    """Signs a certificate, as those do that browsers trust."""

    def __init__(self, folder, *names):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, cwd=folder,
                           stderr=subprocess.DEVNULL)

        os.makedirs(folder, exist_ok=True)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes"]
        openssl("req", "-x509", *key, "-subj", "/CN=Test CA", "-keyout",
                "ca.key", "-out", "ca.pem", "-days", "30")
        openssl("req", *key, "-subj", "/CN=x", "-keyout", "key.pem", "-out",
                "request.pem")
        with open(folder + "/extensions", "w") as f:
            f.write("basicConstraints=critical,CA:FALSE\n"
                    "extendedKeyUsage=serverAuth\nsubjectAltName=" +
                    ",".join("DNS:" + name for name in names) + "\n")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem",
                "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "extensions", "-out", "leaf.pem")
        with open(folder + "/leaf.pem") as f:
            self.leaf = f.read()
        with open(folder + "/ca.pem") as f:
            self.chain = self.leaf + f.read()
        with open(folder + "/chain.pem", "w") as f:
            f.write(self.chain)
        self.files = folder + "/chain.pem " + folder + "/key.pem"
        self.context = ssl.create_default_context(cafile=folder + "/ca.pem")


class Backend(http.server.ThreadingHTTPServer):
    """Stands where filtermail or an iroh relay would: remembers what it was
    asked, and answers with its name."""
    daemon_threads = True

    def __init__(self, port, name):
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name
        self.got = []       # (method, path, headers, body)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.got.append((self.command, self.path, self.headers, body))
        if self.headers.get("Connection", "").lower() == "upgrade":
            self.upgrade()
            return
        answer = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def upgrade(self):
        """Everything comes back from now on."""
        self.send_response(101)
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.send_header("Connection", "upgrade")
        self.end_headers()
        self.close_connection = True
        while True:
            data = self.connection.recv(4096)
            if not data:
                return
            self.connection.sendall(data)

    def log_message(self, *args):
        pass
