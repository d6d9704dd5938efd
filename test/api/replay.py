#!/usr/bin/python3
"""Keeps the suite's own API server true: the same requests to it and to a real kube-apiserver, and
every difference in codes, reasons, messages, shapes and watch events is a failure.

    KUBE_APISERVER=/path/to/kube-apiserver [ETCD=/path/to/etcd] python3 test/api/replay.py [-v] [NAME...]

NAME: only the rows and scenarios whose name begins so, with what they need before them left out. Uids,
resourceVersions, times and continue tokens are compared by where they stand and by whether they are
equal to each other, not by value. Ends with "N passed, N failed".
"""
import concurrent.futures
import http.client
import itertools
import json
import os
import re
import shutil
import socket
import ssl
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apiserver import ApiServer  # noqa: E402
from realapi import CRDS, NoServer, RealApiServer  # noqa: E402
from replay_rows import ROWS  # noqa: E402

COMPACT = 2  # s between the real server's compactions
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMES = {"creationTimestamp", "deletionTimestamp", "lastTransitionTime", "time", "startTime"}
QUIET = 0.7  # s without an event: nothing more comes


# ---- what is compared ----


class Seen:
    """Names for what differs from run to run: the first uid is <uid 1>, and so on."""

    def __init__(self):
        self.uids = {}

    def uid(self, text):
        return f"<uid {self.uids.setdefault(text, len(self.uids) + 1)}>"

    def text(self, message):
        message = UID.sub(lambda m: self.uid(m[0]), message)
        return re.sub(r"\b[0-9]{2,}\b", "<n>", message) if "ersion" in message else message

    def value(self, value, key=""):
        if isinstance(value, dict):
            return {k: self.value(v, k) for k, v in value.items() if k != "managedFields"}
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if not isinstance(value, str) or not value:
            return value
        if key == "uid":
            return self.uid(value)
        if key == "resourceVersion":
            return "<rv>"
        if key == "continue":
            return "<continue>"
        if key in TIMES:
            return "<time>"
        return self.text(value) if key in ("message", "reason") else value


def order(value):
    """The keys of an object as they stand in the text: our parsers read from front to back."""
    return [k for k in value if k != "managedFields"]


def pick(value, path):
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def shape_of_list(answer, seen):
    items = answer.get("items")
    return {"keys": order(answer), "kind": answer.get("kind"), "apiVersion": answer.get("apiVersion"),
            "metadata": {**seen.value(answer.get("metadata")), "keys": order(answer["metadata"])},
            "items": items and [{"keys": [k for k in order(i) if k in ("kind", "apiVersion",
                                                                       "metadata")],
                                 "name": i["metadata"]["name"],
                                 "namespace": i["metadata"].get("namespace")} for i in items]}


def observe(row, answer, seen):
    """What of an answer must be the same on both servers."""
    out = {"code": answer.code, "type": answer.headers.get("content-type"),
           "retry": answer.headers.get("retry-after")}
    value = answer.value
    if not isinstance(value, dict):
        return {**out, "text": value}
    if row.take == "code":
        return out
    if value.get("kind") == "Status":
        status = seen.value(value)
        if row.take == "causes":
            out["causes"] = [[c.get("reason"), c.get("field")]
                             for c in value.get("details", {}).get("causes", [])]
        if row.take in ("reason", "causes"):
            status = {k: status.get(k) for k in ("kind", "apiVersion", "status", "reason", "code")}
        return {**out, "status": status, "keys": order(value)}
    if row.take == "picks":
        return {**out, **{p: pick(value, p) for p in row.picks}}
    if row.take == "items":
        return {**out, "items": [i["metadata"]["name"] for i in value["items"]]}
    if "items" in value:
        return {**out, **shape_of_list(value, seen)}
    out.update({"keys": order(value), "kind": value.get("kind"), "apiVersion":
                value.get("apiVersion"), "metadata": seen.value(value.get("metadata")),
                "metaKeys": order(value.get("metadata", {}))})
    if row.take == "object":
        out["object"] = seen.value({k: v for k, v in value.items() if k != "metadata"})
    out.update({p: pick(value, p) for p in row.picks})
    return out


