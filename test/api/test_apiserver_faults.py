#!/usr/bin/python3
"""The suite's API server does wrong on demand, counts, and holds a thousand clients."""
import asyncio
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apitest import (CORE, CRD, Holder, configmap, is_status, node, pod, pool,  # noqa: E402
                     wipe)
from apiclient import Client  # noqa: E402
from nettest import case, expect, expect_eq, main  # noqa: E402

BROKEN = (http.client.HTTPException, ssl.SSLError, OSError)
NODES, MAPS = CORE + "/nodes", CORE + "/namespaces/default/configmaps"


def fails(client, method, path, body=None):
    """The exception of a request that gets no answer."""
    try:
        got = client.request(method, path, body)
    except BROKEN as e:
        return e
    raise AssertionError(f"{method} {path} was answered: {got}")


@case
def statuses(lab):
    """Codes on demand: N times, with Retry-After, with a skip, for some requests only."""
    api, c = lab.api, lab.client()
    api.fault({"match": {"verb": "list", "resource": "nodes"}, "times": 2, "skip": 1,
               "do": "status", "code": 503})
    expect_eq([c.get(NODES)[0] for _ in range(5)], [200, 503, 503, 200, 200], "times and skip")
    expect_eq([(f["hits"], f["left"]) for f in api.faults()], [(2, 0)], "hits")
    api.unfault()
    api.fault({"match": {"path": r"/nodes\?limit"}, "do": "status", "code": 429, "retryAfter": 7})
    code, text = c.get(NODES, limit=1)
    expect_eq((code, c.headers["Retry-After"], text),
              (429, "7", "Too many requests, please try again later.\n"), "429 as the real one's")
    expect_eq(c.get(NODES)[0], 200, "the path does not match")
    api.unfault()
    for code, reason in ((500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")):
        number = api.fault({"match": {"agent": "^special"}, "times": 1, "do": "status",
                            "code": code})
        is_status(lab.client(agent="special/1").get(NODES)[1], code, reason)
        api.unfault(number)
    api.fault({"match": {"user": "u7"}, "do": "status", "code": 500, "reason": "ServerTimeout",
               "message": "try again", "retryAfter": 3})
    seven = Client(api, token=api.token("u7"))
    is_status(seven.get(NODES)[1], 500, "ServerTimeout", "try again", retryAfterSeconds=3)
    expect_eq(c.get(NODES)[0], 200, "another user")
    api.unfault()
    api.fault({"do": "status", "code": 502, "body": "<html>Bad Gateway</html>", "times": 1})
    expect_eq(c.get(NODES), (502, "<html>Bad Gateway</html>"), "a proxy's words")
    for bad in ({"do": "nothing"}, {"do": "drop", "match": {"colour": "red"}}):
        try:
            api.fault(bad)
            raise AssertionError(f"taken: {bad}")
        except RuntimeError:
            pass


@case
def probability_and_seconds(lab):
    """A seeded probability repeats itself; seconds end a rule."""
    api, c = lab.api, lab.client()
    runs = []
    for _ in range(2):
        api.fault({"match": {"resource": "nodes"}, "probability": 0.5, "seed": 7, "do": "status",
                   "code": 500})
        runs.append([c.get(NODES)[0] for _ in range(20)])
        api.unfault()
    expect_eq(runs[0], runs[1], "the same seed")
    expect_eq(set(runs[0]), {200, 500}, "some of both")
    api.fault({"seconds": 0.3, "do": "status", "code": 500})
    expect_eq(c.get(NODES)[0], 500, "at first")
    time.sleep(0.4)
    expect_eq(c.get(NODES)[0], 200, "later")
    api.fault({"match": {"resource": "nodes"}, "do": "limit", "qps": 5})
    codes = [c.get(NODES)[0] for _ in range(12)]
    expect(codes.count(429) >= 5 and codes[0] == 200, f"a limit of requests: {codes}")


@case
def expired_on_demand(lab):
    """410 takes the form that fits: list, continue, watch (inside HTTP 200, or plain)."""
    api, c = lab.api, lab.client()
    wipe(lab, "configmaps")
    for i in range(4):
        api.create(configmap(f"m{i}"))
    page = c.get(MAPS, limit=2)[1]["metadata"]
    api.fault({"match": {"continue": True}, "times": 1, "do": "status", "code": 410})
    answer = c.get(MAPS, limit=2, **{"continue": page["continue"]})[1]
    is_status(answer, 410, "Expired")
    rest = c.get(MAPS, limit=9, **{"continue": answer["metadata"]["continue"]})[1]
    expect_eq([o["metadata"]["name"] for o in rest["items"]], ["m2", "m3"], "its token works")
    api.fault({"match": {"verb": "list"}, "times": 1, "do": "status", "code": 410})
    is_status(c.get(MAPS)[1], 410, "Expired",
              "The resourceVersion for the provided list is too old.")
    api.fault({"match": {"verb": "watch"}, "times": 1, "do": "status", "code": 410})
    w = c.watch(MAPS, resourceVersion=page["resourceVersion"])
    kind, status = w.event()
    expect_eq((w.code, kind, w.event()), (200, "ERROR", None), "a watch")
    is_status(status, 410, "Expired")
    api.fault({"match": {"verb": "watch"}, "times": 1, "do": "status", "code": 410, "http": True})
    is_status(c.get(MAPS, watch=1)[1], 410, "Expired")


@case
def errors_in_a_watch(lab):
    """ERROR events after N events and into running watches; a clean end after N."""
    api = lab.api
    wipe(lab, "configmaps")
    for code, reason in ((410, "Expired"), (500, "InternalError")):
        api.fault({"match": {"verb": "watch"}, "times": 1, "do": "watchError", "after": 1,
                   "code": code})
        w = lab.client().watch(MAPS, timeoutSeconds=5)
        api.create(configmap(f"a{code}"))
        events = w.rest()
        expect_eq(events[-1][0], "ERROR", "the last")
        is_status(events[-1][1], code, reason)
    w = lab.client().watch(MAPS, timeoutSeconds=5, resourceVersion=api.counts()["rv"])
    expect_eq(api.watch_error({"resource": "configmaps"}, 410), 1, "running watches")
    expect_eq([k for k, _ in w.rest()], ["ERROR"], "it ends")
    api.fault({"match": {"verb": "watch"}, "times": 1, "do": "endWatch", "ms": 100})
    start = time.monotonic()
    expect_eq(len(lab.client().watch(MAPS).rest()), 2, "a clean end")
    expect(time.monotonic() - start < 2, "soon")


@case
def delays(lab):
    """Before the body is read, before the commit, before the answer."""
    api, c = lab.api, lab.client()
    for where, there in (("read", False), ("commit", False), ("answer", True)):
        wipe(lab, "ippools")
        api.fault({"match": {"method": "POST"}, "times": 1, "do": "delay", "where": where,
                   "ms": 400})
        start = time.monotonic()
        c.send("POST", CRD + "/ippools", pool("slow"))
        time.sleep(0.15)
        expect_eq(api.get("ippools", "slow") is not None, there, f"{where}: written meanwhile")
        answer = c.conn.getresponse()
        answer.read()
        expect_eq(answer.status, 201, where)
        expect(0.35 < time.monotonic() - start < 2, f"{where}: {time.monotonic() - start}")


@case
def lost_answers(lab):
    """lose: the write is there, the answer is not; drop: neither."""
    api = lab.api
    for how in ("close", "abort", "reset", "hang"):
        for do, there in (("lose", True), ("drop", False)):
            wipe(lab, "ippools")
            api.fault({"match": {"verb": "create"}, "times": 1, "do": do, "how": how})
            c = lab.client(timeout=0.5)
            error = fails(c, "POST", CRD + "/ippools", pool("p"))
            if how == "hang":
                expect(isinstance(error, TimeoutError), f"hang: {error!r}")
            if how == "reset":
                expect(isinstance(error, ConnectionResetError), f"reset: {error!r}")
            expect_eq(api.get("ippools", "p") is not None, there, f"{do} {how}")


@case
def cut_bodies(lab):
    """An answer ends in the middle of its body; a watch in the middle of a line."""
    api = lab.api
    wipe(lab, "configmaps")
    api.create(configmap("a", x="y" * 3000))
    for how in ("close", "abort"):
        api.fault({"match": {"verb": "list"}, "times": 1, "do": "cut", "after": 500, "how": how})
        error = fails(lab.client(), "GET", MAPS)
        expect(isinstance(error, http.client.IncompleteRead), f"{how}: {error!r}")
        expect(error.partial == b"" or len(error.partial) <= 500, f"{len(error.partial)} bytes")
    api.fault({"match": {"verb": "get"}, "times": 1, "do": "cut"})
    expect(isinstance(fails(lab.client(), "GET", NODES + "/none"), http.client.IncompleteRead),
           "an answer of known length")
    api.fault({"match": {"verb": "watch"}, "times": 1, "do": "cut", "after": 1})
    w = lab.client().watch(MAPS)
    expect_eq(w.names(1), ["ADDED a"], "the first event is whole")
    api.create(configmap("b"))
    try:
        line = w.line()
        expect(line and not line.endswith(b"\n"), f"half a line: {line!r}")
    except http.client.IncompleteRead:
        pass  # the chunk itself is half


@case
def half_open(lab):
    """The server goes silent on an open connection: no answer, no end; others are served."""
    api = lab.api
    wipe(lab, "configmaps")
    api.fault({"match": {"verb": "get"}, "times": 1, "do": "halfopen"})
    c = lab.client(timeout=0.4)
    expect(isinstance(fails(c, "GET", NODES + "/n"), TimeoutError), "a request")
    w = lab.client(timeout=0.4).watch(MAPS, resourceVersion=api.counts()["rv"])
    expect_eq(api.close_connections({"verb": "watch"}, "freeze"), 1, "a running watch")
    api.create(configmap("a"))
    try:
        w.event()
        raise AssertionError("an event came through")
    except TimeoutError:
        pass
    expect_eq(lab.client().get(MAPS)[0], 200, "another client")
    api.close_connections({}, "reset")


@case
def lost_events(lab):
    """A watch that is not told of a deletion; vanish: no event, no history, watches cut."""
    api = lab.api
    wipe(lab, "configmaps")
    api.create(configmap("a"))
    api.create(configmap("b"))
    api.fault({"match": {"verb": "watch"}, "times": 1, "do": "dropEvents", "types": ["DELETED"],
               "object": "^default/a$"})
    rv = api.counts()["rv"]
    w = lab.client().watch(MAPS, resourceVersion=rv)
    api.delete("configmaps", "a")
    api.delete("configmaps", "b")
    expect_eq(w.names(1), ["DELETED b"], "only the one")
    api.create(configmap("c"))
    rv = api.counts()["rv"]
    w = lab.client().watch(MAPS, resourceVersion=rv)
    api.vanish("configmaps", "c")
    try:
        expect_eq(w.line(), b"", "cut")
    except BROKEN:
        pass
    expect_eq(api.list("configmaps", "default"), [], "gone")
    kind, status = lab.client().watch(MAPS, resourceVersion=rv).event()
    expect_eq((kind, status["code"]), ("ERROR", 410), "whoever watched must list again")


@case
def same_name_new_uid(lab):
    """replace: DELETED and ADDED under one name, with another UID."""
    api = lab.api
    wipe(lab, "nodes")
    old = api.create(node("n1", labels={"a": "b"}))
    w = lab.client().watch(NODES, resourceVersion=api.counts()["rv"])
    new = api.replace("nodes", "n1")
    events = w.events(2)
    expect_eq([(k, o["metadata"]["uid"]) for k, o in events],
              [("DELETED", old["metadata"]["uid"]), ("ADDED", new["metadata"]["uid"])], "events")
    expect(new["metadata"]["uid"] != old["metadata"]["uid"], "another UID")
    expect_eq(new["metadata"]["labels"], {"a": "b"}, "the same content")


@case
def slow_bodies(lab):
    """trickle: a few bytes at a time, the answer whole in the end."""
    api, c = lab.api, lab.client()
    want = c.get(NODES)[1]
    api.fault({"match": {"verb": "list", "resource": "nodes"}, "times": 1, "do": "trickle",
               "bytes": 50, "ms": 20})
    start = time.monotonic()
    expect_eq(c.get(NODES)[1]["items"], want["items"], "the same in the end")
    expect(time.monotonic() - start > 0.2, "slow")
    expect_eq(c.get("/version")[0], 200, "the connection goes on")


@case
def several_frontends(lab):
    """Two addresses, one store; one refuses, hangs, comes back."""
    api = lab.server(listen=["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"])
    token = api.token("u")
    expect_eq(len(set(api.urls)), 3, str(api.urls))
    api.create(node("n1"))
    for url in api.urls:
        expect_eq(len(Client(api, token=token, url=url).get(NODES)[1]["items"]), 1, url)
    first = Client(api, token=token, timeout=0.5)
    second = Client(api, token=token, url=api.urls[1], timeout=0.5)
    first.get(NODES)
    for mode, wanted in (("refuse", ConnectionError), ("hang", TimeoutError)):
        api.frontend(0, mode)
        expect(isinstance(fails(first, "GET", NODES), OSError), f"{mode}: an open connection")
        error = fails(first, "GET", NODES)
        expect(isinstance(error, wanted), f"{mode}: a new connection: {error!r}")
        expect_eq(second.get(NODES)[0], 200, f"{mode}: the other address")
        api.frontend(0, "ok")
        expect_eq(first.get(NODES)[0], 200, f"{mode}: back, at the same address")
    api.fault({"match": {"frontend": 1}, "do": "status", "code": 503})
    expect_eq((first.get(NODES)[0], second.get(NODES)[0]), (200, 503), "a fault of one address")


@case
def in_a_namespace(lab):
    """The server in a network namespace of its own; control goes by its socket all the same."""
    name = f"slvapi{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ["ip", "netns", "exec", name]
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, "ip", "address", "add", "10.99.0.1/32", "dev", "lo"], check=True)
        api = lab.server(prefix=inside, listen=["10.99.0.1:6443"], names=["api.example"])
        expect_eq(api.url, "https://10.99.0.1:6443", "address")
        api.create(node("n1"))
        curl = ["curl", "-sS", "-m", "5", "--cacert", api.ca, "-H",
                "Authorization: Bearer " + api.token("u")]
        out = subprocess.run([*inside, *curl, api.url + NODES], capture_output=True, text=True,
                             check=True).stdout
        expect_eq([o["metadata"]["name"] for o in json.loads(out)["items"]], ["n1"], "inside")
        out = subprocess.run([*inside, *curl, "--resolve", "api.example:6443:10.99.0.1",
                              "https://api.example:6443/version"], capture_output=True, text=True,
                             check=True).stdout
        expect("v1.33" in out, "by its other name")
        api.close()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@case
