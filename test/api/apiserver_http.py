"""HTTP/1.1 on asyncio: parsed by hand, one request at a time on a connection, with faults."""
import asyncio
import gzip
import re
import socket
import ssl
import struct
import time
import traceback
from urllib.parse import parse_qsl, unquote

from apiserver_fault import ON_WATCH, of_watch, status_error
from apiserver_kinds import Resource, StatusError, internal
from apiserver_list import TRUE
from apiserver_rest import BODY_LIMIT, status_answer
from apiserver_store import new_uid

REASON_PHRASE = {200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request",
                 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
                 405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict", 410: "Gone",
                 413: "Request Entity Too Large", 415: "Unsupported Media Type",
                 422: "Unprocessable Entity", 429: "Too Many Requests",
                 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
                 504: "Gateway Timeout"}
HEAD_LIMIT = 1 << 20
GZIP_FROM = 128 * 1024
SLOW_LIMIT = 64 << 20   # a watch whose client reads nothing is cut here
NAME_SELECTOR = re.compile(r"(?:^|,)metadata\.name==?([^,]+)")
FLOW = ("X-Kubernetes-Pf-Flowschema-Uid: 7a5c9d52-5c0f-4e2b-9d3a-1f6d3b7a0c11\r\n"
        "X-Kubernetes-Pf-Prioritylevel-Uid: 0d1e2f3a-4b5c-4d6e-8f90-a1b2c3d4e5f6\r\n")
VERB = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch",
        "DELETE": "delete"}


class Request:
    """What is known of one request; res None: no resource."""
    __slots__ = ("method", "target", "path", "query", "headers", "body", "conn", "res", "ns",
                 "name", "sub", "verb", "user", "groups", "agent", "known_group", "hits",
                 "length", "chunked", "start", "refusal", "fault", "ghost")

    def __init__(self, conn, method, target, headers):
        self.conn, self.method, self.target, self.headers = conn, method, target, headers
        path, _, query = target.partition("?")
        self.path = unquote(path) if "%" in path else path
        self.query = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        self.body, self.hits, self.refusal, self.fault = b"", [], None, ""
        self.user, self.groups = "", ()
        self.agent = headers.get("user-agent", "")
        self.length, self.chunked = 0, False
        self.start = time.monotonic()
        self.res, self.ns, self.name, self.sub = None, "", "", ""
        self.ghost = None  # a resource that is asked for and not served: authorised all the same
        self.verb, self.known_group = VERB.get(method, method.lower()), False

    def rbac_name(self):
        if self.name or self.verb not in ("list", "watch", "deletecollection"):
            return self.name
        m = NAME_SELECTOR.search(self.query.get("fieldSelector", ""))
        return m[1] if m else ""

    def route(self, store):
        """Finds the resource; a path that names none keeps res None."""
        parts = self.path.strip("/").split("/")
        if parts[0] == "api" and len(parts) >= 3:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) >= 4:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return
        ns = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            ns, rest = rest[1], rest[2:]
        table = store.tables.get((group, version, rest[0]))
        # A built-in group answers for a version or resource it lacks; of a custom one nobody does.
        self.known_group = any(r.typed and r.group == group
                               for r in store.order) if table is None else True
        if table is None or len(rest) > 3 or (ns and not table.res.namespaced):
            self.ghost = Resource(group, version, rest[0], rest[0], bool(ns))
        else:
            self.res = table.res
        self.ns = ns
        self.name = rest[1] if len(rest) > 1 else ""
        self.sub = "/".join(rest[2:])
        if self.method in ("GET", "HEAD"):
            if self.query.get("watch", "") in TRUE and not self.sub:
                self.verb = "watch"
            elif not self.name:
                self.verb = "list"
        elif self.method == "DELETE" and not self.name:
            self.verb = "deletecollection"


