#!/usr/bin/python3
"""The HTTP client of the Kubernetes store (store/kube_http) against the suite's API server: trust,
credentials, several servers, lost answers, flow control. http_probe makes the requests."""
import http.client
import json
import os
import shutil
import socket
import ssl
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "net")]
from apiserver import ApiServer  # noqa: E402
from nettest import case, expect, expect_eq, main  # noqa: E402
from lab import Lab, binary, run, wait_for  # noqa: E402

NODE = '{"apiVersion":"v1","kind":"Node","metadata":{"name":"%s"}}'
SECRET = "aVeryS3cretToken"


class Probe:
    """One run of http_probe: answers[i] of the i-th request, and what it said at its end."""

    def __init__(self, *argv, within=(), timeout=60):
        start = time.monotonic()
        code, out, err = run([*within, binary("test/api/http_probe"), *argv], check=False,
                             timeout=timeout)
        self.seconds = time.monotonic() - start
        expect_eq((code, err), (0, ""), f"http_probe {argv}; it said {out}")
        expect(SECRET not in out, f"a token in {out}")
        lines = [json.loads(line) for line in out.splitlines()]
        self.end = lines[-1]
        self.answers = {a["request"]: a for a in lines if "request" in a}

    def __getitem__(self, i):
        return self.answers[i]

    def status(self):
        return [a["status"] for _, a in sorted(self.answers.items())]


def access(api, *servers, token="", ca=None):
    """http_probe's arguments for these servers (all of the API's when none is named)."""
    return ([f"server={s}" for s in servers or api.urls]
            + [f"ca={ca or api.ca}", f"token={token or api.admin_token}"])


def only(api):
    return access(api, api.urls[0])


def error_of(probe, *words, i=0):
    for word in words:
        expect(word in probe[i]["error"], f"{word!r} in {probe[i]['error']!r}")
    expect("\n" not in probe[i]["error"], "more than one line")


def raw_size(api, path):
    """Bytes of an answer that is not compressed."""
    wire = http.client.HTTPSConnection(api.urls[0].removeprefix("https://"), timeout=30,
                                       context=ssl.create_default_context(cafile=api.ca))
    wire.request("GET", path, headers={"Authorization": f"Bearer {api.admin_token}"})
    answer = wire.getresponse()
    expect_eq(answer.status, 200, path)
    size = len(answer.read())
    wire.close()
    return size


def expect_little_memory(probe):
    """No sanitizer's figures: it keeps what is freed."""
    with open(binary("test/api/http_probe"), "rb") as f:
        sanitized = b"__asan_init" in f.read()
    expect(sanitized or probe.end["rss_growth_kib"] < 6000,
           f"{probe.end['rss_growth_kib']} KiB more")


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Hanging:
    """A port that takes connections and never says a word."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self.socket.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self.socket.close()


class Proxy(Hanging):
    """An HTTP proxy: CONNECT leads to where it says, or is refused."""

    def __init__(self, refuse=False):
        self.refuse, self.heads = refuse, []

    def __enter__(self):
        super().__enter__()
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    @staticmethod
    def copy(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(self):
        try:
            while True:
                client = self.socket.accept()[0]
                head = client.recv(4096).decode()
                self.heads.append(head)
                if self.refuse:
                    client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                    continue
                host, port = head.split()[1].rsplit(":", 1)
                server = socket.create_connection((host, int(port)))
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.copy, args=pair, daemon=True).start()
        except OSError:
            pass


class Plain(Hanging):
    """A port that answers in the clear, by whatever protocol it is asked."""

    def __enter__(self):
        super().__enter__()
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        try:
            while True:
                one = self.socket.accept()[0]
                one.recv(100)
                one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                one.close()
        except OSError:
            pass


# ---- trust ----

@case
def right_ca(_, api):
    """The right CA and a token: an answer, and the server counts as seen."""
    p = Probe(*only(api), "+", "GET", "/version")
    expect_eq((p[0]["status"], p[0]["complete"], p[0]["error"]), (200, True, ""), "answer")
    expect(p[0]["opened"] and p[0]["bytes"] > 0, "a body")
    expect(abs(p.end["servers"][0]["last_contact"] / 1000 - time.time()) < 10, str(p.end))
    expect(p.end["requests"] == 1 and p.end["bytes_in"] == p[0]["bytes"], str(p.end))


@case
def wrong_ca(_, api):
    """A CA that did not sign: no connection, nothing sent, a clear error with the server."""
    before = api.counts()["requests"]
    p = Probe(*access(api, api.urls[0], ca=api.other_ca), "+", "POST", "/api/v1/nodes",
              "body=" + NODE % "x")
    expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "answer")
    error_of(p, api.urls[0], "not signed by the CA in the kubeconfig")
    expect_eq(api.counts()["requests"], before, "requests that came to the server")


@case
def system_ca_is_not_ours(_, api):
    """No CA in the kubeconfig: the system's are asked, and they did not sign it."""
    p = Probe(f"server={api.urls[0]}", "token=" + SECRET, "+", "GET", "/version")
    error_of(p, "not signed by a CA of this system", "certificate-authority")