# ---- a client ----


class Answer:
    def __init__(self, code, headers, raw):
        self.code, self.headers = code, {k.lower(): v for k, v in headers}
        try:
            self.value = json.loads(raw)
        except ValueError:
            self.value = raw.decode(errors="replace")


class Side:
    """One of the two servers, and what was kept of its answers."""

    def __init__(self, name, api):
        self.name, self.api, self.seen, self.kept = name, api, Seen(), {}
        self.certs = {}

    def connect(self, user, groups, timeout=30):
        context = ssl.create_default_context(cafile=self.api.ca)
        headers = {}
        if user and user.startswith("token:"):
            headers["Authorization"] = "Bearer " + user[6:]
        elif user:
            if user not in self.certs:
                self.certs[user] = self.api.cert(user, groups)
            context.load_cert_chain(*self.certs[user])
        host, _, port = self.api.url.partition("//")[2].rpartition(":")
        return http.client.HTTPSConnection(host, int(port), context=context, timeout=timeout), headers

    def fill(self, value):
        """<rv a>, <uid a>, <continue a> and <token user> by what was kept under that name."""
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"<(rv|uid|continue) (\w+)>", lambda m: self.kept[m[2]][m[1]], value)

    def ask(self, method, path, body=None, headers=None, user="admin", groups=("system:masters",)):
        c, more = self.connect(user, groups)
        try:
            body = self.fill(body)
            data = body.encode() if isinstance(body, str) else None if body is None else \
                json.dumps(body).encode()
            more["Accept"] = "application/json"
            if data is not None:
                more["Content-Type"] = "application/json"
            more.update(headers or {})
            c.request(method, self.fill(path), data, more)
            r = c.getresponse()
            return Answer(r.status, r.getheaders(), r.read())
        finally:
            c.close()

    def row(self, row):
        answer = self.ask(row.method, row.path, row.body, row.headers, row.user, row.groups)
        if row.keep:
            meta = answer.value.get("metadata", {}) if isinstance(answer.value, dict) else {}
            self.kept[row.keep] = {"rv": meta.get("resourceVersion", ""), "uid": meta.get("uid", ""),
                                   "continue": meta.get("continue", "")}
        return observe(row, answer, self.seen)

    def compact(self, old):
        """Until the list of a path at an exact old version is refused."""
        if not isinstance(self.api, RealApiServer):
            self.api.compact()
            return
        # It compacts to where it was an interval ago, as long as there are writes; its cache
        # follows within 15 s.
        deadline = time.monotonic() + 60
        while self.ask("GET", old).code != 410 and time.monotonic() < deadline:
            self.api.request("PATCH", "/api/v1/namespaces/default", {"metadata": {"annotations": {
                "replay": str(time.monotonic())}}}, "application/merge-patch+json")
            time.sleep(1)


class Watch:
    """A watch whose events are read as they come."""

    def __init__(self, side, path, headers=None):
        self.ended, self.raw, self.buffer = False, b"", b""
        self.c, more = side.connect("admin", ["system:masters"], timeout=15)
        more["Accept"] = "application/json"
        more.update(headers or {})
        self.c.request("GET", side.fill(path), None, more)
        self.sock = self.c.sock
        self.r = self.c.getresponse()
        self.code, self.type = self.r.status, self.r.getheader("content-type")

    def events(self, n=1000, quiet=QUIET):
        """Up to n events, until none has come for a while or the watch has ended."""
        out = []
        self.sock.settimeout(quiet)
        while len(out) < n and not self.ended:
            line, nl, rest = self.buffer.partition(b"\n")
            if nl:
                self.buffer = rest
                out.append(json.loads(line))
                continue
            try:
                data = self.r.fp.read1(65536)
            except (socket.timeout, TimeoutError):
                # A timed-out reader refuses to go on; what is below it is still good.
                self.r.fp.raw._timeout_occurred = False
                break
            self.ended = not data
            self.raw += data
            self.unpack()
        return out

    def unpack(self):
        """Whole chunks of the body; http.client's own reader cannot go on after a pause."""
        while not self.ended:
            size, nl, rest = self.raw.partition(b"\r\n")
            if not nl or len(rest) < int(size, 16) + 2:
                return
            size = int(size, 16)
            self.ended = size == 0
            self.buffer += rest[:size]
            self.raw = rest[size + 2:]

    def close(self):
        self.c.close()


