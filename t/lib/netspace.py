"""A network of a test's own: the ports below 1024 are free, and names are what
the test says.

    netspace.enter({"chat.test": "127.0.0.1"}) or skip
    netspace.forward(443, relay.ports["https"])
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

INSIDE = "CHATMAIL_TEST_NETSPACE"


def enter(hosts):
    """Go on in a network and mount namespace with loopback alone: the program
    is started again in it. Returns None there, or why there can be none."""
    if os.environ.get(INSIDE) != str(os.getppid()):
        reason = skip_reason()
        if reason:
            return reason
        os.environ[INSIDE] = str(os.getpid())
        done = subprocess.run(["unshare", "--net", "--mount",
                               sys.executable, *sys.argv])
        sys.exit(done.returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bind("/etc/hosts", "".join("%s %s\n" % (address, name)
                               for name, address in hosts.items()))
    bind("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    return None


def skip_reason():
    if os.geteuid() != 0:
        return "not root"
    for program in "unshare", "ip", "mount":
        if not shutil.which(program, path=os.environ.get("PATH", "") +
                            ":/usr/sbin:/sbin"):
            return program + " is not installed"
    done = subprocess.run(["unshare", "--net", "--mount", "true"],
                          capture_output=True, text=True)
    return done.stderr.strip() or None if done.returncode else None


def bind(path, text):
    """The file is another one in this namespace."""
    with tempfile.NamedTemporaryFile("w", prefix="chatmail-") as f:
        f.write(text)
        f.flush()
        os.chmod(f.name, 0o644)
        subprocess.run(["mount", "--bind", f.name, path], check=True)


targets = {}


def forward(port, to):
    """What connects to one port of loopback gets to the other one, until that
    is changed."""
    is_new = port not in targets
    targets[port] = to
    if is_new:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=serve, args=(listener, port),
                         daemon=True).start()


def serve(listener, port):
    while True:
        client = listener.accept()[0]
        try:
            server = socket.create_connection(("127.0.0.1", targets[port]))
        except OSError:
            client.close()
            continue
        for pair in (client, server), (server, client):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for s in source, sink:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
