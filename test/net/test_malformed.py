#!/usr/bin/python3
"""Malformed BGP from a raw speaker: each gets the NOTIFICATION that its RFC asks for, or RFC 7606's
milder outcome; other sessions and the daemon go on."""
import json
import os
import time
import socket
import struct
import sys

from nettest import case, expect, expect_eq, main
from lab import TOP, Lab, tail, wait_for
from nodes import BGPCONF, POOLS, Node, node_doc, peer_doc
import peers
import rawbgp as raw

AS = 65009
NOTIFICATION = 3


def peer_docs(restart_time):
    return "---\n".join([POOLS, BGPCONF, node_doc("n1"), peer_doc(
        "raw", "n1", "10.8.0.1", AS, f", maxRestartTime: {restart_time}s"),
        peer_doc("steady", "n1", "10.8.1.1", 65001)])


def talk(lab, *lines):
    # A peer that made errors is damped; a changed configuration starts it over at once.
    talk.turn = getattr(talk, "turn", 100) + 1
    lab.write("resources.d/a.yaml", peer_docs(talk.turn))
    time.sleep(0.6)
    script = os.path.join(TOP, "test", "lab", "rawbgp.py")
    _, out, _ = lab.exec("raw", "/usr/bin/python3", script, "10.8.0.2", str(AS),
                         stdin="\n".join(lines) + "\n", timeout=60)
    return json.loads(out)


def notified(answer):
    """(code, subcode) of the NOTIFICATION that came."""
    for kind, body in answer["received"]:
        if kind == NOTIFICATION:
            return int(body[0:2], 16), int(body[2:4], 16)
    raise AssertionError(f"no NOTIFICATION came: {answer}")


def send(data):
    return "send " + data.hex()


def opening(data):
    return "open " + data.hex()


def edit(data, offset, value):
    return data[:offset] + value + data[offset + len(value):]


def bystander(node):
    p = node.peers()["steady"]
    return p["state"], p["since"]


def others_go_on(fn):
    def test(lab, node):
        before = bystander(node)
        pid = node.daemon_pid("bgpd")
        expect_eq(before[0], "Established", "the bystander before")
        fn(lab, node)
        expect_eq(bystander(node), before, "the bystander's session")
        expect_eq(node.daemon_pid("bgpd"), pid, "bgpd's pid")
    test.__name__, test.__doc__ = fn.__name__, fn.__doc__
    return case(test)


GOOD = raw.good_open(AS)


@others_go_on
def bad_open(lab, node):
    """OPEN: version, AS, hold time, identifier, parameters; header: marker, length, type."""
    for what, data, want in (
            ("version 3", edit(GOOD, 19, b"\x03"), (2, 1)),
            ("another AS", raw.good_open(AS + 1), (2, 2)),
            ("hold time 1", raw.good_open(AS, hold=1), (2, 6)),
            ("hold time 2", raw.good_open(AS, hold=2), (2, 6)),
            ("identifier 0", raw.good_open(AS, ident=0), (2, 3)),
            ("parameter that overruns", edit(GOOD, 30, b"\xf0"), (2, 0)),
            ("marker", edit(GOOD, 3, b"\x00"), (1, 1)),
            ("length 18", edit(GOOD, 16, b"\x00\x12"), (1, 2)),
            ("length over 4096", edit(GOOD, 16, b"\x20\x00"), (1, 2)),
            ("type 9", edit(GOOD, 18, b"\x09"), (1, 3)),
            ("OPEN of 20 bytes", edit(GOOD[:20], 16, b"\x00\x14"), (1, 2)),
            ("KEEPALIVE of 20 bytes", raw.message(4, b"x"), (1, 2)),
            ("UPDATE before OPEN", raw.update(), (5, 0))):
        got = notified(talk(lab, opening(data), "wait 2"))
        ok = got == want or (want[1] == 0 and got[0] == want[0])
        expect(ok, f"{what}: NOTIFICATION {got}, want {want}")
    error = node.peers()["raw"]["lastError"]
    expect(error, "lastError is empty after a refused OPEN")


@others_go_on
def second_open(lab, node):
    """An OPEN in Established is a finite state machine error."""
    expect_eq(notified(talk(lab, "open", send(GOOD), "wait 2"))[0], 5, "code")


def paths(node, prefix):
    return [p for r in node.ctl("routes", prefix) for p in r["paths"] if p["peer"] == "raw"]


@others_go_on
def good_update_is_taken(lab, node):
    """The raw speaker's well-formed UPDATE becomes a path: the rest of this file can fail."""
    attrs = raw.origin() + raw.as_path(AS) + raw.next_hop("10.8.0.1")
    lab.write("resources.d/a.yaml", peer_docs(99))
    time.sleep(0.6)
    script = os.path.join(TOP, "test", "lab", "rawbgp.py")
    p = lab.spawn("raw", "/bin/sh", "-c",
                  f"printf 'open\\nsend {raw.update(attrs, raw.nlri4('203.0.113.0/24')).hex()}\\n"
                  f"wait 4\\n' | /usr/bin/python3 {script} 10.8.0.2 {AS}", log="good-update.log")
    wait_for("the path", lambda: paths(node, "203.0.113.0/24"), 6)
    p.wait(timeout=20)
    lab.procs.remove(p)
    wait_for("the path to go with the session", lambda: not paths(node, "203.0.113.0/24"), 10)