@case
def system_ca_does_not_help(lab, api):
    """What the system trusts counts only where the kubeconfig names no CA."""
    trusted = lab.mkdir("trusted")
    shutil.copy(api.ca, os.path.join(trusted, "ca-certificates.crt"))
    run(["openssl", "rehash", trusted])
    within = ["unshare", "-m", "sh", "-c",
              f'mount --bind {trusted} /etc/ssl/certs && exec "$@"', "sh"]
    p = Probe(*access(api, api.urls[0], ca=api.other_ca), "+", "GET", "/version", within=within)
    error_of(p, "not signed by the CA in the kubeconfig")
    p = Probe(f"server={api.urls[0]}", f"token={api.admin_token}", "+", "GET", "/version",
              within=within)
    expect_eq(p[0]["status"], 200, "without a CA in the kubeconfig")


@case
def wrong_host_name(_, api):
    """A certificate for another host: no connection."""
    api.certs("wrong-host")
    try:
        p = Probe(*only(api), "+", "GET", "/version")
    finally:
        api.certs("good")
    expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "answer")
    error_of(p, api.urls[0], "not for this host name or address", "tls-server-name")


@case
def tls_server_name(_, api):
    """tls-server-name is the name that is verified, and the server is still reached by its URL."""
    p = Probe(*only(api), "tls-server-name=api.example", "+", "GET", "/version")
    expect_eq((p[0]["status"], p[0]["server"]), (200, api.urls[0]), "answer")
    p = Probe(*only(api), "tls-server-name=other.example", "+", "GET", "/version")
    error_of(p, api.urls[0], "other.example", "tls-server-name")


@case
def expired_certificate(_, api):
    """An expired certificate is said to be that."""
    api.certs("expired")
    try:
        p = Probe(*only(api), "+", "GET", "/version")
    finally:
        api.certs("good")
    expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "answer")
    error_of(p, api.urls[0], "expired", "clock")


@case
def broken_ca_and_key(lab, api):
    """A CA or client certificate that is none: said to be the kubeconfig's fault."""
    junk = lab.write("junk.pem", "-----BEGIN CERTIFICATE-----\nbm9wZQ==\n-----END CERTIFICATE-----\n")
    p = Probe(*access(api, api.urls[0], ca=junk), "+", "GET", "/version")
    error_of(p, "certificate-authority cannot be read")
    p = Probe(*only(api), f"cert={junk}", f"key={junk}", "+", "GET", "/version")
    error_of(p, "client certificate or key cannot be used")


@case
def http_is_refused(_, api):
    """http:// gets no token."""
    p = Probe("server=" + api.urls[0].replace("https", "http"), "token=" + SECRET, "+", "GET", "/")
    expect(p.end.get("refused"), str(p.end))
    expect("https://" in p.end["error"], p.end["error"])


