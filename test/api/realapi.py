#!/usr/bin/python3
"""A real kube-apiserver with its etcd, held by the same surface as the suite's own server.

    from realapi import RealApiServer
    with RealApiServer(folder) as api:      # KUBE_APISERVER=/path/to/binary [ETCD=/path/to/binary]
        api.create({...}); api.kubeconfig(folder + "/kc", user="selvage:node:n1", groups=[...])

RealApiServer(folder, listen=["127.0.0.1:0"], prefix=[], names=[], rbac=False, crds=[file, ...])
    listen   one kube-apiserver process for each address, all on one etcd
    prefix   argv prefix of every process: ["ip", "netns", "exec", NAME]
    names    more names and addresses of the server's certificate
    rbac     False: every authenticated user may do everything, as in the suite's own server
    crds     CustomResourceDefinition files that are made at the start; default etc/kubernetes/crds.yaml
It has TLS, client certificates, tokens (a token webhook: token(), revoke(), expire() work), RBAC and
signed service-account tokens. There are no controllers: a deleted Namespace is finalized by delete(),
no ServiceAccount is made for a namespace, and Pods need none.
What has no counterpart in a real server (fault(), vanish(), counts(), ...) is not here: a case that needs
it is marked @in_tree (test/net/nettest.py), and named instead of run where KUBE_APISERVER is set.

    kubectl(*argv)   kubectl beside the binary (or KUBECTL=...), as admin; its output, or RuntimeError
    install(*names)  kubectl apply of files of etc/kubernetes, until the definitions are served
    chosen()         of the module: RealApiServer where KUBE_APISERVER is set, else ApiServer

The command: realapi.py --dir D [--listen A]... prints one JSON line {"url", "urls", "ca",
"kubeconfig", "pid"} when it serves; it ends on SIGTERM or when its standard input closes.
"""
import argparse
import atexit
import ctypes
import http.client
import json
import os
import select
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apiserver import ApiBase, ApiServer  # noqa: E402
from pki import Pki  # noqa: E402

MANIFESTS = os.path.join(HERE, "..", "..", "etc", "kubernetes")
CRDS = os.path.join(MANIFESTS, "crds.yaml")
NEEDS = ("needs a real API server: set KUBE_APISERVER=/path/to/kube-apiserver (and "
         "ETCD=/path/to/etcd, where it is neither beside that nor in PATH)")
START_SECONDS = 90
ADMIN = "admin"


class NoServer(Exception):
    """There is no binary to run."""


def binaries():
    """(kube-apiserver, etcd), or NoServer with one line that says what is missing."""
    api = os.environ.get("KUBE_APISERVER")
    if not api:
        raise NoServer(NEEDS)
    beside = os.path.join(os.path.dirname(os.path.abspath(api)), "etcd")
    etcd = os.environ.get("ETCD") or (beside if os.access(beside, os.X_OK) else None) or \
        shutil.which("etcd")
    for what, path in (("KUBE_APISERVER", api), ("ETCD", etcd)):
        if not path or not os.access(path, os.X_OK):
            raise NoServer(f"{what}={path or ''} is no program that can be run; {NEEDS}")
    return os.path.abspath(api), os.path.abspath(etcd)


def chosen():
    """The class of server that a suite runs against."""
    return RealApiServer if os.environ.get("KUBE_APISERVER") else ApiServer


def address(text):
    """("10.0.0.1", port) of "10.0.0.1:0" or "[::1]:0"."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def url_of(host, port):
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


# ---- what runs beside the server, in its network namespace ----


def _pump(left, right):
    """Bytes both ways until both sides are done."""
    other = {left: right, right: left}
    open_ = {left, right}
    while open_:
        for s in select.select(list(open_), [], [])[0]:
            try:
                data = s.recv(65536)
            except OSError:
                data = b""
            if data:
                try:
                    other[s].sendall(data)
                    continue
                except OSError:
                    pass
            open_.discard(s)
            try:
                other[s].shutdown(socket.SHUT_WR)
            except OSError:
                open_.clear()
    left.close()
    right.close()


def relay(unix, host, port):
    """Serves a Unix socket by connections to host:port, so that the test's own requests need no route."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unix)
    listener.listen(64)
    while True:
        client = listener.accept()[0]
        try:
            server = socket.create_connection((host, port), 10)
            server.settimeout(None)
        except OSError:
            client.close()
            continue
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()