def event(e, seen):
    """What of a watch event must be the same."""
    o = e["object"]
    if o.get("kind") == "Status":
        return {"type": e["type"], "status": seen.value(o)}
    meta = o.get("metadata", {})
    return {"type": e["type"], "keys": order(o), "kind": o.get("kind"), "apiVersion":
            o.get("apiVersion"), "name": meta.get("name"), "labels": meta.get("labels"),
            "annotations": meta.get("annotations"), "uid": seen.value(meta.get("uid", ""), "uid"),
            "deleting": "deletionTimestamp" in meta,
            **({"metadata": order(meta), "rest": {k: v for k, v in o.items() if k != "metadata"}}
               if e["type"] == "BOOKMARK" else {})}


def rising(events):
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events
                if e["type"] != "ERROR"]
    return versions == sorted(set(versions))


# ---- watches ----

NS = "/api/v1/namespaces/replay"
CALICO = "/apis/crd.projectcalico.org/v1"
MERGE = {"Content-Type": "application/merge-patch+json"}
SCENARIOS = []


def scenario(fn):
    SCENARIOS.append(fn)
    return fn


def pod(name, labels=None, node=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, **({"labels": labels} if labels else {})},
            "spec": {"containers": [{"name": "c", "image": "i"}],
                     **({"nodeName": node} if node else {})}}


def version(side, path):
    return side.ask("GET", path + "?limit=1").value["metadata"]["resourceVersion"]


def seen_by(side, watch):
    """The events of a watch, without the bookmarks that come when they please."""
    got = [e for e in watch.events() if e["type"] != "BOOKMARK"
           or e["object"]["metadata"].get("annotations")]
    return [event(e, side.seen) for e in got] + [{"rising": rising(got), "ended": watch.ended}]


@scenario
def watch_follows(side):
    """Create, change, delete, and a new one of the same name."""
    out = []
    w = Watch(side, f"{CALICO}/ippools?watch=1&resourceVersion={version(side, CALICO + '/ippools')}")
    out.append({"code": w.code, "type": w.type})
    for i in range(2):
        side.ask("POST", CALICO + "/ippools", {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool",
                 "metadata": {"name": "w"}, "spec": {"cidr": f"10.{i}.0.0/16"}})
        side.ask("PATCH", CALICO + "/ippools/w", {"metadata": {"labels": {"a": "b"}}}, MERGE)
        # A patch that changes nothing makes no event.
        side.ask("PATCH", CALICO + "/ippools/w", {"metadata": {"labels": {"a": "b"}}}, MERGE)
        side.ask("DELETE", CALICO + "/ippools/w")
    out += seen_by(side, w)
    w.close()
    return out


@scenario
def watch_selects_labels(side):
    """What begins and ceases to match a label selector comes as ADDED and DELETED."""
    at = version(side, NS + "/pods")
    w = Watch(side, f"{NS}/pods?watch=1&labelSelector=app%3Dx&resourceVersion={at}")
    side.ask("POST", NS + "/pods", pod("l1", {"app": "y"}))
    for label in ("x", "x", "z"):
        side.ask("PATCH", NS + "/pods/l1", {"metadata": {"labels": {"app": label, "n": label}}}, MERGE)
    side.ask("DELETE", NS + "/pods/l1?gracePeriodSeconds=0")
    out = seen_by(side, w)
    w.close()
    return out


