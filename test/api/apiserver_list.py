"""Lists in pages and watches: GET on a collection."""
import base64
import bisect
import json

from apiserver_kinds import (CONTINUE_EXPIRED, LIST_EXPIRED, StatusError, bad_request,
                             invalid_options, too_large_version)
from apiserver_select import Selection
from apiserver_store import to_json

# What an empty object of a built-in kind shows, as a bookmark does.
EMPTY = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Node": {"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                                    "nodeInfo": dict.fromkeys((
                                        "machineID", "systemUUID", "bootID", "kernelVersion",
                                        "osImage", "containerRuntimeVersion", "kubeletVersion",
                                        "kubeProxyVersion", "operatingSystem",
                                        "architecture"), "")}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "Role": {"rules": None}, "ClusterRole": {"rules": None},
}
TRUE = ("true", "1", "t", "T", "TRUE", "True")


def encode_continue(rv, start):
    token = to_json({"v": "meta.k8s.io/v1", "rv": rv, "start": start + "\0"})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def decode_continue(text):
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if token["v"] != "meta.k8s.io/v1":
            raise ValueError(f'server does not recognize this encoded version "{token["v"]}"')
        return int(token["rv"]), token["start"].rstrip("\0")
    except (ValueError, KeyError, TypeError) as e:
        raise bad_request(f"invalid continue token: continue key is not valid: {e}") from e


def continue_expired(start):
    return StatusError(410, CONTINUE_EXPIRED, metadata={"continue": encode_continue(-1, start)})


def number(query, key):
    text = query.get(key) or "0"
    try:
        value = int(text)
        if value < 0:
            raise ValueError
        return value
    except ValueError:
        raise bad_request(f'invalid {"resource version" if key == "resourceVersion" else key}: '
                          f'strconv.ParseUint: parsing "{text}": invalid syntax') from None