class TokenReview(socketserver.StreamRequestHandler):
    """kube-apiserver's question "whose token is this?", answered from a file."""

    def handle(self):
        while True:
            line, length = self.rfile.readline(), 0
            if not line:
                return
            while (header := self.rfile.readline().strip()):
                key, _, value = header.partition(b":")
                if key.lower() == b"content-length":
                    length = int(value)
            review = json.loads(self.rfile.read(length) or b"{}")
            token = review.get("spec", {}).get("token", "")
            with open(self.server.tokens, encoding="utf-8") as f:
                known = json.load(f).get(token)
            ok = known is not None and (not known["expires"] or known["expires"] > time.time())
            body = json.dumps({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "status": {"authenticated": ok,
                           **({"user": {"username": known["user"], "groups": known["groups"]}}
                              if ok else {})}}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)


class Webhook(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


def helper(argv):
    """realapi.py --helper FOLDER PORT [HOST:PORT SOCKET]...: token webhook and relays, one process."""
    folder, port, pairs = argv[0], int(argv[1]), argv[2:]
    hook = Webhook(("127.0.0.1", port), TokenReview)
    hook.tokens = os.path.join(folder, "tokens.json")
    for target, unix in zip(pairs[::2], pairs[1::2]):
        threading.Thread(target=relay, args=(unix, *address(target)), daemon=True).start()
    hook.serve_forever()


# ---- the server ----

FREE_PORTS = """import socket,sys
s=[]
for a in sys.argv[1:]:
    k=socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET);k.bind((a,0));s.append(k)
print(*[k.getsockname()[1] for k in s])"""


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _UnixHTTPS(http.client.HTTPConnection):
    def __init__(self, unix, context, name):
        super().__init__("kubernetes", timeout=60)
        self.unix, self.context, self.name = unix, context, name

    def connect(self):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(60)
        raw.connect(self.unix)
        self.sock = self.context.wrap_socket(raw, server_hostname=self.name)


class RealApiServer(ApiBase):
    """See the module's text."""

    def __init__(self, folder, listen=("127.0.0.1:0",), prefix=(), names=(), rbac=False,
                 crds=(CRDS,), flags=()):
        self.apiserver, self.etcd = binaries()
        self.folder, self.prefix, self.procs = os.path.abspath(folder), list(prefix), []
        os.makedirs(self.folder, exist_ok=True)
        # A Unix socket's path is short; the folder's may not be.
        self.run = tempfile.mkdtemp(prefix="realapi-", dir="/tmp")
        self.pki = Pki(os.path.join(self.folder, "pki"))
        self.ca = self.pki.ca
        self._tokens, self._lock = {}, threading.Lock()
        self._connections = threading.local()
        self._admin_kubeconfig = None
        atexit.register(self.close)
        try:
            self._start([address(a) for a in listen], names, rbac, list(flags))
            for path in crds:
                self._make_crds(path)
        except BaseException:
            self.close()
            raise

    # -- processes --

    def _spawn(self, name, argv):
        path = os.path.join(self.folder, name + ".log")
        with open(path, "ab") as log:
            p = subprocess.Popen(self.prefix + argv, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, start_new_session=True, preexec_fn=_die_with_parent)
        p.name, p.log_path = name, path
        self.procs.append(p)

    def _free_ports(self, hosts):
        out = subprocess.run(self.prefix + [sys.executable, "-c", FREE_PORTS, *hosts],
                             capture_output=True, text=True, check=True).stdout
        return [int(p) for p in out.split()]

    def _start(self, listen, names, rbac, flags):
        etcd_port, etcd_peer, hook, *ports = self._free_ports(
            ["127.0.0.1"] * 3 + [host for host, _ in listen])
        self.listen = [(host, port or free) for (host, port), free in zip(listen, ports)]
        self.urls = [url_of(*a) for a in self.listen]
        self.url = self.urls[0]
        self.sockets = [os.path.join(self.run, f"api{i}") for i in range(len(self.listen))]
        self._save_tokens()
        self._spawn("etcd", [
            self.etcd, "--data-dir", os.path.join(self.folder, "etcd"),
            "--listen-client-urls", f"http://127.0.0.1:{etcd_port}",
            "--advertise-client-urls", f"http://127.0.0.1:{etcd_port}",
            "--listen-peer-urls", f"http://127.0.0.1:{etcd_peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{etcd_peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{etcd_peer}"])
        pairs = [x for a, s in zip(self.listen, self.sockets) for x in (url_of(*a)[8:], s)]
        self._spawn("helper", [sys.executable, os.path.abspath(__file__), "--helper", self.folder,
                               str(hook), *pairs])
        crt, key = self.pki.server("good", [
            "localhost", "127.0.0.1", "::1", "10.96.0.1", "kubernetes", "kubernetes.default",
            "kubernetes.default.svc", *[h for h, _ in self.listen], *names])
        self.admin_cert = self.pki.client(ADMIN, ["system:masters"])
        sa = self._service_account_key()
        config = os.path.join(self.folder, "webhook.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("apiVersion: v1\nkind: Config\nclusters: [{name: h, cluster: {server: "
                    f"'http://127.0.0.1:{hook}/'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
                    "contexts: [{name: c, context: {cluster: h, user: u}}]\ncurrent-context: c\n")
        for i, (host, port) in enumerate(self.listen):
            self._spawn(f"kube-apiserver{i or ''}", [
                self.apiserver, f"--etcd-servers=http://127.0.0.1:{etcd_port}",
                f"--bind-address={host}", f"--secure-port={port}", f"--advertise-address={host}"
                if host not in ("127.0.0.1", "::1") else "--advertise-address=192.0.2.1",
                f"--tls-cert-file={crt}", f"--tls-private-key-file={key}",
                f"--client-ca-file={self.ca}", "--authorization-mode=Node,RBAC",
                "--authentication-token-webhook-version=v1",
                f"--authentication-token-webhook-config-file={config}",
                "--authentication-token-webhook-cache-ttl=500ms",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={sa}.pub", f"--service-account-signing-key-file={sa}",
                "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
                "--disable-admission-plugins=ServiceAccount", "--allow-privileged=true",
                f"--cert-dir={self.folder}", *flags])
        self._wait_ready()
        if not rbac:
            self.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                        "metadata": {"name": "test-everyone"},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                                    "name": "cluster-admin"},
                        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
                                      "name": "system:authenticated"}]})

    def _service_account_key(self):
        key = self.pki.path("service-account.key")
        for argv in (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                      key], ["pkey", "-in", key, "-pubout", "-out", key + ".pub"]):
            subprocess.run(["openssl", *argv], check=True, capture_output=True)
        return key

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        for i in range(len(self.listen)):
            while True:
                for p in self.procs:
                    if p.poll() is not None:
                        raise RuntimeError(f"{p.name} ended with {p.returncode} at its start: "
                                           + self._log_end(p.name))
                try:
                    if self.request("GET", "/readyz", frontend=i)[0] == 200:
                        break
                except (OSError, http.client.HTTPException):
                    pass
                if time.monotonic() > deadline:
                    raise RuntimeError(f"kube-apiserver is not ready after {START_SECONDS} s: "
                                       + self._log_end("kube-apiserver"))
                time.sleep(0.1)
        for namespace in ("default", "kube-system"):
            while not self.get("namespaces", namespace):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"kube-apiserver made no namespace {namespace}")
                time.sleep(0.1)

    def _log_end(self, name):
        path = os.path.join(self.folder, name + ".log")
        with open(path, encoding="utf-8", errors="replace") as f:
            return "\n".join(f.read().splitlines()[-8:]) + f"\n(whole log: {path})"

    def _make_crds(self, path):
        import yaml  # pylint: disable=import-outside-toplevel
        with open(path, encoding="utf-8") as f:
            docs = [d for d in yaml.safe_load_all(f) if d]
        for doc in docs:
            self.apply(doc)
        names = [d["metadata"]["name"] for d in docs]
        self.wait_crds(names)

    def wait_crds(self, names, seconds=30):
        """Until each definition is served, on every frontend."""
        deadline = time.monotonic() + seconds
        for name in names:
            while True:
                crd = self.get("customresourcedefinitions", name)
                if crd and any(c["type"] == "Established" and c["status"] == "True"
                               for c in crd.get("status", {}).get("conditions", [])):
                    path = (f"/apis/{crd['spec']['group']}/{crd['spec']['versions'][0]['name']}/"
                            f"{crd['spec']['names']['plural']}?limit=1")
                    if all(self.request("GET", path, frontend=i)[0] == 200
                           for i in range(len(self.listen))):
                        break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the definition {name} is not served: "
                                       f"{(crd or {}).get('status')}")
                time.sleep(0.05)

    def kubectl(self, *argv):
        beside = os.path.join(os.path.dirname(self.apiserver), "kubectl")
        program = os.environ.get("KUBECTL") or (
            beside if os.access(beside, os.X_OK) else shutil.which("kubectl"))
        if not program:
            raise NoServer("there is no kubectl; set KUBECTL=/path/to/kubectl")
        if not self._admin_kubeconfig:
            self._admin_kubeconfig = self.kubeconfig(
                os.path.join(self.folder, "admin.kubeconfig"), user=ADMIN, groups=["system:masters"])
        p = subprocess.run([*self.prefix, program, "--kubeconfig", self._admin_kubeconfig, *argv],
                           capture_output=True, text=True, timeout=120, check=False,
                           env={**os.environ, "HOME": self.folder})
        if p.returncode:
            raise RuntimeError(f"kubectl {' '.join(argv)}: {p.stderr.strip() or p.stdout.strip()}")
        return p.stdout

    def install(self, *names):
        import yaml  # pylint: disable=import-outside-toplevel
        made = []
        for name in names:
            path = os.path.join(MANIFESTS, name)
            self.kubectl("apply", "-f", path)
            with open(path, encoding="utf-8") as f:
                made += [d["metadata"]["name"] for d in yaml.safe_load_all(f)
                         if d and d["kind"] == "CustomResourceDefinition"]
        self.wait_crds(made)

    def __getattr__(self, name):
        if hasattr(ApiServer, name):
            raise AssertionError(f"{name}() is of the suite's own server: mark the case @in_tree")
        raise AttributeError(name)

    def close(self):
        atexit.unregister(self.close)
        for p in reversed(self.procs):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM if p.name == "etcd" else signal.SIGKILL)
        for p in self.procs:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.procs = []
        shutil.rmtree(self.run, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- users --

    def _save_tokens(self):
        path = os.path.join(self.folder, "tokens.json")
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(self._tokens, f)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)

    def token(self, user, groups=None, expires=None):
        with self._lock:
            token = os.urandom(16).hex()
            self._tokens[token] = {"user": user, "groups": list(groups or ()), "expires": expires}
            self._save_tokens()
        return token

    def revoke(self, token):
        """401 from then on; the server remembers a good answer for up to 10 s."""
        with self._lock:
            self._tokens.pop(token, None)
            self._save_tokens()

    def expire(self, token, seconds):
        with self._lock:
            self._tokens[token]["expires"] = time.time() + seconds
            self._save_tokens()

    def cert(self, user, groups=None):
        return self.pki.client(user, groups or ())

    # -- requests --

    def _connection(self, frontend):
        kept = self._connections.__dict__.setdefault("kept", {})
        c = kept.get(frontend)
        if c is None:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(*self.admin_cert)
            c = kept[frontend] = _UnixHTTPS(self.sockets[frontend], context,
                                            self.listen[frontend][0])
        return c

    def request(self, method, path, body=None, content_type=None, frontend=0):
        """(code, answer); answer is the decoded JSON, or text."""
        data = None if body is None else body if isinstance(body, bytes) else \
            json.dumps(body).encode()
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type or "application/json"
        for again in (False, True):
            c = self._connection(frontend)
            try:
                c.request(method, path, data, headers)
                r = c.getresponse()
                raw = r.read()
                break
            except (http.client.HTTPException, OSError):
                c.close()
                if again or method != "GET":
                    self._connections.kept.pop(frontend, None)
                    raise
        try:
            return r.status, json.loads(raw)
        except ValueError:
            return r.status, raw.decode(errors="replace")

    def load(self, objects):
        """As the suite's own server takes many objects: with their status, but with validation."""
        for obj in objects:
            self.create(obj)

    def delete(self, resource, name, namespace=None, uid=None, rv=None, grace=0):
        there = super().delete(resource, name, namespace, uid=uid, rv=rv, grace=grace)
        if there and resource == "namespaces":
            # What the controller does once nothing is left in it.
            ns = self.get(resource, name)
            if ns:
                ns["spec"]["finalizers"] = []
                self.request("PUT", f"/api/v1/namespaces/{name}/finalize", ns)
        return there


def main():
    if sys.argv[1:2] == ["--helper"]:
        return helper(sys.argv[2:])
    parser = argparse.ArgumentParser(description="a real kube-apiserver and etcd for tests")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--listen", action="append")
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--no-rbac", action="store_true")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with RealApiServer(a.dir, a.listen or ["127.0.0.1:0"], names=a.name,
                           rbac=not a.no_rbac) as api:
            kc = api.kubeconfig(os.path.join(api.folder, "kubeconfig"), user=ADMIN,
                                groups=["system:masters"])
            print(json.dumps({"url": api.url, "urls": api.urls, "ca": api.ca, "kubeconfig": kc,
                              "pid": os.getpid()}), flush=True)
            sys.stdin.read()
    except NoServer as e:
        print(f"realapi.py: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