@scenario
def watch_selects_fields(side):
    """Only the pods of one node; a graceful delete is MODIFIED first."""
    at = version(side, NS + "/pods")
    w = Watch(side, f"{NS}/pods?watch=1&fieldSelector=spec.nodeName%3Dn1&resourceVersion={at}")
    side.ask("POST", NS + "/pods", pod("f1", node="n1"))
    side.ask("POST", NS + "/pods", pod("f2", node="n2"))
    side.ask("PATCH", NS + "/pods/f1/status", {"metadata": {"annotations": {
        "cni.projectcalico.org/podIP": "10.0.0.1/32"}}}, MERGE)
    side.ask("DELETE", NS + "/pods/f1")
    side.ask("DELETE", NS + "/pods/f1?gracePeriodSeconds=0")
    side.ask("DELETE", NS + "/pods/f2?gracePeriodSeconds=0")
    # At once, and one that waits for a finalizer besides.
    side.ask("POST", NS + "/pods", pod("f3", node="n1"))
    side.ask("DELETE", NS + "/pods/f3?gracePeriodSeconds=0")
    held = pod("f4", node="n1")
    held["metadata"]["finalizers"] = ["example.com/held"]
    side.ask("POST", NS + "/pods", held)
    side.ask("DELETE", NS + "/pods/f4?gracePeriodSeconds=0")
    side.ask("PATCH", NS + "/pods/f4", {"metadata": {"finalizers": None}}, MERGE)
    out = seen_by(side, w)
    w.close()
    return out


@scenario
def watch_without_version(side):
    """Without a version and with 0 the state comes first, as ADDED."""
    out = []
    for name in ("s1", "s2"):
        side.ask("POST", NS + "/pods", pod(name))
    for query in ("", "&resourceVersion=0", "&resourceVersion="):
        w = Watch(side, NS + "/pods?watch=true&fieldSelector=metadata.name%21%3Ds2" + query)
        got = w.events()
        out += [sorted((e["type"], e["object"]["metadata"]["name"]) for e in got)]
        w.close()
    return out


STREAM = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan" \
    "&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion="


@scenario
def watch_streams_list(side):
    """sendInitialEvents: the objects, then a BOOKMARK that says so; for every kind that store/ watches."""
    out = []
    partial = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}
    n1 = "fieldSelector=metadata.name%3Dn1&"
    for path, headers in (
            (NS + "/pods?", None), ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&", None),
            (CALICO + "/ippools?", None), (CALICO + "/ipamblocks?", None), ("/api/v1/nodes?" + n1, None),
            (NS + "/services?", None), (NS + "/secrets?fieldSelector=metadata.name%3Dk&", None),
            ("/apis/discovery.k8s.io/v1/namespaces/replay/endpointslices?", None),
            ("/apis/networking.k8s.io/v1/namespaces/replay/networkpolicies?", None),
            ("/api/v1/namespaces?fieldSelector=metadata.name%3Dreplay&", partial),
            (NS + "/serviceaccounts?", partial)):
        w = Watch(side, path + STREAM, headers)
        got = w.events(quiet=0.4)
        out.append([path, w.code, sorted(e["object"]["metadata"].get("name", "") for e in got
                                         if e["type"] == "ADDED"), [e["type"] for e in got]])
        out += [event(e, side.seen) for e in got if e["type"] == "BOOKMARK"]
        w.close()
    return out


@scenario
def watch_streams_affinities(side):
    """A node's affinities by label, streamed from a known version; what happens follows the bookmark."""
    path, out = CALICO + "/blockaffinities", []

    def affinity(name, label):
        side.ask("POST", path, {"apiVersion": "crd.projectcalico.org/v1", "kind": "BlockAffinity",
                 "metadata": {"name": name, "labels": {"projectcalico.org/hostname-hash": label}},
                 "spec": {"node": "n1", "cidr": "10.9.0.0/30", "state": "pending", "deleted": "false"}})

    affinity("own-1", "OWN")
    affinity("other-1", "OTHER")
    at = version(side, path)
    w = Watch(side, f"{path}?labelSelector=projectcalico.org%2Fhostname-hash%3DOWN&{STREAM}{at}")
    out += seen_by(side, w)
    affinity("own-2", "OWN")
    affinity("other-2", "OTHER")
    side.ask("DELETE", path + "/own-1")
    out += seen_by(side, w)
    w.close()
    # One by its name, which is not there yet.
    w = Watch(side, f"{path}?fieldSelector=metadata.name%3Down-3&{STREAM}")
    out += seen_by(side, w)
    affinity("own-3", "OWN")
    affinity("own-4", "OWN")
    out += seen_by(side, w)
    w.close()
    return out


