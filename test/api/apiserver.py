#!/usr/bin/python3
"""The suite's own Kubernetes API server, and the class that tests hold it by.

It answers as kube-apiserver 1.29 to 1.36 does (TLS, lists in pages, watches, compare-and-swap,
Status objects), keeps everything in memory, and does wrong on demand. It runs as its own process.

In Python
---------
    from apiserver import ApiServer, ApiError
    with ApiServer(folder) as api:                 # folder: PKI, control socket, log; must exist
        api.url, api.urls, api.ca, api.control     # "https://127.0.0.1:40123", [...], file, socket
        kc = api.kubeconfig(folder + "/kc", user="selvage-n1", groups=["selvage"], auth="token")
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        api.fault({"match": {"verb": "watch", "resource": "pods"}, "times": 1, "do": "status",
                   "code": 410})
        api.counts()["byVerbResource"].get("list pods", 0)

ApiServer(folder, ...) keywords (all optional; the command has each as --name value):
    listen=["127.0.0.1:0"]   addresses, one frontend each, all on one store ("[::1]:0" for IPv6)
    prefix=[]                argv prefix: ["ip", "netns", "exec", NAME]
    names=[]                 more host names and addresses for the server's certificate
    cert="good"              or wrong-host, other-ca, expired
    rbac=False               True: the rbac.authorization.k8s.io objects in the store decide, 403s
    version="1.33"           what /version says, and the few answers that depend on it: generation
                             of pods (since 1.33), 404 for a PUT of what is gone (since 1.34;
                             before, 409 where it names a uid), creationTimestamp in bookmarks
                             (until 1.33)
    watch_list=True          streaming lists are served
    calico_v3=False          True: serve projectcalico.org/v3 besides; calico_v1=True: crd group
    bookmark=60.0            seconds between bookmarks
    history=10000            events kept for each resource; older ones give 410
    status_crds=[]           CRDs that get a /status, e.g. ["tiers"]
    crds=[]                  CustomResourceDefinition files (YAML): their schemas prune, default and
                             validate from then on; without, custom kinds take everything

Surface shared with a real kube-apiserver (class ApiBase); runs as admin, untouched by faults and
not counted. `resource` is "pods", "ippools", or with its group where two have the name:
"networkpolicies.crd.projectcalico.org" (alone it means networking.k8s.io).
    request(method, path, body=None, content_type=None) -> (code, answer)      never raises on 4xx
    create(obj) apply(obj) update(obj) update_status(obj) -> obj               or ApiError(.code
    get(resource, name, namespace=None) -> obj or None                          .reason .status)
    list(resource, namespace=None, labels=None, fields=None) -> [obj]
    patch(resource, name, patch, namespace=None, sub=None, type="merge") -> obj   json, strategic
    delete(resource, name, namespace=None, uid=None, rv=None, grace=0) -> bool    False: not there
    kubeconfig(path, user="admin", groups=None, auth="cert", contexts=None, ...) -> path
    in_cluster(folder, user, groups=None) -> environment of a pod (token, ca.crt, namespace files)
    cert(user, groups) -> (certificate file, key file)      token(user, groups) -> token

Only here (ApiServer); each is one control request of the same name:
    fault(rule) -> id      unfault(id=None)      faults() -> [rule with "hits"]
    counts() -> dict       reset()               log(n=100) -> [request]       watches() -> [watch]
    load([obj, ...])                 straight into the store, fast, no validation; keeps status
    generate("pods", count=10000, nodes=100, namespaces=20, ...)     realistic 5-8 KiB pods
    generate("nodes", count=1000)    generate("namespaces", count=20)
    compact()                        forget event history: old versions give 410 from now on
    vanish(resource, name, ns)       delete without an event, history forgotten, watches cut
    replace(resource, name, ns, obj=None)   same name, new UID, in one step (DELETED then ADDED)
    close_connections(match=None, how="close|abort|reset|freeze")       returns how many
    watch_error(match=None, code=410)       ERROR event into the running watches, then their end
    frontend(index, mode)            "ok", "refuse", "hang" (accepts, never answers; what is
                                     open freezes)
    certs(which)                     serve another certificate: good, rotated, wrong-host, other-ca,
                                     expired; for new connections
    apply_file(path)                 every document of a YAML file (crds, rbac, ...)
    wait(fn, what, timeout=10)       until fn(counts) holds; returns the counts
    revoke(token)  expire(token, seconds)   401 from then on
    set(bookmark=1.0, history=10, rbac=True, watch_list=False, anonymous=False,
        watch_cache=False)          a list with resourceVersion=0 then comes in pages: a real server
                                    answers it from its cache, limit or not, and so does this one
    dump(resource) -> [obj]          pause()/resume() the whole process (SIGSTOP, SIGCONT)
    start() close()                  stop and start again: an empty store, the same keys and folder
                                     (the same port only where listen names one)

Fault rules
-----------
    {"match": {...}, "times": N | "seconds": S, "skip": N, "probability": P, "seed": N, "do": ...}
match, all given must hold: method "PUT"; verb get|list|watch|create|update|patch|delete|
    deletecollection (or a list of them); resource "pods" (or a list; "pods/status" for a
    subresource); path, a regular expression over path and query; user, agent (regular
    expressions); name, namespace; continue true|false; frontend N. {} is every request.
Rules are tried in the order in which they were made; all that match act together (a delay and a
"status", say). times: how often it acts (without times and seconds: until unfault). skip: lets N
matches pass first.
do:
    "status"    code 410|429|500|503|504|..., retryAfter S, reason, message, body (raw text),
                json true (429 is text by default, as the real one's). 410 takes the right wording:
                list and continue a Status, watch an ERROR event inside HTTP 200 (http true: a 410)
    "delay"     ms, where "read" (before the body is read) | "commit" (default; before it acts) |
                "answer" (done, answered late)
    "lose"      the write is committed, the answer is not: how "close" (default) | "abort" (no
                close_notify) | "reset" (RST) | "hang" (never answered, connection stays)
    "drop"      nothing is done; how as above
    "cut"       answer ends in the middle of its body: after N bytes of the body (default half);
                watch: after N events, then half of a line (default 0). how close|abort|reset
    "halfopen"  stops reading and writing; the connection stays open
    "watchError" a watch gets, after N events ("after", default 0) or "ms", an ERROR event with
                code 410|500, and ends
    "endWatch"  a watch ends cleanly after N events or ms
    "dropEvents" a watch loses events; types ["DELETED"], object (regular expression on ns/name)
    "trickle"   bytes N each "ms": a slow body
    "limit"     qps N: above it 429 with Retry-After 1
    "refuseAuth" 401

Control protocol
----------------
HTTP/1.1 with JSON over the Unix socket of "control" (curl --unix-socket S http://c/counts); with
--control-port N also on 127.0.0.1:N. Answers {"error": text} with 400 where it cannot.
    POST /fault RULE -> {"id": 1}         POST /unfault {"id": 1} | {}      GET /faults
    GET /counts -> {"requests": total, "byVerbResource": {"list pods": 3}, "byUser": {user: n},
        "byAgent": {agent: n}, "byKey": {"list pods user agent": n}, "byCode": {"200": n},
        "bytes": n, "bytesByVerbResource": {...}, "watches": now, "watchesPeak": n,
        "connections": now, "connectionsTotal": n, "perSecond": [[unix second, n], ...], "rv": n}
    POST /reset     GET /log?n=100 -> [{"time", "method", "path", "verb", "resource", "code",
        "user", "agent", "bytes", "ms", "fault"}]
    GET /watches -> [{"resource", "user", "agent", "path", "sent"}]
    GET /dump?resource=pods&namespace=x     POST /load {"objects": [...]}
    POST /generate {"kind": "pods", "count": N, ...}    POST /compact
    POST /vanish, /replace {"resource", "name", "namespace"}
    POST /close {"match", "how"}            POST /watcherror {"match", "code"}
    POST /frontend {"index", "mode"}        POST /certs {"which"}    POST /set {option: value}
    POST /token {"user", "groups", "token"?, "expires"? unix time} -> {"token": t}
    POST /revoke {"token"}                  POST /expire {"token", "seconds"}
    POST /request {"method", "path", "body", "contentType"} -> {"code": 200, "answer": {...}}

The command: apiserver.py --dir D [--listen A]... prints one JSON line {"url", "urls", "ca",
"kubeconfig", "control", "pid"} when it serves; ends on SIGTERM or when its standard input closes.
"""
import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote, urlencode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apiserver_kinds import BUILT_IN, CALICO, CALICO_KINDS, CALICO_V3  # noqa: E402
from pki import Pki  # noqa: E402

PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json",
               "strategic": "application/strategic-merge-patch+json"}


class ApiError(Exception):
    """A request that the server refused. status is the Status object (or a text)."""

    def __init__(self, code, status, what):
        self.code, self.status = code, status
        self.reason = status.get("reason", "") if isinstance(status, dict) else ""
        said = status.get("message") if isinstance(status, dict) else status
        super().__init__(f"{what}: {code} {self.reason}: {said}")


# ---- kubeconfig files ---------------------------------------------------------------------------

def scalar(value):
    return json.dumps(value)  # a JSON string is a YAML string


def write_kubeconfig(path, contexts, current=None, inline=True):
    """Writes a kubeconfig in YAML's block style. contexts: [{"name", "server", "ca", and of
    "cert"+"key", "token", "tokenFile", "exec" (argv list), "tls_server_name", "namespace",
    "insecure"}]; ca, cert and key are files, put in as data where inline."""
    def blob(key, file):
        if not inline:
            return f"{key}: {scalar(file)}"
        with open(file, "rb") as f:
            return f"{key}-data: {base64.b64encode(f.read()).decode()}"

    out = ["apiVersion: v1", "kind: Config", "preferences: {}",
           f"current-context: {scalar(current or contexts[0]['name'])}", "clusters:"]
    for c in contexts:
        out += ["- cluster:"]
        if c.get("ca"):
            out.append("    " + blob("certificate-authority", c["ca"]))
        if c.get("tls_server_name"):
            out.append(f"    tls-server-name: {scalar(c['tls_server_name'])}")
        if c.get("insecure"):
            out.append("    insecure-skip-tls-verify: true")
        out += [f"    server: {c['server']}", f"  name: {scalar(c['name'])}"]
    out.append("contexts:")
    for c in contexts:
        name = scalar(c["name"])
        out += ["- context:", f"    cluster: {name}", f"    user: {name}"]
        if c.get("namespace"):
            out.append(f"    namespace: {scalar(c['namespace'])}")
        out.append(f"  name: {name}")
    out.append("users:")
    for c in contexts:
        out += [f"- name: {scalar(c['name'])}", "  user:"]
        if c.get("cert"):
            out += ["    " + blob("client-certificate", c["cert"]),
                    "    " + blob("client-key", c["key"])]
        for key in ("token", "tokenFile"):
            if c.get(key):
                out.append(f"    {key}: {scalar(c[key])}")
        if c.get("exec"):
            out += ["    exec:", "      apiVersion: client.authentication.k8s.io/v1",
                    f"      command: {scalar(c['exec'][0])}", "      interactiveMode: Never",
                    "      provideClusterInfo: false"]
            if c["exec"][1:]:
                out.append("      args:")
                out += [f"      - {scalar(a)}" for a in c["exec"][1:]]
        if not any(c.get(k) for k in ("cert", "token", "tokenFile", "exec")):
            out[-1] = "  user: {}"
    temp = path + ".new"
    with open(temp, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    os.chmod(temp, 0o600)
    os.rename(temp, path)
    return path


def write_secret(path, text, mode=0o600):
    temp = path + ".new"
    with open(temp, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(temp, mode)
    os.rename(temp, path)
    return path


class ApiBase:
    """What a test may ask of any API server. A subclass sets folder, url, urls, ca and has
    request(), cert() and token(); the rest stands on these."""

    folder = url = ca = None
    urls = ()
    in_tree = False   # True: the suite's own, which does wrong on demand

    def request(self, method, path, body=None, content_type=None):
        """(code, answer) of one request as admin; the answer is an object, or text."""
        raise NotImplementedError

    def cert(self, user, groups=None):
        """(certificate file, key file) of a client that the server takes for this user."""
        raise NotImplementedError

    def token(self, user, groups=None, expires=None):
        """A bearer token of this user; expires is a unix time."""
        raise NotImplementedError

    # ---- resources and paths ----

    _table = None
    not_served = ()   # groups that a resource without a group never means

    def resource(self, text):
        """(path prefix, resource, namespaced) of "pods" or "networkpolicies.<group>"."""
        if ApiBase._table is None:
            rows = [(g, v, n, k, ns) for g, v, n, k, ns, _ in BUILT_IN]
            rows.append(("policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies",
                         "ClusterNetworkPolicy", False))
            for group, version in ((CALICO, "v1"), (CALICO_V3, "v3")):
                rows += [(group, version, n, k, ns) for n, k, ns in CALICO_KINDS]
            ApiBase._table = rows
        name, _, group = text.partition(".")
        for g, v, n, k, ns in ApiBase._table:
            if text in (n, k) and g not in self.not_served or n == name and g == group and group:
                return (f"/apis/{g}/{v}" if g else f"/api/{v}"), n, ns
        raise KeyError(f"unknown resource {text!r}")

    def path(self, resource, name=None, namespace=None, sub=None, **query):
        prefix, plural, namespaced = self.resource(resource)
        if namespaced and namespace:
            prefix += f"/namespaces/{quote(namespace)}"
        out = f"{prefix}/{plural}" + (f"/{quote(name)}" if name else "")
        out += f"/{sub}" if sub else ""
        query = {k: v for k, v in query.items() if v is not None}
        return out + ("?" + urlencode(query) if query else "")

    def path_of(self, obj, sub=None, with_name=True):
        version, kind, meta = obj["apiVersion"], obj["kind"], obj["metadata"]
        group = version.partition("/")[0] if "/" in version else ""
        self.resource("pods")
        for g, v, n, k, ns in ApiBase._table:
            if k == kind and g == group:
                prefix = f"/apis/{version}" if group else f"/api/{version}"
                if ns:
                    prefix += f"/namespaces/{meta.get('namespace') or 'default'}"
                out = f"{prefix}/{n}" + (f"/{quote(meta['name'])}" if with_name else "")
                return out + (f"/{sub}" if sub else "")
        if kind != "CustomResourceDefinition":
            for crd in self.list("customresourcedefinitions"):
                spec = crd["spec"]
                if (spec["group"], spec["names"]["kind"]) == (group, kind):
                    ns = f"/namespaces/{meta.get('namespace') or 'default'}" \
                        if spec["scope"] == "Namespaced" else ""
                    return f"/apis/{version}{ns}/{spec['names']['plural']}" + (
                        f"/{quote(meta['name'])}" if with_name else "") + (
                        f"/{sub}" if sub else "")
        raise KeyError(f"unknown kind {version} {kind}")

    def _ask(self, method, path, body=None, content_type=None):
        code, answer = self.request(method, path, body, content_type)
        if code >= 400:
            raise ApiError(code, answer, f"{method} {path}")
        return answer

    # ---- verbs ----

    def create(self, obj):
        """POST. A status in obj of a kind whose status is a subresource is written after it."""
        out = self._ask("POST", self.path_of(obj, with_name=False), obj)
        if obj.get("status") and obj["kind"] in ("Pod", "Service") and not \
                obj["apiVersion"].count("/"):
            out["status"] = obj["status"]
            out = self.update_status(out)
        return out

    def apply(self, obj):
        """Creates, or replaces whatever version is there."""
        code, old = self.request("GET", self.path_of(obj))
        if code == 404:
            return self.create(obj)
        new = json.loads(json.dumps(obj))
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        new["metadata"].pop("uid", None)
        return self.update(new)

    def update(self, obj):
        return self._ask("PUT", self.path_of(obj), obj)

    def update_status(self, obj):
        return self._ask("PUT", self.path_of(obj, "status"), obj)

    def get(self, resource, name, namespace=None):
        code, answer = self.request("GET", self.path(resource, name, self._ns(resource, namespace)))
        if code == 404:
            return None
        if code >= 400:
            raise ApiError(code, answer, f"GET {resource} {name}")
        return answer

    def _ns(self, resource, namespace):
        return namespace or ("default" if self.resource(resource)[2] else None)

    def list(self, resource, namespace=None, labels=None, fields=None):
        """The items, of all namespaces where none is given."""
        return self._ask("GET", self.path(resource, None, namespace, labelSelector=labels,
                                          fieldSelector=fields))["items"]

    def patch(self, resource, name, patch, namespace=None, sub=None, type="merge"):
        return self._ask("PATCH", self.path(resource, name, self._ns(resource, namespace), sub),
                         patch, PATCH_TYPES[type])

    def delete(self, resource, name, namespace=None, uid=None, rv=None, grace=0):
        """False: it was not there. grace None: the server's own (a pod on a node only gets its
        deletionTimestamp)."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid or rv:
            options["preconditions"] = {k: v for k, v in
                                        (("uid", uid), ("resourceVersion", rv)) if v}
        path = self.path(resource, name, self._ns(resource, namespace))
        code, answer = self.request("DELETE", path, options)
        if code == 404:
            return False
        if code >= 400:
            raise ApiError(code, answer, f"DELETE {path}")
        return True

    def delete_collection(self, resource, namespace=None, labels=None):
        self._ask("DELETE", self.path(resource, None, namespace, labelSelector=labels))

    # ---- what a client needs to connect ----

    def kubeconfig(self, path, user="admin", groups=None, auth="cert", contexts=None, server=None,
                   ca=None, inline=True, tls_server_name=None, namespace=None, current=None,
                   expires=None, token=None):
        """Writes a kubeconfig for a user. auth: cert, token, tokenFile (path + ".token"), exec (a
        program path + ".exec" that prints an ExecCredential with the token in path + ".token" and
        writes a line to path + ".runs" each time; expires is a unix time) or none. contexts: more
        contexts, as write_kubeconfig() takes them (server and ca default to this one's). For the
        server's several addresses give contexts or server=api.urls[1]."""
        if user == "admin" and groups is None:
            groups = ["system:masters"]
        one = {"name": user, "server": server or self.url, "ca": ca or self.ca,
               "tls_server_name": tls_server_name, "namespace": namespace}
        if auth == "cert":
            one["cert"], one["key"] = self.cert(user, groups)
        elif auth in ("token", "tokenFile", "exec"):
            token = token or self.token(user, groups)
            if auth == "token":
                one["token"] = token
            else:
                write_secret(path + ".token", token + ("\n" if auth == "tokenFile" else ""))
            if auth == "tokenFile":
                one["tokenFile"] = path + ".token"
            if auth == "exec":
                one["exec"] = [self.exec_program(path, expires)]
        elif auth != "none":
            raise ValueError(f"auth {auth!r} is none of cert, token, tokenFile, exec, none")
        every = [one]
        for more in contexts or ():
            every.append({**one, **more})
        return write_kubeconfig(path, every, current, inline)

    @staticmethod
    def exec_program(path, expires):
        """A credential plugin. It takes its token from path.token at each run, so a test can
        change it; the expiry from path.expires where that is there (RFC 3339)."""
        if expires is not None:
            write_secret(path + ".expires", time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                          time.gmtime(expires)))
        return write_secret(path + ".exec", f"""#!/bin/sh
echo run >>'{path}.runs'
expiry=
[ ! -f '{path}.expires' ] || expiry=",\\"expirationTimestamp\\":\\"$(cat '{path}.expires')\\""
printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
printf '"status":{{"token":"%s"%s}}}}\\n' "$(cat '{path}.token')" "$expiry"
""", 0o700)

    def in_cluster(self, folder, user, groups=None, token=None):
        """The files of a pod's service account in folder, and its environment (a dict)."""
        os.makedirs(folder, exist_ok=True)
        write_secret(os.path.join(folder, "token"), token or self.token(user, groups))
        with open(self.ca, encoding="utf-8") as f:
            write_secret(os.path.join(folder, "ca.crt"), f.read())
        write_secret(os.path.join(folder, "namespace"), "kube-system")
        host, _, port = self.url.partition("//")[2].rpartition(":")
        return {"KUBERNETES_SERVICE_HOST": host.strip("[]"), "KUBERNETES_SERVICE_PORT": port}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("control", timeout=timeout)
        self.unix = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix)


class ApiServer(ApiBase):
    """The in-tree server in a process of its own; see the top of this file."""

    in_tree = True

    def __init__(self, folder, listen=("127.0.0.1:0",), prefix=(), names=(), cert="good",
                 rbac=False, version="1.33", watch_list=True, calico_v1=True, calico_v3=False,
                 bookmark=60.0, history=10000, status_crds=(), control_port=None, crds=(),
                 start=True):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.argv = [*prefix, "/usr/bin/python3", os.path.abspath(__file__), "--dir", self.folder,
                     "--cert", cert, "--version", version, "--bookmark", str(bookmark),
                     "--history", str(history)]
        for flag, values in (("--listen", listen), ("--name", names),
                             ("--status-crd", status_crds)):
            for value in values:
                self.argv += [flag, value]
        for flag, on in (("watch-list", watch_list), ("calico-v1", calico_v1),
                         ("calico-v3", calico_v3)):
            self.argv.append(f"--{'' if on else 'no-'}{flag}")
        if rbac:
            self.argv.append("--rbac")
        if control_port is not None:
            self.argv += ["--control-port", str(control_port)]
        self.process = self.pki = self.control = None
        self._local = threading.local()  # a control connection for each thread
        self.crds = list(crds)
        if not calico_v1:
            self.not_served = (CALICO,)
        if start:
            self.start()

    def start(self):
        """Starts the process and waits until it serves."""
        self.log_path = os.path.join(self.folder, "apiserver.log")
        # Root in another namespace still sees the same files: the control socket needs no network.
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            with open(self.log_path, encoding="utf-8") as f:
                raise RuntimeError(f"the API server did not start: {f.read()[-2000:]}")
        said = json.loads(line)
        self.url, self.urls, self.ca = said["url"], said["urls"], said["ca"]
        self.control, self.pid = said["control"], said["pid"]
        self.pki = Pki(os.path.join(self.folder, "pki"))
        for file in self.crds:
            self.apply_file(file)
        return self

    def apply_file(self, path):
        """Applies every document of a YAML or JSON file."""
        import yaml  # pylint: disable=import-outside-toplevel
        with open(path, encoding="utf-8") as f:
            for doc in yaml.safe_load_all(f):
                if doc:
                    self.apply(doc)

    def close(self):
        if self.process is None:
            return
        self.resume()
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None
        if getattr(self._local, "conn", None):
            self._local.conn.close()
            self._local.conn = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- control ----

    def call(self, name, body=None, timeout=120):
        """One control request; RuntimeError with the server's words where it cannot."""
        data = json.dumps(body if body is not None else {})
        for last in (False, True):
            conn = getattr(self._local, "conn", None)
            if conn is None or self._local.pid != self.pid:
                conn = self._local.conn = UnixConnection(self.control, timeout)
                self._local.pid = self.pid
            try:
                conn.request("POST", "/" + name, data)
                answer = conn.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError):
                conn.close()
                self._local.conn = None
                if last or name not in ("counts", "log", "watches", "dump", "faults"):
                    raise
        out = json.loads(text)
        if answer.status != 200:
            raise RuntimeError(out.get("error"))
        return out

    def request(self, method, path, body=None, content_type=None):
        out = self.call("request", {"method": method, "path": path, "body": body,
                                    "contentType": content_type})
        return out["code"], out["answer"]

    def cert(self, user, groups=None, **how):
        return self.pki.client(user, groups or (), **how)

    def token(self, user, groups=None, expires=None, token=None):
        return self.call("token", {"user": user, "groups": groups, "expires": expires,
                                   "token": token})["token"]

    def revoke(self, token):
        self.call("revoke", {"token": token})

    def expire(self, token, seconds=0):
        self.call("expire", {"token": token, "seconds": seconds})

    def fault(self, rule=None, **more):
        return self.call("fault", {**(rule or {}), **more})["id"]

    def unfault(self, number=None):
        self.call("unfault", {"id": number})

    def faults(self):
        return self.call("faults")

    def counts(self):
        return {**self.call("counts"), "pid": self.pid}

    def reset(self):
        self.call("reset")

    def log(self, n=100):
        return self.call("log", {"n": n})

    def watches(self):
        return self.call("watches")

    def load(self, objects):
        return self.call("load", {"objects": list(objects)})

    def generate(self, kind, count, **more):
        return self.call("generate", {"kind": kind, "count": count, **more})

    def compact(self):
        self.call("compact")

    def vanish(self, resource, name, namespace=None):
        self.call("vanish", {"resource": resource, "name": name,
                             "namespace": self._ns(resource, namespace)})

    def replace(self, resource, name, namespace=None, obj=None):
        return self.call("replace", {"resource": resource, "name": name, "object": obj,
                                     "namespace": self._ns(resource, namespace)})

    def close_connections(self, match=None, how="close"):
        return self.call("close", {"match": match or {}, "how": how})["closed"]

    def watch_error(self, match=None, code=410):
        return self.call("watcherror", {"match": match or {}, "code": code})["watches"]

    def frontend(self, index, mode):
        self.call("frontend", {"index": index, "mode": mode})

    def certs(self, which):
        self.call("certs", {"which": which})

    def set(self, **options):
        self.call("set", options)

    def dump(self, resource, namespace=None):
        return self.call("dump", {"resource": resource, "namespace": namespace})

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        if self.process and self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def wait(self, condition, what, timeout=10.0):
        """Waits until condition(self.counts()) holds."""
        end = time.monotonic() + timeout
        while True:
            counts = self.counts()
            if condition(counts):
                return counts
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {timeout} s ({counts})")
            time.sleep(0.02)


if __name__ == "__main__":
    from apiserver_main import main
    main()