class HttpConn(asyncio.Protocol):
    """Splits a connection into requests; a subclass has begin(req) (the head has been read),
    handle(req) (all of it has) and ends each with self.finish()."""

    def __init__(self):
        self.transport, self.buf = None, bytearray()
        self.req, self.busy, self.closed = None, False, False
        self.frozen, self.held = False, False   # held: the body is not read yet
        self.close_after = False

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.closed = True

    def data_received(self, data):
        if self.frozen:
            return
        self.buf += data
        if not self.busy:
            self.advance()

    def advance(self):
        while not (self.busy or self.closed or self.frozen or self.held):
            if self.req is None and not self.read_head():
                return
            if self.held or not self.read_body():
                return
            req, self.req, self.busy = self.req, None, True
            self.handle(req)

    def read_head(self):
        buf = self.buf
        end = buf.find(b"\r\n\r\n")
        if end < 0:
            if len(buf) > HEAD_LIMIT:
                self.transport.abort()
            return False
        lines = bytes(buf[:end]).decode("latin-1").split("\r\n")
        del buf[:end + 4]
        try:
            method, target, _ = lines[0].split(" ", 2)
            headers = {}
            for line in lines[1:]:
                key, _, value = line.partition(":")
                headers[key.lower()] = value.strip()
            req = Request(self, method, target, headers)
            req.length = int(headers.get("content-length") or 0)
        except ValueError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                                 b"Content-Length: 15\r\n\r\n400 Bad Request")
            self.transport.close()
            self.closed = True
            return False
        req.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.close_after = headers.get("connection", "").lower() == "close"
        self.req = req
        self.begin(req)
        if headers.get("expect", "").lower() == "100-continue" and not self.held:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def read_body(self):
        req, buf = self.req, self.buf
        if req.chunked:
            at, parts = 0, []
            while True:
                end = buf.find(b"\r\n", at)
                if end < 0:
                    return False
                size = int(bytes(buf[at:end]).partition(b";")[0] or b"0", 16)
                if len(buf) < end + 2 + size + 2:
                    return False
                parts.append(bytes(buf[end + 2:end + 2 + size]))
                at = end + 4 + size
                if not size:
                    break
            del buf[:at]
            req.body = b"".join(parts)
            return True
        if len(buf) < req.length:
            return False
        if req.length:
            req.body = bytes(buf[:req.length])
            del buf[:req.length]
        return True

    def finish(self):
        """The answer is out: the next request may come."""
        self.busy = False
        if self.close_after and not self.closed:
            self.closed = True
            self.transport.close()

    def begin(self, req):
        pass

    def handle(self, req):
        raise NotImplementedError