@scenario
def created_by_many(side):
    """One object, created by eight at the same time: one 201, and AlreadyExists for the others."""
    block = {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPAMBlock",
             "metadata": {"name": "10-44-0-0-30"}, "spec": {
                 "cidr": "10.44.0.0/30", "affinity": "host:n1", "allocations": [None] * 4,
                 "unallocated": [0, 1, 2, 3], "attributes": [], "strictAffinity": False}}
    side.ask("GET", "/version")  # its certificate is there before they all want it
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: side.ask("POST", CALICO + "/ipamblocks", block), range(8)))
    return sorted([a.code, a.value.get("reason", "")] for a in got)


@scenario
def swapped_by_many(side):
    """One version, replaced by eight at the same time: one 200, and Conflict for the others."""
    path = CALICO + "/ipamblocks/10-44-0-0-30"
    old = side.ask("GET", path).value

    def swap(i):
        return side.ask("PUT", path, {**old, "spec": {**old["spec"], "affinity": f"host:n{i}"}})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(swap, range(10, 18)))
    return sorted([a.code, a.value.get("reason", "")] for a in got)


@scenario
def watch_partial(side):
    """Namespaces as metadata only."""
    accept = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}
    at = version(side, "/api/v1/namespaces")
    w = Watch(side, f"/api/v1/namespaces?watch=1&resourceVersion={at}", accept)
    side.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "partial", "labels": {"a": "b"}}})
    side.ask("PATCH", "/api/v1/namespaces/partial", {"metadata": {"labels": {"a": "c"}}}, MERGE)
    out = seen_by(side, w)
    w.close()
    return out


@scenario
def watch_too_old(side):
    """A version from before all history: an ERROR event inside HTTP 200, then the end."""
    out = []
    w = Watch(side, CALICO + "/ippools?watch=1&resourceVersion=1")
    got = w.events(quiet=5)
    out += [w.code, w.type] + [event(e, side.seen) for e in got]
    w.events(quiet=2)
    out.append(w.ended)
    w.close()
    return out


@scenario
def watch_from_the_future(side):
    """A version that is yet to come, as of a server that has seen more: a plain watch is silent, a
    streaming one is refused after a while."""
    path, out = CALICO + "/ippools?", []
    w = Watch(side, path + "watch=1&timeoutSeconds=3&resourceVersion=999999999")
    out += [w.code] + [event(e, side.seen) for e in w.events(quiet=6)] + [w.ended]
    w.close()
    w = Watch(side, path + STREAM + "999999999")
    out += [w.code, w.type] + [event(e, side.seen) for e in w.events(quiet=6)]
    w.close()
    return out


@scenario
def watch_times_out(side):
    """timeoutSeconds: a clean end in time."""
    start = time.monotonic()
    w = Watch(side, f"{CALICO}/ippools?watch=1&timeoutSeconds=1&resourceVersion="
              + version(side, CALICO + "/ippools"))
    got = w.events(quiet=5)
    took = time.monotonic() - start
    w.close()
    return [w.code, len(got), w.ended, 0.8 < took < 4]


