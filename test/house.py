#!/usr/bin/python3
"""The rules of the house, checked: who may include whom, and what stays pure.

Run from anywhere; exit 1 with one line a breach. `make check` runs it.
"""
import os
import re
import sys

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Room -> rooms whose headers it may include (itself always).
ROOMS = {
    "lib": set(), "bgpd": {"lib"}, "cni": {"lib"}, "nodectl": {"lib"}, "noded": {"lib"},
    "ipam": {"lib"}, "store": {"lib"}, "felix": {"lib", "ipam", "store"},
}
# Library header -> where it may be included.
LIBRARIES = {
    r"curl/": [r"^store/kube_http"],
    r"json-c/|json\.h|json_object\.h": [r"^store/", r"^cni/", r"^nodectl/"],
    r"yaml\.h": [r"^lib/yaml\.c$", r"^store/directory"],
    r"libmnl/": [r"^lib/nl", r"^felix/"],
    r"libnftnl/": [r"^lib/nl", r"^felix/"],
    r"microhttpd\.h": [r"^felix/metrics\.c$"],
    r"ev\.h": [r"^lib/(ipc|child|nl_events)\.[ch]$", r"^store/(directory|kube)", r"^bgpd/[^/]*$",
               r"^felix/", r"^noded/"],
}
# Pure: no loop, socket, clock, file or process.
PURE = [r"^bgpd/wire/", r"^bgpd/rib/", r"^bgpd/fsm\.", r"^bgpd/collision\.", r"^bgpd/config_diff\.",
        r"^ipam/(block|blocks_compute|journal_format|sync|sync_\w+|collect|collect_\w+)\.",
        r"^lib/(bytes|prefix|msg|msg_table|node|schema|"
        r"selector|yaml|arena|err|kubeconfig|kube_access|kube_impl|ipamobj)\.", r"^felix/policy/", r"^felix/(bgpconf(_peers|_secret)?|blocks|services|ippools|routes_diff)\.", r"^store/(model|check|backoff|kube_path|kube_http_error|"
        r"reflector|json_split|pods|ipamobj_json)",
        r"^noded/backoff\."]
PURE_HEADERS = re.compile(
    r"^(ev\.h|sys/socket\.h|time\.h|sys/time\.h|fcntl\.h|unistd\.h|sys/timerfd\.h|poll\.h|"
    r"sys/epoll\.h|libmnl/.*|linux/.*netlink\.h|signal\.h|sys/wait\.h)$")
# Socket address types are needed to translate addresses, not to talk.
PURE_EXCEPT = {("lib/prefix.c", "sys/socket.h")}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def sources():
    for room in ROOMS:
        for folder, _, files in os.walk(os.path.join(TOP, room)):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    yield room, os.path.relpath(path, TOP), path


def main():
    breaches, files = [], 0
    for room, rel, path in sources():
        files += 1
        pure = any(re.search(p, rel) for p in PURE)
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = INCLUDE.match(line)
                if not m:
                    continue
                quoted, header = m.group(1) == '"', m.group(2)
                at = f"{rel}:{number}"
                first = header.split("/")[0]
                if quoted and first in ROOMS and first != room and first not in ROOMS[room]:
                    breaches.append(f"{at}: {room} may not include {header} (rooms allowed: "
                                    f"{', '.join(sorted(ROOMS[room])) or 'none but itself'})")
                if quoted and "/" not in header and header != "config.h":
                    breaches.append(f"{at}: name the room: #include \"{room}/{header}\"")
                if not quoted:
                    for lib, places in LIBRARIES.items():
                        if re.match(lib, header) and not any(re.search(p, rel) for p in places):
                            breaches.append(f"{at}: <{header}> is not for this file (allowed: "
                                            f"{', '.join(places)})")
                if pure and PURE_HEADERS.match(header) and (rel, header) not in PURE_EXCEPT:
                    breaches.append(f"{at}: {rel} is pure; <{header}> brings in a loop, socket or "
                                    "clock")
    for b in breaches:
        print(b)
    if not files:
        print(f"{TOP}: no sources found; the check looks in the wrong place")
        return 1
    print(f"house: {files} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