@case
def not_tls(_, api):
    """A port that does not speak TLS is named."""
    with Plain() as plain:
        p = Probe(*access(api, plain.url), "+", "GET", "/version")
    error_of(p, plain.url, "does not speak TLS")


@case
def proxy(_, api):
    """proxy-url leads there in a tunnel; its password is in no text; the environment's is not
    taken."""
    with Proxy() as through:
        url = through.url.replace("https://", f"http://me:{SECRET}@")
        p = Probe(*only(api), "proxy=" + url, "+", "GET", "/version")
        expect_eq(p[0]["status"], 200, "through the proxy")
        expect(through.heads[0].startswith("CONNECT 127.0.0.1:"), through.heads[0])
        expect(api.admin_token not in "".join(through.heads), "the token went to the proxy")
    with Proxy(refuse=True) as refusing:
        url = refusing.url.replace("https://", f"http://me:{SECRET}@")
        p = Probe(*only(api), "proxy=" + url, "+", "POST", "/api/v1/nodes", "body=" + NODE % "x")
        expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "answer")
        error_of(p, api.urls[0], "403")
    dead = closed_port()
    p = Probe(*only(api), f"proxy=http://me:{SECRET}@127.0.0.1:{dead}", "+", "GET", "/version")
    error_of(p, "connection refused", "proxy-url")
    p = Probe(*only(api), "+", "GET", "/version",
              within=["env", f"HTTPS_PROXY=http://127.0.0.1:{dead}"])
    expect_eq(p[0]["status"], 200, "with a proxy in the environment")


@case
def redirect_is_not_followed(_, api):
    """A redirect is an error, for it could lead the token away."""
    api.fault({"match": {"path": "^/version"}, "times": 1, "do": "status", "code": 302, "body": "go"})
    p = Probe(*only(api), "+", "GET", "/version")
    expect_eq(p[0]["status"], 302, "status")
    error_of(p, "redirect")


# ---- credentials ----

@case
def client_certificate(_, api):
    """A client certificate is an identity of its own, also for a write."""
    crt, key = api.cert("admin", ["system:masters"])
    p = Probe(f"server={api.urls[0]}", f"ca={api.ca}", f"cert={crt}", f"key={key}",
              "+", "POST", "/api/v1/nodes", "body=" + NODE % "certified",
              "+", "DELETE", "/api/v1/nodes/certified")
    expect_eq(p.status(), [201, 200], "answers")


@case
def no_credentials(_, api):
    """401 without anybody who brings better ones: reported after the wait, body included."""
    p = Probe(*access(api, api.urls[0], token=SECRET), "credentials-ms=200", "+", "GET",
              "/api/v1/pods", "+", "GET", "/api/v1/pods")
    expect_eq(p.status(), [401, 401], "answers")
    error_of(p, "401 Unauthorized", "credentials")
    expect(json.loads(p[0]["body"])["kind"] == "Status", p[0]["body"])
    expect_eq(p.end["unauthorized_calls"], 1, "calls for new credentials")
    expect(p.end["unauthorized"], "the status says so")
    expect(150 <= p[0]["ms"] < 1500 and p[1]["ms"] < 150, f"{p[0]['ms']}, then {p[1]['ms']} ms")


@case
def token_refresh(_, api):
    """401, new credentials within the time: the requests are repeated once, all with one call."""
    for ms in ("0", "150"):
        p = Probe(*access(api, api.urls[0], token=SECRET), "refresh=" + api.admin_token,
                  "refresh-ms=" + ms, "+", "GET", "/api/v1/pods", "parallel", "times=4",
                  "+", "POST", "/api/v1/nodes", "parallel", "body=" + NODE % ("late" + ms))
        expect_eq(p.status(), [200, 200, 200, 200, 201], "answers")
        expect_eq(p.end["unauthorized_calls"], 1, "calls for new credentials")
        expect(not p.end["unauthorized"], "credentials are in order")
        expect_eq(p[0]["error"], "", "error")


