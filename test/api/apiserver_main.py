"""The server process: frontends, TLS, counters, the control socket, the command line."""
import argparse
import asyncio
import asyncio.sslproto
import collections
import faulthandler
import gc
import json
import os
import signal
import socket
import ssl
import sys
import time

from apiserver_auth import Auth
from apiserver_control import Control, ControlConn
from apiserver_discovery import Crds
from apiserver_fault import Faults
from apiserver_http import ApiConn
from apiserver_kinds import Resource, table
from apiserver_rest import Rest
from apiserver_store import Store, now_text, new_uid
from pki import Pki

LOG_SIZE = 20000
TLS_BUFFER = 32 * 1024    # asyncio's own is 256 KiB for each connection
NO_CHECK_TIME = 0x200000  # X509_V_FLAG: an expired client certificate is a 401, not an alert


class Options:
    """What can be set from outside, some of it while the server runs."""

    def __init__(self, args):
        self.minor = int(args.version.split(".")[1])
        self.watch_list = args.watch_list
        self.watch_cache = True
        self.namespace_controller = True
        self.bookmark = args.bookmark
        self.crds = Crds(Resource)
        self.auth_token = None


class Counts:
    def __init__(self):
        self.total_connections = 0
        self.reset()

    def reset(self):
        self.requests, self.bytes, self.peak = 0, 0, 0
        self.verb, self.user, self.agent = {}, {}, {}
        self.key, self.code, self.verb_bytes = {}, {}, {}
        self.seconds = collections.OrderedDict()

    def connection(self):
        self.total_connections += 1

    def sent(self, size, watcher):
        self.bytes += size
        if watcher:
            what = "watch " + watcher.table.res.name
            self.verb_bytes[what] = self.verb_bytes.get(what, 0) + size

    def watches(self, now):
        self.peak = max(self.peak, now)

    def add(self, req, code, size):
        what = f"{req.verb} {req.res.name}{'/' + req.sub if req.sub else ''}" if req.res else \
            f"{req.verb} {req.path}"
        self.requests += 1
        for counter, key in ((self.verb, what), (self.user, req.user), (self.agent, req.agent),
                             (self.key, f"{what} {req.user} {req.agent}"), (self.code, str(code)),
                             (self.seconds, int(time.time()))):
            counter[key] = counter.get(key, 0) + 1
        self.verb_bytes[what] = self.verb_bytes.get(what, 0) + size
        while len(self.seconds) > 3600:
            self.seconds.popitem(last=False)


