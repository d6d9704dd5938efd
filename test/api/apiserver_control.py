"""The control protocol: JSON over HTTP on a Unix socket (what each does: apiserver.py)."""
import asyncio
import json
import time
import traceback

from apiserver_fault import BadRule, Match
from apiserver_generate import generate
from apiserver_http import HttpConn, Request
from apiserver_kinds import StatusError
from apiserver_store import new_uid, now_text


class ControlConn(HttpConn):
    def __init__(self, control):
        super().__init__()
        self.control = control
        self.peer, self.front_index = None, -1

    def handle(self, req):
        task = asyncio.ensure_future(self.run(req))
        self.control.server.tasks.add(task)
        task.add_done_callback(self.control.server.task_done)

    async def run(self, req):
        try:
            body = json.loads(req.body) if req.body else dict(req.query)
            code, answer = 200, await self.control.call(req.path.strip("/"), body)
        except (BadRule, KeyError, ValueError, TypeError, RuntimeError, OSError) as e:
            code, answer = 400, {"error": f"{req.path}: {type(e).__name__}: {e}"}
        except Exception as e:  # pylint: disable=broad-except
            traceback.print_exc()  # a bug of the server; the caller must not wait for ever
            code, answer = 500, {"error": f"{req.path}: {type(e).__name__}: {e}"}
        if not self.closed:
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.transport.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
                                 b"Content-Length: %d\r\n\r\n" % (code, len(text)) + text)
            self.finish()
            self.advance()


class Inside:
    """Stands for the connection of a request that comes by the control socket: admin."""
    peer, front_index = ("admin", ("system:masters", "system:authenticated")), -1

    def __init__(self, server):
        self.server = server