@case
def refreshed_token_is_bad_too(_, api):
    """New credentials that do not work either: 401 after one repetition, no circle."""
    p = Probe(*access(api, api.urls[0], token=SECRET), "refresh=" + SECRET + "2",
              "+", "GET", "/api/v1/pods")
    expect_eq((p[0]["status"], p.end["requests"]), (401, 2), "answer and requests")


@case
def rotation_leaves_watches(_, api):
    """A new token (the old one revoked) breaks no watch and serves the next request."""
    old = api.token("admin", ["system:masters"])
    name = f"rotated{time.monotonic_ns()}"
    api.fault({"match": {"verb": "create", "name": name}, "do": "delay", "ms": 300, "times": 1})
    path = "/api/v1/nodes?watch=true&timeoutSeconds=2&fieldSelector=metadata.name%3D" + name
    p = Probe(*access(api, api.urls[0], token=old), "+", "GET", path, "watch", "parallel",
              "+", "POST", "/api/v1/nodes", "body=" + NODE % name, "parallel", "wait-ms=300",
              "access=" + api.admin_token)
    expect_eq(p.status(), [200, 201], "answers")
    expect(p[0]["complete"] and p[0]["bytes"] > 100, f"the event came to the watch: {p[0]}")


# ---- several servers ----

def failover(api, first, *more):
    return Probe(*access(api, first, api.urls[0]), *more, "+", "GET", "/api/v1/nodes", "+", "POST",
                 "/api/v1/nodes", "body=" + NODE % f"f{time.monotonic_ns()}")


@case
def first_refuses(_, api):
    """A refused connection: the next server at once, also for a write."""
    dead = f"https://127.0.0.1:{closed_port()}"
    p = failover(api, dead)
    expect_eq(p.status(), [200, 201], "answers")
    expect(p[0]["ms"] < 500, f"{p[0]['ms']} ms")
    expect_eq([(s["up"], s["current"]) for s in p.end["servers"]], [(False, False), (True, True)],
              "servers")
    expect(dead in p.end["servers"][0]["error"], str(p.end))


@case
def first_is_not_trusted(_, api):
    """A server with a wrong certificate gets nothing, the next one serves."""
    with Plain() as plain:
        p = failover(api, plain.url)
    expect_eq(p.status(), [200, 201], "answers")


@case
def first_hangs(_, api):
    """A server that hangs in TLS is given up after the connect time-out; meanwhile others that
    ask find the next server; afterwards nobody asks the hanging one first."""
    with Hanging() as hanging:
        p = Probe(*access(api, hanging.url, api.urls[0]), "connect-ms=2000", "probe-ms=60000",
                  "+", "GET", "/version", "parallel",
                  "+", "GET", "/version", "parallel", "wait-ms=1300",
                  "+", "GET", "/version", "parallel", "wait-ms=2500")
    expect_eq(p.status(), [200, 200, 200], "answers")
    expect(1900 <= p[0]["ms"] < 3500, f"first: {p[0]['ms']} ms")
    expect(p[1]["ms"] < 2000 and p[2]["ms"] < 3400, f"{p[1]['ms']} and {p[2]['ms']} ms")
    expect("no connection with TLS within 2 s" in p.end["servers"][0]["error"], str(p.end))


@case
def first_says_503(_, api):
    """503: a read goes to the next server; a write does not, for it might have happened."""
    rule = api.fault({"match": {"frontend": 0, "path": "^/api"}, "do": "status", "code": 503})
    try:
        p = Probe(*access(api), "probe-ms=60000", "+", "GET", "/api/v1/nodes")
        expect_eq((p[0]["status"], p[0]["server"]), (200, api.urls[1]), "read")
        p = Probe(*access(api), "probe-ms=60000", "+", "POST", "/api/v1/nodes",
                  "body=" + NODE % "n503", "+", "GET", "/version")
        expect_eq((p[0]["status"], p[0]["sent"]), (503, True), "write")
        expect_eq(p[1]["server"], api.urls[1], "the next request goes to the next server")
    finally:
        api.unfault(rule)


