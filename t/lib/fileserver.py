"""A web server with files, that does not always behave.

    s = FileServer()
    s.files["/program"] = b"..."
    s.rules["/program"] = [{"cut": 1000}, {}]
    s.url("/program")
    s.stop()
"""
import gzip
import hashlib
import http.server
import io
import socket
import ssl
import tarfile
import threading


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def archive(data, name="./program"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for n, d in ("./README", b"not this"), (name, data):
            info = tarfile.TarInfo(n)
            info.size, info.mode = len(d), 0o644
            t.addfile(info, io.BytesIO(d))
    return gzip.compress(out.getvalue(), 1)


class FileServer:
    """Serves .files[path] as .rules[path] says, a list with an entry for each
    request, the last one for all that follow; without any, as it should be:

    status      instead of the file
    location    a redirect
    cut         bytes after which the connection is closed
    hang        bytes after which nothing more comes
    no_range    Range is not looked at
    no_if_range If-Range is not looked at
    shift       a part begins so much later than was asked for
    bare        neither Content-Length nor ETag
    etag, modified
    data        instead of the file

    .seen: (method, path, Range, If-Range, Host) of each request."""

    def __init__(self, tls=None, address="127.0.0.1"):
        self.files, self.rules, self.seen = {}, {}, []
        self.quit = threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.answer(self)

            def do_CONNECT(self):
                owner.tunnel(self)

            def log_message(self, *args):
                pass

        class Http(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client):
                pass

        self.server = Http((address, 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket,
                                                     server_side=True)
        self.port = self.server.server_address[1]
        self.scheme = "https" if tls else "http"
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(.05,), daemon=True)
        self.thread.start()

    def url(self, path, host="localhost"):
        return "%s://%s:%d%s" % (self.scheme, host, self.port, path)

    def stop(self):
        self.quit.set()
        self.server.shutdown()
        self.server.server_close()

    def rule(self, path):
        rules = self.rules.get(path, [{}])
        return rules.pop(0) if len(rules) > 1 else rules[0]

    def answer(self, h):
        # a proxy is asked for whole URLs
        path = h.path
        if path.startswith("http://"):
            path = "/" + path.split("/", 3)[3]
        wanted = h.headers.get("Range")
        self.seen.append((h.command, h.path, wanted,
                          h.headers.get("If-Range"), h.headers.get("Host")))
        h.close_connection = True
        rule = self.rule(path)
        if "location" in rule:
            body = b"it is elsewhere"
            h.send_response(rule.get("status", 302))
            h.send_header("Location", rule["location"])
            h.send_header("ETag", '"of the redirect"')
            h.send_header("Content-Length", str(len(body)))
            h.end_headers()
            return h.wfile.write(body)
        if "status" in rule or path not in self.files and "data" not in rule:
            h.send_response(rule.get("status", 404))
            h.send_header("Content-Length", "5")
            h.end_headers()
            return h.wfile.write(b"no!!\n")
        self.send(h, rule, rule.get("data", self.files.get(path)), wanted)

    def send(self, h, rule, data, wanted):
        etag = rule.get("etag", '"%s"' % sha256(data)[:16])
        begin, size = 0, len(data)
        same = h.headers.get("If-Range") in (None, etag, rule.get("modified"))
        if wanted and "no_range" not in rule and \
                (same or "no_if_range" in rule):
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            begin += rule.get("shift", 0)
            if begin >= size:
                h.send_response(416)
                h.send_header("Content-Range", "bytes */%d" % size)
                h.send_header("Content-Length", "0")
                return h.end_headers()
            h.send_response(206)
            h.send_header("Content-Range", "bytes %d-%d/%d" % (
                begin, size - 1, size))
        else:
            h.send_response(200)
        if "bare" not in rule:
            h.send_header("Content-Length", str(size - begin))
            if etag:
                h.send_header("ETag", etag)
            if "modified" in rule:
                h.send_header("Last-Modified", rule["modified"])
        h.end_headers()
        end = min(size, begin + rule.get("cut", rule.get("hang", size)))
        h.wfile.write(data[begin:end])
        h.wfile.flush()
        if "hang" in rule:
            self.quit.wait(60)

    def tunnel(self, h):
        """A proxy for HTTPS."""
        self.seen.append((h.command, h.path, None, None,
                          h.headers.get("Host")))
        name, port = h.path.rsplit(":", 1)
        with socket.create_connection(("127.0.0.1", int(port))) as s:
            h.send_response(200)
            h.end_headers()
            back = threading.Thread(target=pump, args=(s, h.connection),
                                    daemon=True)
            back.start()
            pump(h.connection, s)
            back.join(30)
        h.close_connection = True


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