def update_stays_up(lab, node, what, attrs, prefix="203.0.113.0/24"):
    """RFC 7606: the session stays, the route is not there."""
    good = raw.origin() + raw.as_path(AS) + raw.next_hop("10.8.0.1")
    answer = talk(lab, "open", send(raw.update(good, raw.nlri4(prefix))),
                  send(raw.update(attrs, raw.nlri4(prefix))), "wait 1.5")
    kinds = [k for k, _ in answer["received"]]
    expect(1 in kinds and 4 in kinds, f"{what}: no session came up: {answer}")
    expect(NOTIFICATION not in kinds and not answer["closed"], f"{what}: {answer}")


@others_go_on
def treat_as_withdraw(lab, node):
    """RFC 7606 section 7: malformed attributes leave the session up (unit tests see the withdrawal)."""
    o, a, n = raw.origin(), raw.as_path(AS), raw.next_hop("10.8.0.1")
    for what, attrs in (
            ("ORIGIN 3", raw.origin(3) + a + n),
            ("ORIGIN of two bytes", raw.attribute(0x40, 1, b"\0\0") + a + n),
            ("ORIGIN missing", a + n),
            ("AS_PATH missing", o + n),
            ("AS_PATH segment overruns", o + raw.attribute(0x40, 2, b"\x02\x05\0\0\0\1") + n),
            ("AS_PATH with AS 0", o + raw.as_path(AS, 0) + n),
            ("NEXT_HOP of 5 bytes", o + a + raw.attribute(0x40, 3, b"\n\x08\0\1\1")),
            ("NEXT_HOP missing", o + a),
            ("MED of 3 bytes", o + a + n + raw.attribute(0x80, 4, b"abc")),
            ("COMMUNITIES of 5 bytes", o + a + n + raw.attribute(0xC0, 8, b"abcde")),
            ("wrong flags of ORIGIN", raw.attribute(0x80, 1, b"\0") + a + n)):
        update_stays_up(lab, node, what, attrs)


@others_go_on
def attribute_discard(lab, node):
    """RFC 7606: malformed AGGREGATOR and ATOMIC_AGGREGATE are dropped, the session stays."""
    good = raw.origin() + raw.as_path(AS) + raw.next_hop("10.8.0.1")
    for what, extra in (("AGGREGATOR of 3 bytes", raw.attribute(0xC0, 7, b"abc")),
                        ("ATOMIC_AGGREGATE of 1 byte", raw.attribute(0x40, 6, b"x"))):
        update_stays_up(lab, node, what, good + extra)


@others_go_on
def session_reset(lab, node):
    """What cannot be parsed at all resets the session, code 3."""
    good = raw.origin() + raw.as_path(AS) + raw.next_hop("10.8.0.1")
    for what, data, sub in (
            ("attributes overrun the message", raw.message(2, b"\0\0\xff\xff" + good), 1),
            ("NLRI of 33 bits", raw.update(good, b"\x21\x0a\0\0\0\0"), 10),
            ("two MP_UNREACH", raw.update(raw.attribute(0x80, 15, b"\0\2\1") * 2), 1)):
        code, got = notified(talk(lab, "open", send(data), "wait 2"))
        expect_eq((code, got), (3, sub), what)


@others_go_on
def garbage(lab, node):
    """Bytes that are no BGP at all, and a connection that says nothing."""
    talk(lab, "open " + (b"GET / HTTP/1.0\r\n\r\n" * 3).hex(), "wait 1")
    lab.exec("raw", "/usr/bin/python3", "-c",
             "import socket; socket.create_connection(('10.8.0.2', 179)).close()")


@others_go_on
def unknown_source(lab, node):
    """A connection from an address that is no peer is closed at once."""
    lab.ip("raw", "addr", "add", "10.8.0.77/24", "dev", "n1")
    code = ("import socket\ns=socket.socket()\ns.bind(('10.8.0.77',0))\ns.settimeout(5)\n"
            "s.connect(('10.8.0.2',179))\n"
            "try:\n d=s.recv(100)\nexcept ConnectionResetError:\n d=b''\n"
            "print(len(d))")
    out = lab.exec("raw", "/usr/bin/python3", "-c", code)[1]
    expect(int(out) in (0, 21), f"{out} bytes came: only a close or a NOTIFICATION is right")


if __name__ == "__main__":
    the_lab = Lab("slvmal")
    for name in ("n1", "raw", "steady"):
        the_lab.add_ns(name, forward=name == "steady")
    the_lab.link("n1", "raw", "raw", "n1", ["10.8.0.2/24", "fd00:8::2/64"], ["10.8.0.1/24"])
    the_lab.link("n1", "steady", "steady", "n1", ["10.8.1.2/24"], ["10.8.1.1/24"])
    the_lab.write("resources.d/a.yaml", peer_docs(100))
    the_node = Node(the_lab, "n1", 64512, ["10.8.0.2/24", "fd00:8::2/64"],
                    the_lab.path("resources.d"))
    bird = peers.Bird(the_lab, "steady", 65001, "192.0.2.1", [("10.8.1.2", 64512)])
    try:
        bird.start()
        the_node.start()
        wait_for("the bystander", lambda: bystander(the_node)[0] == "Established", 20)
    except BaseException:
        print(tail(the_node.log, 30))
        the_lab.close()
        raise
    main(the_lab, the_node)