class ApiConn(HttpConn):
    """A client's connection to a frontend. peer: (user, groups) of its certificate, "refused" for
    one that a strange CA signed or that has expired, None without."""

    def __init__(self, server, front):
        super().__init__()
        self.server, self.front, self.front_index = server, front, front.index
        self.peer, self.watcher, self.sent = None, None, 0
        self.trickle, self.queue = None, bytearray()
        self.opened = time.time()

    def connection_made(self, transport):
        self.transport = transport
        self.server.conns.add(self)
        self.server.counts.connection()
        cert = transport.get_extra_info("peercert")
        if cert:
            self.peer = peer_of(cert)
        transport.set_write_buffer_limits(high=8 << 20)
        if self.front.mode == "hang":
            self.freeze()

    def connection_lost(self, exc):
        self.closed = True
        self.server.conns.discard(self)
        if self.watcher:
            self.watcher.stop()
            self.watcher = None

    # ---- a request ----

    def begin(self, req):
        server = self.server
        req.route(server.store)
        try:
            req.user, req.groups = server.auth.who(req)
        except StatusError as e:
            req.refusal = e
        if server.faults.rules:
            req.hits = server.faults.find(req)
            wait = sum(h.get("ms", 0) for h in req.hits
                       if h["do"] == "delay" and h.get("where") == "read")
            if wait:
                self.held = True
                self.transport.pause_reading()
                self.later(wait / 1000, self.let_go)

    def let_go(self):
        self.held = False
        if not self.closed:
            if not self.frozen:
                self.transport.resume_reading()
            if self.req and self.req.headers.get("expect"):
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.advance()

    def handle(self, req):
        if req.hits:
            self.server.tasks.add(task := asyncio.ensure_future(self.handle_faults(req)))
            task.add_done_callback(self.server.task_done)
        else:
            self.respond(req, self.act(req))

    def act(self, req):
        try:
            if req.refusal:
                raise req.refusal
            if len(req.body) > BODY_LIMIT:
                raise StatusError(413, f"Request entity too large: limit is {BODY_LIMIT}")
            self.server.auth.check(req)
        except StatusError as e:
            return status_answer(e)
        try:
            return self.server.rest.answer(req)
        except Exception as e:  # pylint: disable=broad-except
            traceback.print_exc()
            return status_answer(internal(f"{type(e).__name__}: {e}"))

    async def handle_faults(self, req):
        req.fault = ",".join(h["do"] for h in req.hits)
        lose = cut = None
        watch_faults = [of_watch(h) for h in req.hits if h["do"] in ON_WATCH]
        for h in req.hits:
            do = h["do"]
            if do == "delay" and h.get("where", "commit") == "commit":
                await asyncio.sleep(h.get("ms", 0) / 1000)
            elif do == "drop":
                self.server.record(req, 0, 0)
                return self.close(h.get("how", "close"))
            elif do == "halfopen":
                self.server.record(req, 0, 0)
                return self.freeze()
            elif do == "refuseAuth":
                req.refusal = StatusError(401, "Unauthorized")
            elif do == "limit":
                req.refusal = status_error({"code": 429, "retryAfter": 1}, req)
            elif do == "status":
                req.refusal = req.refusal or status_error(h, req)
                if req.refusal is None:  # 410 on a watch: inside HTTP 200
                    watch_faults.append({"do": "watchError", "code": 410})
            elif do == "lose":
                lose = h
            elif do == "cut":
                cut = h
            elif do == "trickle":
                self.trickle = (h.get("bytes", 1), h.get("ms", 10) / 1000)
        if self.closed:
            return None
        answer = self.act(req)
        for h in req.hits:
            if h["do"] == "delay" and h.get("where") == "answer":
                await asyncio.sleep(h.get("ms", 0) / 1000)
        if self.closed:
            return None
        if lose:
            self.server.record(req, answer.code, 0)
            return self.close(lose.get("how", "close"))
        if answer.watch:
            answer.watch.faults, cut = watch_faults, None
        self.respond(req, answer, cut)
        if not self.busy:
            self.advance()
        return None

    # ---- the answer ----

    def head(self, answer, length):
        extra = "".join(f"{k}: {v}\r\n" for k, v in answer.headers)
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        return (f"HTTP/1.1 {answer.code} {REASON_PHRASE.get(answer.code, 'Unknown')}\r\n"
                f"Audit-Id: {new_uid()}\r\nCache-Control: no-cache, private\r\n"
                f"Content-Type: {answer.type}\r\n{FLOW}{extra}Date: {self.server.date()}\r\n"
                f"{size}\r\n\r\n").encode()

    def respond(self, req, answer, cut=None):
        if answer.watch:
            self.watcher = answer.watch
            self.server.record(req, answer.code, 0)
            self.write(self.head(answer, None))
            answer.watch.start()
            return
        body = answer.body
        if len(body) > GZIP_FROM and req.method == "GET" and \
                "gzip" in req.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            answer.headers = [*answer.headers, ("Content-Encoding", "gzip"),
                              ("Vary", "Accept-Encoding")]
        self.server.record(req, answer.code, len(body))
        if cut:
            return self.cut_body(answer, body, cut)
        if req.method == "HEAD":
            self.write(self.head(answer, len(body)))
        elif len(body) <= 2048:  # where the real one knows the length before it writes
            self.write(self.head(answer, len(body)) + body)
        else:
            self.write(b"".join([self.head(answer, None), *chunks(body), b"0\r\n\r\n"]))
        if self.trickle:
            return None  # finish() comes when the last byte is out
        return self.finish()

    def cut_body(self, answer, body, cut):
        n = cut.get("after", len(body) // 2)
        if len(body) <= 2048:
            self.write(self.head(answer, len(body)) + body[:n])
        else:
            self.write(self.head(answer, None) + b"%x\r\n" % len(body) + body[:n])
        how = cut.get("how", "close")
        if how == "close":
            self.close("close")
        else:  # what was written goes out first
            self.later(0.05, lambda: self.close(how))

    def write(self, data):
        if self.closed or self.frozen:
            return
        self.sent += len(data)
        self.server.counts.sent(len(data), self.watcher)
        if self.trickle:
            if not self.queue:
                self.later(0, self.drip)
            self.queue += data
            return
        if self.watcher and self.transport.get_write_buffer_size() > SLOW_LIMIT:
            self.close("abort")
            return
        self.transport.write(data)

    def drip(self):
        if self.closed or self.frozen or not self.trickle:
            return
        n, every = self.trickle
        self.transport.write(bytes(self.queue[:n]))
        del self.queue[:n]
        if self.queue:
            self.later(every, self.drip)
        elif not self.watcher:
            self.trickle = None
            self.finish()
            self.advance()

    def watch_over(self):
        """A watch ended cleanly; the connection lives on."""
        self.watcher = None
        if not self.trickle:
            self.finish()
            if self.buf and not self.closed:
                self.soon(self.advance)

    # ---- ends ----

    def close(self, how="close"):
        """close: with close_notify; abort: without; reset: RST; hang: stays, silent; freeze."""
        if self.closed:
            return
        if how in ("hang", "freeze"):
            self.freeze()
            return
        self.closed = True
        if how == "close":
            self.transport.close()
            return
        if how == "reset":
            sock = self.transport.get_extra_info("socket")
            if sock is not None:  # None: the other side was faster
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def freeze(self):
        self.frozen = True
        if not self.closed:
            self.transport.pause_reading()

    def later(self, seconds, fn):
        return self.server.loop.call_later(seconds, fn)

    def soon(self, fn):
        self.server.loop.call_soon(fn)


def chunks(body, size=32768):
    for at in range(0, len(body), size):
        part = body[at:at + size]
        yield b"%x\r\n" % len(part)
        yield part
        yield b"\r\n"


def peer_of(cert):
    """(user, groups) of a verified client certificate."""
    names = [pair for rdn in cert["subject"] for pair in rdn]
    issuer = dict(pair for rdn in cert["issuer"] for pair in rdn)
    if issuer.get("commonName") != "kubernetes" or \
            ssl.cert_time_to_seconds(cert["notAfter"]) < time.time():
        return "refused"
    user = next((v for k, v in names if k == "commonName"), "")
    groups = tuple(v for k, v in names if k == "organizationName")
    return user, groups + ("system:authenticated",)