class Front:
    """One address. mode ok, refuse (closed: connections are reset) or hang (the kernel accepts,
    nobody answers)."""

    def __init__(self, index, host, port):
        self.index, self.host, self.port = index, host, port
        self.mode, self.sock, self.server = "refuse", None, None

    def bind(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((self.host, self.port))
        sock.listen(4096)
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        return sock

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


class Server:
    def __init__(self, args, loop):
        self.args, self.loop, self.options = args, loop, Options(args)
        self.pki = Pki(os.path.join(args.dir, "pki"))
        self.store = Store(table(args.calico_v1, args.calico_v3, args.status_crd,
                                 self.options.minor), args.history)
        self.auth = Auth(self.store, rbac=args.rbac)
        self.options.auth_token = self.add_token
        self.rest = Rest(self.store, self.options)
        self.faults, self.counts = Faults(), Counts()
        self.log = collections.deque(maxlen=LOG_SIZE)
        self.conns, self.watches, self.tasks, self.fronts = set(), set(), set(), []
        self._date, self._date_at, self._bookmarks = "", 0, None
        self.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        self.ssl.verify_mode = ssl.CERT_OPTIONAL
        self.ssl.verify_flags |= NO_CHECK_TIME
        self.ssl.load_verify_locations(self.pki.ca)
        self.ssl.load_verify_locations(self.pki.other_ca)
        self.ssl.set_alpn_protocols(["http/1.1"])
        self.seed()

    # ---- for connections ----

    def date(self):
        now = int(time.time())
        if now != self._date_at:
            self._date_at = now
            self._date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
        return self._date

    def record(self, req, code, size):
        self.counts.add(req, code, size)
        self.log.append((time.time(), req.method, req.target, req.verb,
                         req.res.name if req.res else "", code, req.user, req.agent, size,
                         (time.monotonic() - req.start) * 1000, req.fault))

    def task_done(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.loop.call_exception_handler({"message": "fault task",
                                              "exception": task.exception()})

    def add_token(self, user, groups=None, expires=None, token=None):
        token = token or f"{new_uid()}{new_uid()}".replace("-", "")
        groups = tuple(groups or ())
        if user.startswith("system:serviceaccount:") and not groups:
            groups = ("system:serviceaccounts", "system:serviceaccounts:" + user.split(":")[2])
        self.auth.tokens[token] = [user, groups + ("system:authenticated",), expires]
        return token

    # ---- the start ----

    def seed(self):
        """What a new cluster has."""
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self.direct({"apiVersion": "v1", "kind": "Namespace", "metadata": {
                "name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
        self.direct({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                     "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                     "ipFamilyPolicy": "SingleStack", "ports": [
                         {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
                     "sessionAffinity": "None", "type": "ClusterIP"},
            "status": {"loadBalancer": {}}})
        for res in self.store.order:
            if not res.typed:
                self.direct(Crds.definition(res))
        for kind in ("", "Binding"):
            self.direct({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole" + kind,
                         "metadata": {"name": "cluster-admin"},
                         **({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                                       {"nonResourceURLs": ["*"], "verbs": ["*"]}]} if not kind else
                            {"subjects": [{"kind": "Group", "name": "system:masters",
                                           "apiGroup": "rbac.authorization.k8s.io"}],
                             "roleRef": {"kind": "ClusterRole", "name": "cluster-admin",
                                         "apiGroup": "rbac.authorization.k8s.io"}})})
        self.store.compact()

    def direct(self, value):
        """Into the store as it is, with what metadata every object has."""
        t = self.store.of_kind(value["apiVersion"], value["kind"])
        meta = value.setdefault("metadata", {})
        meta.setdefault("uid", new_uid())
        meta.setdefault("creationTimestamp", now_text())
        if t.res.generation:
            meta.setdefault("generation", 1)
        if t.res.namespaced:
            meta.setdefault("namespace", "default")
        if t.res.group == "rbac.authorization.k8s.io":
            self.store.changed += 1
        o = t.put(value)
        if t.res.name == "customresourcedefinitions" and self.fronts:
            self.options.crds.added(self.store, value)
        return o

    def use_cert(self, which):
        hosts = [f.host for f in self.fronts]
        names = list(dict.fromkeys(
            hosts + self.args.name + ["127.0.0.1", "::1", "localhost", "kubernetes", "10.96.0.1",
                                      "kubernetes.default", "kubernetes.default.svc"]))
        self.ssl.load_cert_chain(*self.pki.server(which, names))

    async def start(self):
        for index, text in enumerate(self.args.listen):
            host, _, port = text.rpartition(":")
            self.fronts.append(Front(index, host.strip("[]"), int(port or 0)))
        self.use_cert(self.args.cert)
        for front in self.fronts:
            await self.set_front(front, "ok")
        control = Control(self)
        path = os.path.join(self.args.dir, "control.sock")
        if os.path.exists(path):
            os.unlink(path)
        await self.loop.create_unix_server(lambda: ControlConn(control), path, backlog=128)
        if self.args.control_port is not None:
            await self.loop.create_server(lambda: ControlConn(control), "127.0.0.1",
                                          self.args.control_port)
        self.restart_bookmarks()
        return path

    def restart_bookmarks(self):
        if self._bookmarks:
            self._bookmarks.cancel()
        self._bookmarks = self.loop.create_task(self.bookmarks())

    async def set_front(self, front, mode):
        if mode not in ("ok", "refuse", "hang"):
            raise ValueError(f"mode {mode!r} is none of ok, refuse, hang")
        mine = [c for c in self.conns if c.front is front]
        if front.server:
            if mode == "hang" and front.mode == "ok":
                front.sock = front.sock.dup()  # stays open, so the kernel goes on accepting
            elif mode == "ok" and front.mode == "ok":
                return
            front.server.close()
            front.server = None
        if mode == "hang":
            for c in mine:
                c.freeze()
            if front.mode == "refuse":
                front.sock = front.bind()
        else:
            for c in mine:
                c.close("reset")
            if front.mode == "hang" and mode == "refuse":
                front.sock.close()
        if mode == "ok":
            if front.mode == "refuse":
                front.sock = front.bind()
            front.server = await self.loop.create_server(
                lambda: ApiConn(self, front), sock=front.sock, ssl=self.ssl, backlog=4096,
                ssl_handshake_timeout=30, ssl_shutdown_timeout=0.5)
        front.mode = mode

    async def bookmarks(self):
        while True:
            await asyncio.sleep(self.options.bookmark)
            for w in list(self.watches):
                if w.bookmarks:
                    w.bookmark()


def parse_args(argv):
    p = argparse.ArgumentParser(prog="apiserver.py")
    p.add_argument("--dir", required=True, help="folder for keys, sockets and the kubeconfig")
    p.add_argument("--listen", action="append", help="host:port, once for each frontend")
    p.add_argument("--name", action="append", default=[], help="one more name for the certificate")
    p.add_argument("--cert", default="good",
                   choices=["good", "rotated", "wrong-host", "other-ca", "expired"])
    p.add_argument("--control-port", type=int, help="control protocol on 127.0.0.1, too")
    p.add_argument("--rbac", action="store_true")
    p.add_argument("--version", default="1.33")
    p.add_argument("--watch-list", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--calico-v1", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--calico-v3", action=argparse.BooleanOptionalAction, default=False)
    p.add_argument("--status-crd", action="append", default=[])
    p.add_argument("--bookmark", type=float, default=60.0, help="seconds between bookmarks")
    p.add_argument("--history", type=int, default=10000, help="events kept for each resource")
    args = p.parse_args(argv)
    args.listen = args.listen or ["127.0.0.1:0"]
    return args


async def serve(args):
    loop = asyncio.get_running_loop()
    server = Server(args, loop)
    control = await server.start()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.add_signal_handler(signal.SIGINT, over.set)

    def stdin_ready():
        if not os.read(0, 4096):
            over.set()
    try:
        loop.add_reader(0, stdin_ready)
    except PermissionError:
        pass  # a plain file or /dev/null: no end to wait for
    from apiserver import write_kubeconfig  # the surface's writer, the same for every user
    cert, key = server.pki.client("admin", ("system:masters",))
    kubeconfig = os.path.join(args.dir, "kubeconfig")
    write_kubeconfig(kubeconfig, [{"name": "admin", "server": server.fronts[0].url,
                                   "ca": server.pki.ca, "cert": cert, "key": key}])
    gc.collect()
    gc.freeze()
    gc.set_threshold(100000, 50, 100)
    print(json.dumps({"url": server.fronts[0].url, "urls": [f.url for f in server.fronts],
                      "ca": server.pki.ca, "kubeconfig": kubeconfig, "control": control,
                      "pid": os.getpid()}), flush=True)
    await over.wait()
    for c in list(server.conns):
        c.close("abort")


def main(argv=None):
    args = parse_args(argv)
    os.makedirs(args.dir, exist_ok=True)
    soft_limit()
    faulthandler.register(signal.SIGUSR1)  # where it is, into the log: for a server that hangs
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER
    try:
        asyncio.run(serve(args))
    except OSError as e:
        sys.exit(f"apiserver: {e}")


def soft_limit():
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
