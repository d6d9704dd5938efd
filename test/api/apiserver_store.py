"""The API server's memory: objects as JSON bytes, one resourceVersion for all, a bounded history.

Objects are never changed: a write makes a new Obj. The history keeps what each event replaced, so
that a list can be given as it was at an older resourceVersion (the pages of one list are one
snapshot).
"""
import bisect
import json
import os
import time
from collections import deque

META_ORDER = ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion",
              "generation", "creationTimestamp", "deletionTimestamp",
              "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences",
              "finalizers", "managedFields")


def now_text(at=None):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def new_uid():
    h = os.urandom(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"


def to_json(value, sort=False):
    """JSON as the real server writes it: compact, <, > and & escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort)
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.encode("utf-8", "surrogatepass")


class Obj:
    """One version of an object. body: its JSON without the opening brace, kind and apiVersion."""
    __slots__ = ("key", "ns", "name", "uid", "rv", "labels", "fields", "body", "partial", "res")

    def load(self):
        """A fresh dict with kind and apiVersion."""
        return json.loads(self.res.prefix_get + self.body)

    def full(self):
        return self.res.prefix_get + self.body

    def item(self):
        return self.res.prefix + self.body

    def partial_json(self):
        if self.partial is None:
            meta = to_json(json.loads(b"{" + self.body).get("metadata", {}))
            self.partial = (b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",'
                            b'"metadata":' + meta + b"}")
        return self.partial

    def with_rv(self, rv):
        """The same content under another resourceVersion (what a DELETED event shows)."""
        value = json.loads(b"{" + self.body)
        value["metadata"]["resourceVersion"] = str(rv)
        return make(self.res, value, rv)


def pluck(value, path, default):
    for part in path.split("."):
        if not isinstance(value, dict):
            return default
        value = value.get(part)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def make(res, value, rv):
    """An Obj of a complete dict (kind and apiVersion are left out of its body)."""
    o = Obj()
    meta = value["metadata"]
    if res.typed:
        ordered = {k: meta[k] for k in META_ORDER if k in meta}
        if len(ordered) < len(meta):
            ordered.update(meta)
        meta = ordered
    rest = {"metadata": meta}
    for k in res.order:
        if k in value:
            rest[k] = value[k]
    for k, v in value.items():
        if k not in ("kind", "apiVersion", "metadata"):
            rest[k] = v
    o.res, o.rv, o.partial = res, rv, None
    o.body = to_json(rest, sort=not res.typed)[1:]
    o.ns, o.name = meta.get("namespace", "") if res.namespaced else "", meta["name"]
    o.key = f"{o.ns}/{o.name}" if res.namespaced else o.name
    o.uid = meta.get("uid", "")
    o.labels = meta.get("labels") or {}
    o.fields = {f: pluck(value, f, d) for f, d in res.fields.items()} if res.fields else None
    return o


class Event:
    """kind ADDED, MODIFIED or DELETED; obj the version it made (DELETED: the last, with the
    deletion's version), prev what it replaced. lines: the JSON of it, made once for all watches."""
    __slots__ = ("rv", "kind", "obj", "prev", "lines")

    def __init__(self, rv, kind, obj, prev):
        self.rv, self.kind, self.obj, self.prev, self.lines = rv, kind, obj, prev, {}


class Table:
    """The objects of one resource."""

    def __init__(self, store, res, history):
        self.store, self.res = store, res
        self.objs, self.keys = {}, []
        self.history = deque(maxlen=history)
        self.dropped = store.rv  # the newest version that the history no longer covers
        self.watchers = set()

    def _record(self, event):
        h = self.history
        if h.maxlen is not None and len(h) >= h.maxlen:
            self.dropped = h[0].rv if h else event.rv
        h.append(event)
        for w in tuple(self.watchers):
            w.offer(event)

    def put(self, value, kind=None):
        """Adds or replaces; value's metadata gets the new resourceVersion. Returns the Obj."""
        rv = self.store.next_rv()
        value["metadata"]["resourceVersion"] = str(rv)
        o = make(self.res, value, rv)
        prev = self.objs.get(o.key)
        if prev is None:
            bisect.insort(self.keys, o.key)
        self.objs[o.key] = o
        self._record(Event(rv, kind or ("ADDED" if prev is None else "MODIFIED"), o, prev))
        return o

    def remove(self, o):
        rv = self.store.next_rv()
        self._forget(o.key)
        self._record(Event(rv, "DELETED", o.with_rv(rv), o))
        return rv

    def remove_silently(self, o):
        """No event, and no history that could tell: whoever watched must list again."""
        self._forget(o.key)
        self.store.next_rv()
        self.forget_history()

    def _forget(self, key):
        del self.objs[key]
        at = bisect.bisect_left(self.keys, key)
        del self.keys[at]

    def load(self, values):
        """Many at once, as if they had been there: kept in the history only as far as it goes."""
        for value in values:
            rv = self.store.next_rv()
            value["metadata"]["resourceVersion"] = str(rv)
            o = make(self.res, value, rv)
            prev = self.objs.get(o.key)
            if prev is None:
                self.keys.append(o.key)
            self.objs[o.key] = o
            self._record(Event(rv, "ADDED" if prev is None else "MODIFIED", o, prev))
        self.keys.sort()

    def forget_history(self):
        self.history.clear()
        self.dropped = self.store.rv

    def covers(self, rv):
        return rv >= self.dropped

    def since(self, rv):
        """Events after rv, oldest first; rv must be covered."""
        out = []
        for e in reversed(self.history):
            if e.rv <= rv:
                break
            out.append(e)
        out.reverse()
        return out

    def snapshot(self, rv):
        """(sorted keys, key -> Obj) as of rv; rv must be covered."""
        if rv >= self.store.rv or not self.history or self.history[-1].rv <= rv:
            return self.keys, self.objs
        objs = dict(self.objs)
        for e in reversed(self.history):
            if e.rv <= rv:
                break
            if e.prev is None:
                objs.pop(e.obj.key, None)
            else:
                objs[e.prev.key] = e.prev
        return sorted(objs), objs


class Store:
    def __init__(self, resources, history=10000):
        self.rv = 100
        self.history = history
        self.tables = {}   # (group, version, resource) -> Table
        self.order = []    # of discovery
        self.changed = 0   # count of writes to RBAC objects and the like: caches look at it
        for res in resources:
            self.add(res)

    def add(self, res):
        self.tables[(res.group, res.version, res.name)] = Table(self, res, self.history)
        self.order.append(res)

    def drop(self, res):
        self.order.remove(res)
        del self.tables[(res.group, res.version, res.name)]

    def next_rv(self):
        self.rv += 1
        return self.rv

    def of_kind(self, api_version, kind):
        for res in self.order:
            if res.kind == kind and res.api_version == api_version:
                return self.tables[(res.group, res.version, res.name)]
        raise KeyError(f"{api_version} {kind} is not served")

    def named(self, text):
        """A table by "pods", "ippools" or "networkpolicies.crd.projectcalico.org"."""
        name, _, group = text.partition(".")
        for res in self.order:
            if res.name == name and (not group or res.group == group):
                return self.tables[(res.group, res.version, res.name)]
        raise KeyError(f"{text} is not served")

    def compact(self):
        for t in self.tables.values():
            t.forget_history()

    def set_history(self, n):
        self.history = n
        for t in self.tables.values():
            if len(t.history) > n:
                t.dropped = t.history[len(t.history) - n - 1].rv
            t.history = deque(t.history, maxlen=n)