@case
def all_servers_away(_, api):
    """All away: the error names each; nothing was sent."""
    a, b = (f"https://127.0.0.1:{closed_port()}" for _ in range(2))
    p = Probe(*access(api, a, b), "+", "PUT", "/api/v1/nodes/x", "body={}")
    expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "answer")
    error_of(p, a + ": connection refused", b + ": connection refused")


@case
def dead_server_comes_back(_, api):
    """A server that is back is used again, found by probes in the background."""
    api.frontend(0, "refuse")
    try:
        timer = threading.Timer(1.0, api.frontend, (0, "ok"))
        timer.start()
        p = Probe(*access(api), "probe-ms=200", "+", "GET", "/version",
                  "+", "GET", "/version", "wait-ms=3500")
        timer.join()
    finally:
        api.frontend(0, "ok")
    expect_eq([p[0]["server"], p[1]["server"]], [api.urls[1], api.urls[0]], "servers that answered")
    expect(p[0]["ms"] < 1000, f"{p[0]['ms']} ms")
    # Two asked for, one lost, a few probes: not a storm.
    expect(p.end["requests"] <= 12, f"{p.end['requests']} requests")


@case
def nodes_spread(_, api):
    """first_server chooses who is asked first."""
    for i in range(3):
        p = Probe(*access(api), f"first={i + 3}", "+", "GET", "/version")
        expect_eq(p[0]["server"], api.urls[i], "server")


@case
def read_lost_is_read_elsewhere(_, api):
    """A GET whose answer is lost is asked again of the next server."""
    api.fault({"match": {"frontend": 0, "path": "^/api/v1/nodes"}, "times": 2, "do": "drop"})
    try:
        p = Probe(*access(api), "+", "GET", "/api/v1/nodes")
        expect_eq((p[0]["status"], p[0]["server"]), (200, api.urls[1]), "answer")
    finally:
        api.unfault()


# ---- did it happen? ----

@case
def lost_answer_is_unknown(_, api):
    """A write whose answer is lost: status 0, sent; never repeated, on no kept connection either."""
    for how in ("close", "abort", "reset"):
        name = f"lost{how}{time.monotonic_ns()}"
        api.fault({"match": {"verb": "create", "resource": "nodes"}, "times": 1, "do": "lose",
                   "how": how})
        before = api.counts()["byVerbResource"].get("create nodes", 0)
        p = Probe(*access(api), "+", "GET", "/version", "+", "POST", "/api/v1/nodes",
                  "body=" + NODE % name)
        expect_eq((p[1]["status"], p[1]["sent"], p[1]["complete"]), (0, True, False), how)
        error_of(p, api.urls[0], "connection was lost before an answer", i=1)
        expect(api.get("nodes", name), f"{how}: it happened")
        expect_eq(api.counts()["byVerbResource"]["create nodes"] - before, 1, f"{how}: writes")


@case
def hanging_write_is_unknown(_, api):
    """No answer within the time: unknown, with the time in the text."""
    name = f"hung{time.monotonic_ns()}"
    api.fault({"match": {"verb": "create", "resource": "nodes"}, "times": 1, "do": "lose",
               "how": "hang"})
    p = Probe(*only(api), "+", "POST", "/api/v1/nodes", "body=" + NODE % name, "call-ms=700",
              "+", "GET", "/api/v1/nodes/" + name)
    expect_eq((p[0]["status"], p[0]["sent"]), (0, True), "answer")
    error_of(p, "no answer within 0.7 s")
    expect(650 <= p[0]["ms"] < 2000, f"{p[0]['ms']} ms")
    expect_eq(p[1]["status"], 200, "the next request is served, by a new connection")


@case
def not_sent_is_known(_, api):
    """A write that met no server: certainly not sent."""
    dead = f"https://127.0.0.1:{closed_port()}"
    p = Probe(*access(api, dead), "+", "DELETE", "/api/v1/nodes/x", "+", "POST", "/api/v1/nodes",
              "body=" + NODE % "x")
    expect_eq([(p[i]["status"], p[i]["sent"]) for i in (0, 1)], [(0, False), (0, False)], "answers")
    with Hanging() as hanging:
        p = Probe(*access(api, hanging.url), "connect-ms=300", "+", "POST", "/api/v1/nodes",
                  "body=" + NODE % "x")
    expect_eq((p[0]["status"], p[0]["sent"]), (0, False), "hanging before TLS is up")


