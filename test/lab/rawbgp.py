#!/usr/bin/python3
"""A BGP speaker that says exactly the bytes it is told to: for malformed messages.

    rawbgp.py ADDRESS OWN_AS < script of hex lines

Run inside the ToR's namespace. Lines: "open HEX" (a whole OPEN to send in place of a good one), "send HEX" (a
whole message), "wait SECONDS". Prints one JSON line: {"received": [[type, hex body] ...],
"closed": bool}.
"""
import json
import select
import socket
import struct
import sys
import time

MARKER = b"\xff" * 16


def message(kind, body):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def good_open(asn, hold=9, ident=0xC0000299):
    caps = b"".join(bytes([code, len(value)]) + value for code, value in (
        (1, struct.pack("!HBB", 1, 0, 1)), (1, struct.pack("!HBB", 2, 0, 1)), (2, b""),
        (65, struct.pack("!I", asn))))
    params = bytes([2, len(caps)]) + caps
    return message(1, struct.pack("!BHHIB", 4, asn if asn < 65536 else 23456, hold, ident,
                                  len(params)) + params)


def attribute(flags, kind, value):
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack("!BBB", flags, kind, len(value)) + value


def update(attrs=b"", nlri=b"", withdrawn=b""):
    return message(2, struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attrs))
                   + attrs + nlri)


def as_path(*asns):
    return attribute(0x40, 2, struct.pack("!BB", 2, len(asns)) + b"".join(
        struct.pack("!I", a) for a in asns))


def origin(value=0):
    return attribute(0x40, 1, bytes([value]))


def next_hop(address):
    return attribute(0x40, 3, socket.inet_aton(address))


def nlri4(prefix):
    address, bits = prefix.split("/")
    bits = int(bits)
    return bytes([bits]) + socket.inet_aton(address)[:(bits + 7) // 8]


class Speaker:
    """Connects, collects what the other side says."""

    def __init__(self, address, timeout=10):
        end = time.monotonic() + timeout
        while True:
            try:
                self.sock = socket.create_connection((address, 179), timeout=3)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.data, self.received, self.closed = b"", [], False

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while not self.closed and time.monotonic() < end:
            ready, _, _ = select.select([self.sock], [], [], max(0, end - time.monotonic()))
            if not ready:
                break
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                self.closed = True
            self.data += got
            while len(self.data) >= 19:
                length = struct.unpack("!H", self.data[16:18])[0]
                if len(self.data) < length:
                    break
                self.received.append([self.data[18], self.data[19:length].hex()])
                self.data = self.data[length:]

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True


def main():
    address, asn = sys.argv[1], int(sys.argv[2])
    speaker = Speaker(address)
    opened = False
    for line in sys.stdin:
        word, _, value = line.strip().partition(" ")
        if word == "open":
            speaker.send(bytes.fromhex(value) if value else good_open(asn))
            if not value:
                speaker.pump(1.0)
                speaker.send(message(4, b""))
            opened = True
            speaker.pump(0.5)
        elif word == "send":
            speaker.send(bytes.fromhex(value))
        elif word == "wait":
            speaker.pump(float(value))
    assert opened
    print(json.dumps({"received": speaker.received, "closed": speaker.closed}))


if __name__ == "__main__":
    main()