class Lister:
    """Options: watch_cache (a list at version 0 is one page, as from a real server's cache)."""

    def __init__(self, store, options):
        self.store, self.options = store, options

    def select(self, req):
        q = req.query
        return Selection(req.res, req.ns, q.get("labelSelector", ""), q.get("fieldSelector", ""),
                         req.name)

    def check_list(self, q):
        causes = []
        match, rv = q.get("resourceVersionMatch", ""), q.get("resourceVersion", "")
        if match:
            def add(text, reason="FieldValueForbidden", head="Forbidden: "):
                causes.append(("resourceVersionMatch", reason, head + text))
            if not rv:
                add("resourceVersionMatch is forbidden unless resourceVersion is provided")
            if q.get("continue"):
                add("resourceVersionMatch is forbidden when continue is provided")
            if match not in ("Exact", "NotOlderThan"):
                add(f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""',
                    "FieldValueNotSupported", "")
            if match == "Exact" and rv == "0":
                add('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        if q.get("sendInitialEvents"):
            causes.append(("sendInitialEvents", "FieldValueForbidden",
                           "Forbidden: sendInitialEvents is forbidden for list"))
        if causes:
            raise invalid_options(causes)

    def check_watch(self, q):
        causes = []
        match, initial = q.get("resourceVersionMatch", ""), q.get("sendInitialEvents", "")
        if initial and not self.options.watch_list:
            causes.append(("sendInitialEvents", "FieldValueForbidden", "Forbidden: "
                           "sendInitialEvents is forbidden for watch unless the WatchList feature "
                           "gate is enabled"))
        if match and not initial:
            causes.append(("resourceVersionMatch", "FieldValueForbidden", "Forbidden: "
                           "resourceVersionMatch is forbidden for watch unless sendInitialEvents "
                           "is provided"))
        if initial and self.options.watch_list:
            if not match:
                causes.append(("resourceVersionMatch", "FieldValueForbidden", "Forbidden: "
                               "sendInitialEvents requires setting resourceVersionMatch to "
                               "NotOlderThan"))
            elif match != "NotOlderThan":
                causes.append(("resourceVersionMatch", "FieldValueNotSupported",
                               f'Unsupported value: "{match}": supported values: "NotOlderThan"'))
        if q.get("continue"):
            causes.append(("continue", "FieldValueForbidden",
                           "Forbidden: continue is forbidden for watch"))
        if causes:
            raise invalid_options(causes)

    def page(self, table, req):
        """(objects, resourceVersion, continue token, remaining or None)."""
        q, store = req.query, self.store
        self.check_list(q)
        sel = self.select(req)
        limit = number(q, "limit")
        text, token = q.get("resourceVersion", ""), q.get("continue", "")
        asked = number(q, "resourceVersion")
        match, start, at = q.get("resourceVersionMatch", ""), None, store.rv
        if token:
            if text not in ("", "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            rv, start = decode_continue(token)
            if rv >= 0:
                at = rv
                if rv > store.rv:
                    raise bad_request("invalid continue token: the resource version is from the "
                                      "future")
                if not table.covers(rv):
                    raise continue_expired(start)
        elif asked > store.rv:
            raise too_large_version(asked, store.rv)
        elif asked and (match == "Exact" or not match and limit):
            at = asked
            if not table.covers(at):
                raise StatusError(410, LIST_EXPIRED)
        if text == "0" and self.options.watch_cache and not token:
            limit = 0
        keys, objs = table.snapshot(at)
        prefix = f"{req.ns}/" if req.ns else ""
        lo = bisect.bisect_left(keys, prefix) if prefix else 0
        hi = bisect.bisect_left(keys, prefix[:-1] + "0") if prefix else len(keys)
        if start is not None:
            lo = bisect.bisect_right(keys, prefix + start)
        if not limit:
            if sel.everything:
                return [objs[k] for k in keys[lo:hi]], at, "", None
            return [o for o in map(objs.__getitem__, keys[lo:hi]) if sel.takes(o)], at, "", None
        out, i = [], lo
        while i < hi and len(out) < limit:
            o = objs[keys[i]]
            if sel.takes(o):
                out.append(o)
            i += 1
        if i >= hi:
            return out, at, "", None
        token = encode_continue(at, keys[i - 1][len(prefix):])
        return out, at, token, hi - i if sel.everything else None

    def body(self, table, req, partial):
        """The JSON of a list. Items of custom kinds come before the list's metadata, as there."""
        objs, rv, token, remaining = self.page(table, req)
        res = table.res
        if partial:
            head = b'{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1"'
            items = b",".join([o.partial_json() for o in objs])
        elif res.typed:
            head = f'{{"kind":"{res.kind}List","apiVersion":"{res.api_version}"'.encode()
            items = b",".join([o.item() for o in objs])
        else:
            meta = {"continue": token}
            if remaining:
                meta["remainingItemCount"] = remaining
            meta["resourceVersion"] = str(rv)
            items = b",".join([o.item() for o in objs])
            return b"".join((b'{"apiVersion":"', res.api_version.encode(), b'","items":[', items,
                             b'],"kind":"', res.kind.encode(), b'List","metadata":',
                             to_json(meta), b"}\n"))
        meta = {"resourceVersion": str(rv)}
        if token:
            meta["continue"] = token
        if remaining:
            meta["remainingItemCount"] = remaining
        return b"".join((head, b',"metadata":', to_json(meta), b',"items":[', items, b"]}\n"))


class Watcher:
    """One watch on one connection. conn needs write(bytes), watch_over(close) and later(s, fn)."""

    def __init__(self, table, sel, req, partial):
        self.table, self.sel, self.partial = table, sel, partial
        self.conn, self.req = req.conn, req
        self.bookmarks = req.query.get("allowWatchBookmarks", "") in TRUE
        self.pending, self.scheduled, self.over = [], False, False
        self.after_rv, self.sent = 0, 0
        self.faults = []   # dicts of rules that act on a running watch
        self.timers = []

    # ---- what is sent ----

    def wrap(self, kind, text):
        line = b'{"type":"%s","object":%s}\n' % (kind.encode(), text)
        return b"%x\r\n%s\r\n" % (len(line), line)

    def text(self, o):
        return o.partial_json() if self.partial else o.full()

    def offer(self, event):
        """An event of the table: as this watch sees it, or not at all."""
        if event.rv <= self.after_rv:
            return
        sel = self.sel
        if event.kind == "DELETED":
            if not sel.takes(event.prev):
                return
            kind, o = "DELETED", event.obj
        elif sel.takes(event.obj):
            kind = "MODIFIED" if event.prev is not None and sel.takes(event.prev) else "ADDED"
            o = event.obj
        elif event.prev is not None and sel.takes(event.prev):
            kind, o = "DELETED", None
        else:
            return
        key = (kind, o is None, self.partial)
        line = event.lines.get(key)
        if line is None:
            if o is None:  # left the selection: the old content with the event's version
                o = event.prev.with_rv(event.rv)
            line = event.lines[key] = self.wrap(kind, self.text(o))
        self.emit(kind, line, event.obj.key)

    def emit(self, kind, line, key=""):
        if self.over:
            return
        if self.faults and not self.pass_faults(kind, line, key):
            return
        self.sent += 1
        self.pending.append(line)
        if not self.scheduled:
            self.scheduled = True
            self.conn.soon(self.flush)
        if self.faults:
            self.act_on_count()

    def flush(self):
        self.scheduled = False
        if self.pending:
            data, self.pending = b"".join(self.pending), []
            self.conn.write(data)

    def bookmark(self, end_of_initial=False):
        res, rv = self.table.res, self.table.store.rv
        meta = {"resourceVersion": str(rv)}
        if res.typed and self.req.conn.server.options.minor < 34:
            meta["creationTimestamp"] = None
        if end_of_initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        if self.partial:
            text = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%s}' \
                % to_json(meta)
        else:
            rest = EMPTY.get(res.kind, {"spec": {}, "status": {}} if res.status else {}) \
                if res.typed else {}
            text = res.prefix_get + to_json({"metadata": meta, **rest}, sort=not res.typed)[1:]
        self.emit("BOOKMARK", self.wrap("BOOKMARK", text))

    def error(self, code=410, message=None, close="clean"):
        """An ERROR event, then the end, as the real server ends such a watch."""
        if code == 410:
            err = StatusError(410, message or f"too old resource version: {self.after_rv} "
                              f"({self.table.store.rv})")
        else:
            err = StatusError(code, message or "an error on the server has prevented the request "
                              "from succeeding", reason="InternalError" if code == 500 else None)
        if self.over:
            return
        self.pending.append(self.wrap("ERROR", to_json(err.object())))
        self.end(close)

    def end(self, close="clean"):
        if self.over:
            return
        self.over = True
        self.flush()
        self.stop()
        if close == "clean":
            self.conn.write(b"0\r\n\r\n")
            self.conn.watch_over()
        else:
            self.conn.close(close)

    def stop(self):
        """The connection is gone or the watch has ended."""
        self.over = True
        self.table.watchers.discard(self)
        self.conn.server.watches.discard(self)
        for t in self.timers:
            t.cancel()
        self.timers = []

    # ---- faults ----

    def pass_faults(self, kind, line, key):
        for f in self.faults:
            do = f["do"]
            if do == "dropEvents" and kind in f.get("types", (kind,)) and kind != "BOOKMARK" and \
                    (not f.get("object") or f["_object"].search(key)):
                f["dropped"] = f.get("dropped", 0) + 1
                return False
            if do == "cut" and self.sent >= f.get("after", 0):
                self.flush()
                self.over = True
                self.conn.write(line[:len(line) // 2])
                self.stop()
                self.conn.close(f.get("how", "close"))
                return False
        return True

    def act_on_count(self):
        for f in self.faults:
            if f["do"] in ("watchError", "endWatch") and f.get("after") and \
                    self.sent >= f["after"]:
                self.act(f)
                return

    def act(self, f):
        if f["do"] == "watchError":
            self.error(f.get("code", 410), f.get("message"))
        elif f["do"] == "endWatch":
            self.end()

    # ---- the start ----

    def start(self):
        """After the headers have gone out: what comes first, then live events."""
        q, table = self.req.query, self.table
        text = q.get("resourceVersion", "")
        asked = int(text or 0)
        initial = q.get("sendInitialEvents", "")
        send_initial = initial in TRUE if initial else not asked
        server = self.conn.server
        server.watches.add(self)
        server.counts.watches(len(server.watches))
        for f in self.faults:
            if f["do"] in ("watchError", "endWatch") and not f.get("after"):
                self.timers.append(self.conn.later(f.get("ms", 0) / 1000, lambda f=f: self.act(f)))
        if initial and asked > table.store.rv:
            err = too_large_version(asked, table.store.rv)
            self.pending.append(self.wrap("ERROR", to_json(err.object())))
            self.end()
            return
        if not send_initial and asked and not table.covers(asked):
            self.error(410, f"too old resource version: {asked} ({table.dropped})")
            return
        table.watchers.add(self)
        if send_initial:
            for key in list(table.keys):
                o = table.objs[key]
                if self.sel.takes(o):
                    self.emit("ADDED", self.wrap("ADDED", self.text(o)), key)
            self.after_rv = table.store.rv
            if initial and self.bookmarks:
                self.bookmark(end_of_initial=True)
        elif asked:
            self.after_rv = asked
            for e in table.since(asked):
                self.offer(e)
        else:
            self.after_rv = table.store.rv
        timeout = number(q, "timeoutSeconds")
        if not self.over and timeout:
            self.timers.append(self.conn.later(timeout, self.end))