@case
def answers_that_are_no(_, api):
    """409 and 429 come up as they are, with Retry-After and the Status; never repeated."""
    p = Probe(*access(api), "+", "POST", "/api/v1/nodes", "body=" + NODE % "twice",
              "+", "POST", "/api/v1/nodes", "body=" + NODE % "twice")
    expect_eq(p.status(), [201, 409], "answers")
    expect_eq(json.loads(p[1]["body"])["reason"], "AlreadyExists", "the Status")
    error_of(p, "409 Conflict", "POST /api/v1/nodes", i=1)
    api.fault({"match": {"resource": "pods"}, "times": 1, "do": "status", "code": 429,
               "retryAfter": 7})
    p = Probe(*access(api), "+", "GET", "/api/v1/pods?limit=500&continue=abc")
    expect_eq((p[0]["status"], p[0]["retry_after_ms"], p.end["requests"]), (429, 7000, 1), "429")
    expect("continue" not in p[0]["error"], "queries are left out: " + p[0]["error"])


@case
def error_body_is_cut(_, api):
    """Of a long error 16 KiB are kept."""
    api.fault({"match": {"resource": "pods"}, "times": 1, "do": "status", "code": 500,
               "body": "x" * 100000})
    p = Probe(*only(api), "+", "GET", "/api/v1/pods")
    expect_eq((p[0]["status"], len(p[0]["body"])), (500, 16384), "answer")


@case
def cut_answer_is_not_complete(_, api):
    """2xx cut in its middle: complete is false, and it is not asked again behind the reader."""
    api.fault({"match": {"verb": "list", "resource": "pods"}, "times": 1, "do": "cut"})
    before = api.counts()["byVerbResource"].get("list pods", 0)
    p = Probe(*access(api), "+", "GET", "/api/v1/pods")
    expect_eq((p[0]["status"], p[0]["complete"], p[0]["opened"]), (200, False, True), "answer")
    error_of(p, "in the middle of the answer")
    expect_eq(api.counts()["byVerbResource"]["list pods"] - before, 1, "lists")


# ---- flow ----

@case
def watch_ends_by_itself(_, api):
    """A watch opens before any event, and its end by timeoutSeconds is a complete answer."""
    p = Probe(*only(api), "+", "GET", "/api/v1/nodes?watch=true&timeoutSeconds=1&"
              "resourceVersion=" + api._ask("GET", "/api/v1/nodes")["metadata"]["resourceVersion"],
              "watch")
    expect_eq((p[0]["status"], p[0]["complete"], p[0]["opened"], p[0]["error"]),
              (200, True, True, ""), "answer")
    expect(900 <= p[0]["ms"] < 3000, f"{p[0]['ms']} ms")


@case
def watch_that_never_opens(_, api):
    """A server that takes a watch and says nothing is left for the next one."""
    api.fault({"match": {"frontend": 0, "verb": "watch"}, "times": 1, "do": "drop", "how": "hang"})
    p = Probe(*access(api), "timeout-ms=500", "+", "GET",
              "/api/v1/nodes?watch=true&timeoutSeconds=1", "watch")
    expect_eq((p[0]["status"], p[0]["server"], p[0]["complete"]), (200, api.urls[1], True), "answer")


@case
def big_list_in_slices(_, api):
    """A list of over 10 MB, gzipped on its way: whole, in small pieces, in small turns, in little
    memory."""
    want = api.big
    p = Probe(*only(api), "+", "GET", "/api/v1/pods")
    expect_eq((p[0]["status"], p[0]["bytes"], p[0]["complete"]), (200, want, True), "list")
    expect(want > 10e6, f"the list has {want} bytes")
    expect(p[0]["largest"] <= 16384, f"a piece of {p[0]['largest']}")
    expect(p.end["bytes_in"] < want / 4, f"{p.end['bytes_in']} bytes on the wire")
    expect(p.end["max_turn_cpu_us"] < 20000, f"a turn of {p.end['max_turn_cpu_us']} us")
    expect_little_memory(p)