class Control:
    def __init__(self, server):
        self.server = server

    async def call(self, name, body):
        fn = getattr(self, "do_" + name, None)
        if fn is None:
            raise KeyError(f"no such operation (there are: "
                           f"{', '.join(sorted(n[3:] for n in dir(self) if n[:3] == 'do_'))})")
        out = fn(body)
        return await out if asyncio.iscoroutine(out) else out

    # ---- faults and counters ----

    def do_fault(self, body):
        return {"id": self.server.faults.add(body)}

    def do_unfault(self, body):
        self.server.faults.remove(body.get("id"))
        return {}

    def do_faults(self, _):
        return [r.show() for r in self.server.faults.rules]

    def do_counts(self, _):
        s, c = self.server, self.server.counts
        return {"requests": c.requests, "byVerbResource": c.verb, "byUser": c.user,
                "byAgent": c.agent, "byKey": c.key, "byCode": c.code, "bytes": c.bytes,
                "bytesByVerbResource": c.verb_bytes, "watches": len(s.watches),
                "watchesPeak": c.peak, "connections": len(s.conns),
                "connectionsTotal": c.total_connections, "perSecond": list(c.seconds.items()),
                "rv": s.store.rv}

    def do_reset(self, _):
        self.server.counts.reset()
        self.server.counts.watches(len(self.server.watches))
        self.server.log.clear()
        return {}

    def do_log(self, body):
        keys = ("time", "method", "path", "verb", "resource", "code", "user", "agent", "bytes",
                "ms", "fault")
        log = self.server.log
        n = int(body.get("n", 100))
        return [dict(zip(keys, row)) for row in list(log)[max(0, len(log) - n):]]

    def do_watches(self, _):
        return [{"resource": w.table.res.qualified, "user": w.req.user, "agent": w.req.agent,
                 "path": w.req.target, "sent": w.sent} for w in self.server.watches]

    # ---- connections ----

    def do_close(self, body):
        match, how, n = Match(body.get("match")), body.get("how", "close"), 0
        for c in list(self.server.conns):
            if c.closed:
                continue
            # An idle connection has no request to match: only an empty match takes it.
            req = c.watcher.req if c.watcher else c.req
            if not match.m or (req is not None and match.takes(req)):
                c.close(how)
                n += 1
        return {"closed": n}

    def do_watcherror(self, body):
        match, n = Match(body.get("match")), 0
        for w in list(self.server.watches):
            if match.takes(w.req):
                w.error(body.get("code", 410), body.get("message"))
                n += 1
        return {"watches": n}

    async def do_frontend(self, body):
        await self.server.set_front(self.server.fronts[body["index"]], body["mode"])
        return {}

    def do_certs(self, body):
        self.server.use_cert(body["which"])
        return {}

    def do_set(self, body):
        o = self.server.options
        for key, value in body.items():
            if key in ("bookmark", "watch_list", "watch_cache", "namespace_controller"):
                setattr(o, key, value)
            elif key in ("rbac", "anonymous"):
                setattr(self.server.auth, key, value)
            elif key == "history":
                self.server.store.set_history(value)
            else:
                raise KeyError(f"no option {key!r}")
        if "bookmark" in body:
            self.server.restart_bookmarks()
        return {}

    # ---- users ----

    def do_token(self, body):
        return {"token": self.server.add_token(body["user"], body.get("groups"),
                                               body.get("expires"), body.get("token"))}

    def do_revoke(self, body):
        self.server.auth.tokens.pop(body["token"], None)
        return {}

    def do_expire(self, body):
        self.server.auth.tokens[body["token"]][2] = time.time() + body.get("seconds", 0)
        return {}

    # ---- the store ----

    def do_load(self, body):
        for value in body["objects"]:
            self.server.direct(value)
        return {"loaded": len(body["objects"]), "rv": self.server.store.rv}

    async def do_generate(self, body):
        """In slices, so that clients are served meanwhile."""
        done = 0
        for value in generate(**body):
            table = self.server.store.of_kind(value["apiVersion"], value["kind"])
            table.put(value)
            done += 1
            if not done % 200:
                await asyncio.sleep(0)
        return {"loaded": done, "rv": self.server.store.rv}

    def do_compact(self, _):
        self.server.store.compact()
        return {}

    def _find(self, body):
        table = self.server.store.named(body["resource"])
        res, ns = table.res, body.get("namespace") or ""
        key = f"{ns}/{body['name']}" if res.namespaced else body["name"]
        if key not in table.objs:
            raise KeyError(f"{res.qualified} {key} is not there")
        return table, table.objs[key]

    def do_vanish(self, body):
        table, o = self._find(body)
        for w in list(table.watchers):
            w.end("abort")
        table.remove_silently(o)
        return {"rv": self.server.store.rv}

    def do_replace(self, body):
        table, o = self._find(body)
        value = body.get("object") or o.load()
        meta = value["metadata"]
        meta.update({"name": o.name, "uid": new_uid(), "creationTimestamp": now_text()})
        meta.pop("deletionTimestamp", None)
        if table.res.namespaced:
            meta["namespace"] = o.ns
        if table.res.generation:
            meta["generation"] = 1
        table.remove(o)
        return table.put(value).full()

    def do_dump(self, body):
        table = self.server.store.named(body["resource"])
        ns = body.get("namespace")
        return b"[" + b",".join(o.full() for o in (table.objs[k] for k in table.keys)
                                if not ns or o.ns == ns) + b"]"

    def do_request(self, body):
        """Any request of the API, as admin, past faults and counters."""
        headers = {"content-type": body.get("contentType") or "application/json",
                   "accept": body.get("accept") or ""}
        req = Request(Inside(self.server), body["method"], body["path"], headers)
        req.body = json.dumps(body["body"]).encode() if body.get("body") is not None else b""
        req.route(self.server.store)
        if req.verb == "watch":
            raise ValueError("a watch needs a connection of its own")
        req.user, req.groups = Inside.peer
        try:
            answer = self.server.rest.answer(req)
        except StatusError as e:
            raise ValueError(e.message) from e
        text = answer.body if answer.type == "application/json" else \
            json.dumps(answer.body.decode()).encode()
        return b'{"code":%d,"answer":%s}' % (answer.code, text.strip() or b"null")