def counters(lab):
    """Requests by verb, resource, user and agent; bytes; watches; the log; control is not in it."""
    api = lab.server()
    token = api.token("n7")
    c = Client(api, token=token, agent="felix/1")
    c.get(NODES)
    c.get(NODES)
    c.get(NODES + "/none")
    c.request("POST", MAPS, configmap("a"))
    w = Client(api, token=token, agent="felix/1").watch(MAPS)
    w.event()
    counts = api.counts()
    expect_eq((counts["requests"], counts["watches"], counts["byVerbResource"], counts["byUser"],
               counts["byCode"]),
              (5, 1, {"list nodes": 2, "get nodes": 1, "create configmaps": 1,
                      "watch configmaps": 1}, {"n7": 5}, {"200": 3, "404": 1, "201": 1}), "counts")
    expect_eq(counts["byKey"]["list nodes n7 felix/1"], 2, "by all")
    expect(counts["bytesByVerbResource"]["watch configmaps"] > 100, "bytes of a watch")
    expect_eq(sum(n for _, n in counts["perSecond"]), 5, "by second")
    expect_eq([(e["method"], e["code"], e["user"]) for e in api.log(2)],
              [("POST", 201, "n7"), ("GET", 200, "n7")], "log")
    expect_eq([(x["resource"], x["user"]) for x in api.watches()], [("configmaps", "n7")],
              "watches")
    api.reset()
    expect_eq(api.counts()["requests"], 0, "reset")
    c.get(NODES)
    expect_eq(api.log()[-1]["path"], NODES, "the log goes on")
    api.set(bookmark=0.1)
    api.pause()
    expect(isinstance(fails(Client(api, token=token, timeout=0.3), "GET", NODES), TimeoutError),
           "a paused process")
    api.resume()
    expect_eq(c.get(NODES)[0], 200, "resumed")