@scenario
def list_after_compaction(side):
    """A continue token and an exact version that are too old: 410, with a token to go on inconsistently."""
    def items(answer):
        return [i["metadata"]["name"] for i in answer.value.get("items", [])]

    path = CALICO + "/tiers"
    for name in "abcd":
        side.ask("POST", path, {"apiVersion": "crd.projectcalico.org/v1", "kind": "Tier", "metadata":
                                {"name": name}, "spec": {"order": 1}})
    first = side.ask("GET", path + "?limit=2").value["metadata"]
    side.ask("DELETE", path + "/c")
    consistent = side.ask("GET", f"{path}?limit=2&continue={first['continue']}")
    out = [items(consistent), consistent.value["metadata"]["resourceVersion"] ==
           first["resourceVersion"]]
    side.compact(f"{path}?resourceVersionMatch=Exact&resourceVersion={first['resourceVersion']}")
    old = side.ask("GET", f"{path}?limit=2&continue={first['continue']}")
    out += [old.code, side.seen.value(old.value)]
    token = old.value.get("metadata", {}).get("continue", "")
    going_on = side.ask("GET", f"{path}?limit=2&continue={token}")
    out += [going_on.code, items(going_on)]
    exact = side.ask("GET", f"{path}?resourceVersionMatch=Exact&resourceVersion="
                     + first["resourceVersion"])
    out += [exact.code, side.seen.value(exact.value)]
    newer = side.ask("GET", f"{path}?resourceVersionMatch=NotOlderThan&resourceVersion="
                     + first["resourceVersion"])
    return out + [newer.code, items(newer)]


@scenario
def revoked_token(side):
    """A token is good until it is revoked; then 401 (a real server remembers a good one for 10 s)."""
    token = side.api.token("someone", ["a-group"])
    out = []
    for _ in range(2):
        answer = side.ask("GET", "/api/v1/nodes", user="token:" + token)
        out += [answer.code, side.seen.value(answer.value)]
        side.api.revoke(token)
        time.sleep(11 if isinstance(side.api, RealApiServer) and len(out) == 2 else 0)
    return out


# ---- both ----


def differences(a, b, path=""):
    """Where two observations differ: [(path, ours, real)]."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in {**a, **b} for d in differences(
            a.get(k, "(absent)"), b.get(k, "(absent)"), f"{path}.{k}".lstrip("."))]
    if isinstance(a, list) and isinstance(b, list):
        pairs = itertools.zip_longest(a, b, fillvalue="(absent)")
        return [d for i, (x, y) in enumerate(pairs) for d in differences(x, y, f"{path}[{i}]")]
    return [] if a == b and isinstance(a, bool) == isinstance(b, bool) else [(path, a, b)]


def run(sides, only, verbose):
    steps = [(row.name, lambda s, r=row: s.row(r)) for row in ROWS] + \
        [(fn.__name__, fn) for fn in SCENARIOS]
    passed = failed = 0
    for name, step in steps:
        if only and not any(name.startswith(o) for o in only):
            continue
        got = []
        for side in sides:
            try:
                got.append(step(side))
            except (OSError, http.client.HTTPException, KeyError, ValueError, TypeError,
                    AttributeError) as e:
                got.append(f"{type(e).__name__}: {e} on the {side.name} server")
        found = differences(*got)
        if isinstance(got[0], str) and not found:
            found = [("", got[0], got[1])]
        if found:
            failed += 1
            print(f"DIFFERS {name}", flush=True)
            for path, ours, real in found:
                print(f"        {path or 'answer'}\n          ours {json.dumps(ours)[:700]}\n"
                      f"          real {json.dumps(real)[:700]}", flush=True)
        else:
            passed += 1
            print(f"same    {name}", flush=True)
            if verbose:
                print(f"        {json.dumps(got[0])[:1000]}", flush=True)
    return passed, failed


def main():
    verbose = "-v" in sys.argv[1:]
    only = [a for a in sys.argv[1:] if a != "-v"]
    folder = tempfile.mkdtemp(prefix="selvage-replay-")
    ours_dir, real_dir = os.path.join(folder, "ours"), os.path.join(folder, "real")
    os.mkdir(ours_dir)
    os.mkdir(real_dir)
    try:
        with RealApiServer(real_dir, rbac=True,
                           flags=[f"--etcd-compaction-interval={COMPACT}s"]) as real:
            minor = "".join(c for c in real.request("GET", "/version")[1]["minor"] if c.isdigit())
            with ApiServer(ours_dir, rbac=True, version=f"1.{minor}", crds=[CRDS]) as ours:
                print(f"the suite's server against kube-apiserver 1.{minor}", flush=True)
                passed, failed = run([Side("suite's", ours), Side("real", real)], only, verbose)
    except NoServer as e:
        print(f"replay.py: {e}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
