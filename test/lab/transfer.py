#!/usr/bin/python3
"""One TCP transfer whose every byte is compared: serve ADDRESS PORT | send ADDRESS PORT BYTES.

Exit 0 only if what arrived is what was sent, by length and SHA-256.
"""
import hashlib
import socket
import sys

CHUNK = bytes(i * 7 % 251 for i in range(1 << 20))


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(address, port):
    listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(1)
    listener.settimeout(60)
    print("listening", flush=True)
    conn, _ = listener.accept()
    conn.settimeout(60)
    digest, total = hashlib.sha256(), 0
    while True:
        data = conn.recv(1 << 18)
        if not data:
            break
        digest.update(data)
        total += len(data)
    if total < 40:
        print(f"only {total} bytes came")
        return 1
    conn.sendall(f"{total} {digest.hexdigest()}\n".encode())
    return 0


def send(address, port, size):
    conn = socket.socket(family(address), socket.SOCK_STREAM)
    conn.settimeout(60)
    conn.connect((address, port))
    digest, left = hashlib.sha256(), size
    while left:
        piece = CHUNK[:min(left, len(CHUNK))]
        conn.sendall(piece)
        digest.update(piece)
        left -= len(piece)
    conn.shutdown(socket.SHUT_WR)
    answer = b""
    while not answer.endswith(b"\n"):
        data = conn.recv(200)
        if not data:
            break
        answer += data
    want = f"{size} {digest.hexdigest()}\n"
    if answer.decode() != want:
        print(f"sent {want.strip()}, the other side got {answer.decode().strip() or 'nothing'}")
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve(sys.argv[2], int(sys.argv[3])))
    sys.exit(send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