@case
def realistic_pods(lab):
    """10,000 pods of 5 to 8 KiB are there within seconds, and a list in pages shows them all."""
    api = lab.server()
    start = time.monotonic()
    api.generate("namespaces", 20)
    api.generate("pods", 10000, nodes=100)
    expect(time.monotonic() - start < 20, f"{time.monotonic() - start:.1f} s")
    c = lab.client(api)
    names, token, bytes_read = set(), "", 0
    while True:
        page = c.get(CORE + "/pods", limit=500, **({"continue": token} if token else {}))[1]
        bytes_read += len(c.body)
        names.update(o["metadata"]["name"] for o in page["items"])
        token = page["metadata"].get("continue")
        if not token:
            break
    expect_eq(len(names), 10000, "pods")
    expect(5 * 1024 <= bytes_read / 10000 <= 8 * 1024, f"{bytes_read / 10000:.0f} bytes a pod")
    mine = c.get(CORE + "/pods", fieldSelector="spec.nodeName=node-7")[1]["items"]
    expect_eq((len(mine), mine[0]["status"]["phase"], len(mine[0]["status"]["conditions"])),
              (100, "Running", 5), "of one node")
    expect_eq(len(api.dump("namespaces")), 24, "dump")
    api.load([pod("loaded", "ns-1", "node-1")])
    expect_eq(api.get("pods", "loaded", "ns-1")["spec"]["nodeName"], "node-1", "load")