@case
def paused(_, api):
    """PAUSE stops the flow until resume; memory stays, the rest arrives unchanged."""
    whole = Probe(*only(api), "+", "GET", "/api/v1/pods")
    before = time.monotonic()
    p = Probe(*only(api), "+", "GET", "/api/v1/pods", "pause-after=2000000", "pause-ms=1000")
    expect(time.monotonic() - before > 1, "it went on while it was paused")
    expect_eq((p[0]["bytes"], p[0]["hash"], p[0]["complete"]),
              (whole[0]["bytes"], whole[0]["hash"], True), "what arrived")
    expect_little_memory(p)


@case
def others_run_beside_a_paused_one(_, api):
    """A paused list keeps nobody else waiting."""
    p = Probe(*only(api), "+", "GET", "/api/v1/pods", "pause-after=1", "pause-ms=1500", "parallel",
              "+", "GET", "/version", "parallel", "wait-ms=300", "times=3")
    expect_eq(p.status(), [200] * 4, "answers")
    expect(all(p[i]["ms"] < 400 for i in (1, 2, 3)), str([p[i]["ms"] for i in (1, 2, 3)]))


@case
def cancelled(_, api):
    """Cancelled from a timer, from inside on_data, while paused and before it starts: no callback
    comes after, others go on."""
    p = Probe(*only(api),
              "+", "GET", "/api/v1/nodes?watch=true", "watch", "cancel-ms=300",
              "+", "GET", "/api/v1/pods", "cancel-bytes=300000",
              "+", "GET", "/api/v1/pods", "pause-after=1", "pause-ms=5000", "cancel-ms=500",
              "+", "GET", "/version", "times=20", "parallel",
              "+", "GET", "/api/v1/pods", "cancel-bytes=1", "times=20", "parallel")
    expect(all(p[i].get("cancelled") for i in (0, 1, 2, *range(23, 43))), "cancelled")
    expect_eq([p[i]["status"] for i in range(3, 23)], [200] * 20, "the others")
    expect_eq(p.end["active"], 0, "under way at the end")
    wait_for("the watch's end at the server", lambda: not api.watches(), 5)


@case
def freed_under_way(_, api):
    """The client's end with requests in every state: nothing more is said, nothing stays."""
    with Hanging() as hanging:
        p = Probe(*access(api, api.urls[0], hanging.url), "max-plain=2", "linger-ms=300",
                  "+", "GET", "/api/v1/nodes?watch=true", "watch", "left",
                  "+", "GET", "/api/v1/pods", "left", "pause-after=1", "pause-ms=60000", "times=5")
    expect_eq((len(p.answers), p.end["active"]), (0, 3), "answers, and what was under way")
    wait_for("the watch's end at the server", lambda: not api.watches(), 5)


@case
def many_at_once(_, api):
    """110 requests at once: all answered over at most max-plain connections."""
    before = api.counts()["connectionsTotal"]
    p = Probe(*only(api), "max-plain=8", "+", "GET", "/version", "times=110", "parallel")
    expect_eq(p.status(), [200] * 110, "answers")
    expect(api.counts()["connectionsTotal"] - before <= 10,
           f"{api.counts()['connectionsTotal'] - before} connections")


@case
def idle_connection_closed_by_server(_, api):
    """A kept connection that the server has closed is not used for a write."""
    path = "/api/v1/nodes"
    timer = threading.Timer(0.6, api.close_connections)
    timer.start()
    p = Probe(*only(api), "+", "GET", "/version", "+", "POST", path, "wait-ms=1500",
              "body=" + NODE % f"idle{time.monotonic_ns()}")
    timer.join()
    expect_eq(p.status(), [200, 201], "answers")


# ---- the network ----

FAR = "10.91.0.2"


@case
def half_open(lab, api):
    """The peer is gone without a word: a watch and a kept connection notice within dead_peer_ms."""
    with ApiServer(lab.mkdir("far"), listen=[f"{FAR}:0"], names=[FAR],
                   prefix=lab.argv("far")) as far:
        token = far.token("admin", ["system:masters"])

        def away():
            wait_for("the watch", far.watches)
            time.sleep(0.5)
            lab.ip("far", "addr", "del", f"{FAR}/24", "dev", "eth0")

        thread = threading.Thread(target=away)
        thread.start()
        p = Probe(*access(far, token=token), "dead-ms=3000", "connect-ms=500", "+", "GET",
                  "/api/v1/nodes?watch=true&timeoutSeconds=300", "watch",
                  "+", "GET", "/version", within=lab.argv("near"))
        thread.join()
        lab.ip("far", "addr", "add", f"{FAR}/24", "dev", "eth0")
    expect_eq((p[0]["status"], p[0]["complete"]), (200, False), "watch")
    expect(2000 < p[0]["ms"] < 6500, f"noticed after {p[0]['ms']} ms")
    error_of(p, far.urls[0], "silent or out of reach")
    expect_eq((p[1]["status"], p[1]["sent"]), (0, False), "then nothing is sent")


@case
def unreachable(lab, api):
    """No route: said so, at once. No answer to SYN: after the connect time-out."""
    p = Probe(*access(api, "https://10.92.0.1:6443"), "+", "GET", "/version",
              within=lab.argv("near"))
    error_of(p, "https://10.92.0.1:6443", "no route")
    expect(p[0]["ms"] < 500, f"{p[0]['ms']} ms")
    lab.ip("near", "neigh", "replace", "10.91.0.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0")
    p = Probe(*access(api, "https://10.91.0.9:6443"), "connect-ms=600", "+", "GET", "/version",
              within=lab.argv("near"))
    error_of(p, "https://10.91.0.9:6443", "no connection with TLS within 0.6 s")
    expect(550 < p[0]["ms"] < 1500, f"{p[0]['ms']} ms")


@case
def silent_dns(lab, api):
    """A name server that is silent blocks neither the loop nor the next server."""
    lab.ip("near", "neigh", "replace", "10.91.0.53", "lladdr", "02:00:00:00:00:53", "dev", "eth0")
    resolv = lab.write("resolv.conf", "nameserver 10.91.0.53\n")
    within = [*lab.argv("near"), "unshare", "-m", "sh", "-c",
              f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
    p = Probe(*access(api, "https://api.example:6443"), "connect-ms=700", "+", "GET", "/version",
              within=within)
    error_of(p, "https://api.example:6443", "not resolved within 0.7 s")
    expect(650 < p[0]["ms"] < 2000, f"{p[0]['ms']} ms")
    expect(p.end["max_turn_us"] < 500000, f"a turn of {p.end['max_turn_us']} us")


@case
def unknown_name(lab, api):
    """A name that does not exist is said to be a matter of DNS."""
    resolv = lab.write("resolv2.conf", "nameserver 127.0.0.1\n")
    within = [*lab.argv("near"), "unshare", "-m", "sh", "-c",
              f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
    p = Probe(*access(api, "https://api.example:6443"), "+", "GET", "/version", within=within)
    error_of(p, "https://api.example:6443", "DNS")


if __name__ == "__main__":
    the_lab = Lab("slvhttp")
    for space in ("near", "far"):
        the_lab.add_ns(space)
    the_lab.link("near", "eth0", "far", "eth0", ["10.91.0.1/24"], [f"{FAR}/24"])
    with ApiServer(the_lab.mkdir("api"), listen=["127.0.0.1:0"] * 3, names=["api.example"]) as server:
        server.admin_token = server.token("admin", ["system:masters"])
        server.other_ca = os.path.join(the_lab.dir, "api", "pki", "other-ca.crt")
        server.generate("pods", count=2000, nodes=20, namespaces=5)
        server.big = raw_size(server, "/api/v1/pods")
        main(the_lab, server)