async def ask(reader, writer, token, method, path, body=b""):
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: crowd\r\nAuthorization: "
                 f"Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
                 f"{len(body)}\r\n\r\n".encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    size = next((line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), b" 0")
    return int(head.split()[1]), await reader.readexactly(int(size.split()[1]))


async def crowd(api, watchers, writes):
    token = api.token("crowd")
    context = ssl.create_default_context(cafile=api.ca)
    host, port = api.url[8:].split(":")
    gate, rv = asyncio.Semaphore(50), api.counts()["rv"]
    path = CRD + "/blockaffinities"
    open_watches = []

    async def watch():
        async with gate:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.write(f"GET {path}?watch=1&resourceVersion={rv} HTTP/1.1\r\nHost: x\r\n"
                         f"Authorization: Bearer {token}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            open_watches.append((reader, writer))

    async def drain(reader):
        seen, text = 0, b""
        while seen < writes:
            text = text[-20:] + await reader.read(65536)
            seen += text.count(b'{"type":"ADDED",') if text else writes
        return seen

    async def write(n):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        for i in range(n):
            body = json.dumps({"apiVersion": "crd.projectcalico.org/v1", "kind": "BlockAffinity",
                               "metadata": {"generateName": "a-"}, "spec": {"node": "n"}}).encode()
            code, text = await ask(reader, writer, token, "POST", path, body)
            expect_eq(code, 201, text)
        writer.close()

    await asyncio.gather(*(watch() for _ in range(watchers)))
    expect_eq(api.counts()["watches"], watchers, "watches at once")
    seen = await asyncio.gather(*(drain(r) for r, _ in open_watches),
                                *(write(writes // 4) for _ in range(4)))
    expect(min(s for s in seen if s is not None) >= writes, "every watch saw every event")
    start = time.monotonic()
    await asyncio.gather(*(write(75) for _ in range(4)))
    for _, writer in open_watches:
        writer.transport.abort()
    return 300 / (time.monotonic() - start)


@case
def a_thousand_watches(lab):
    """1,000 TLS watches at once, each gets every event; and it goes on taking writes."""
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    api = lab.server()
    rate = asyncio.run(crowd(api, 1000, 20))
    print(f"        {rate:.0f} writes/s beside 1,000 watches", flush=True)
    expect(rate > 3, f"{rate:.0f} writes a second")  # low: other tests may have the processor
    api.wait(lambda counts: counts["watches"] == 0, "closed watches are forgotten")


@case
def ends_with_its_parent(lab):
    """The command says where it serves in one JSON line, and ends when its standard input does."""
    folder = os.path.join(lab.folder, "alone")
    process = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "apiserver.py"), "--dir",
                                folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said = json.loads(process.stdout.readline())
    expect({"url", "urls", "ca", "kubeconfig", "control", "pid"} <= set(said), str(said))
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(said["control"])
    expect(os.path.exists(said["kubeconfig"]), "a kubeconfig")
    process.stdin.close()
    expect_eq(process.wait(5), 0, "exit")


if __name__ == "__main__":
    main(Holder())
