"""Real BGP speakers from the distribution as ToR switches: one class each, with the same verbs.

    neighbors: [(address, asn)]; the two families run in one session (over IPv4).
    start(), stop(sig), established() -> set of addresses, routes(fam) -> {prefix: set of next hops}
"""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess

from lab import LabError, run, wait_for


def listens(path):
    """True when something accepts on the Unix socket: its file alone says nothing."""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


class Peer:
    program = None

    def __init__(self, lab, name, asn, router_id, neighbors, options=None):
        self.lab, self.name, self.asn, self.router_id = lab, name, asn, router_id
        self.neighbors = neighbors
        self.options = options or {}
        self.procs = []
        self.dir = lab.mkdir(name)
        if not shutil.which(self.program):
            raise LabError(f"{self.program} is missing; ./bootstrap check installs it")

    def stop(self, sig=signal.SIGTERM):
        for p in self.procs:
            self.lab.stop(p, sig)
        self.procs = []

    def wait_established(self, n=None, timeout=30):
        want = len(self.neighbors) if n is None else n
        wait_for(f"{self.name} ({type(self).__name__}) to have {want} sessions",
                 lambda: len(self.established()) >= want, timeout)

    def log_paths(self):
        return [p.log_path for p in self.procs]


class Bird(Peer):
    program = "/usr/sbin/bird"

    def config(self):
        # The kernel protocol makes it forward; ECMP as a ToR does.
        text = f"""log stderr all;
router id {self.router_id};
protocol device {{ scan time 1; }}
protocol direct {{ ipv4; ipv6; }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; merge paths on; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; merge paths on; }}
"""
        for i, (addr, asn) in enumerate(self.neighbors):
            text += f"""protocol bgp n{i + 1} {{
  local as {self.asn}; neighbor {addr} as {asn};
  hold time {self.options.get("hold", 9)}; connect retry time 2; error wait time 1, 4;
  connect delay time 1;
  graceful restart {self.options.get("gr", "aware")};
  {self.options.get("session", "")}
  ipv4 {{ import all; export {self.options.get("export4", "where source = RTS_BGP || source = RTS_STATIC")}; next hop self; }};
  ipv6 {{ import all; export {self.options.get("export6", "where source = RTS_BGP || source = RTS_STATIC")}; next hop self; }};
}}
"""
        return text + self.options.get("extra", "")

    def start(self):
        conf = self.lab.write(f"{self.name}/bird.conf", self.config())
        self.sock = os.path.join(self.dir, "bird.ctl")
        self.procs = [self.lab.spawn(self.name, self.program, "-f", "-c", conf, "-s", self.sock,
                                     log=f"{self.name}-bird.log")]
        wait_for(f"{self.name}: BIRD's control socket", lambda: os.path.exists(self.sock), 10)

    def birdc(self, *words):
        return run(["birdc", "-s", self.sock, *words])[1]

    def reconfigure(self):
        self.lab.write(f"{self.name}/bird.conf", self.config())
        self.birdc("configure")

    def established(self):
        up = set()
        for m in re.finditer(r"^n(\d+)\s+BGP\s+\S+\s+up\s.*Established", self.birdc(
                "show", "protocols"), re.M):
            up.add(self.neighbors[int(m.group(1)) - 1][0])
        return up

    def routes(self, fam):
        table = "master4" if fam == 4 else "master6"
        out, prefix, found = self.birdc("show", "route", "table", table, "all"), None, {}
        for line in out.splitlines():
            m = re.match(r"^(\S+/\d+)?\s+unicast \[(\S+)", line)
            if m:
                prefix = m.group(1) or prefix
                bgp = m.group(2).startswith("n")
            m = re.match(r"^\s+via (\S+) on", line)
            if m and prefix and bgp:
                found.setdefault(prefix, set()).add(m.group(1))
        return found


class Frr(Peer):
    program = "/usr/lib/frr/bgpd"

    def config(self):
        lines = ["frr defaults datacenter", "log stdout informational", f"router bgp {self.asn}",
                 f" bgp router-id {self.router_id}", " no bgp ebgp-requires-policy",
                 " no bgp network import-check", " bgp bestpath as-path multipath-relax",
                 " timers bgp 3 9"]
        for addr, asn in self.neighbors:
            lines += [f" neighbor {addr} remote-as {asn}", f" neighbor {addr} timers connect 2",
                      f" neighbor {addr} advertisement-interval 0"]
            lines += [f" neighbor {addr} {x}" for x in self.options.get("neighbor", [])]
        for fam in (4, 6):
            lines.append(f" address-family ipv{fam} unicast")
            lines += [f"  neighbor {a} activate" for a, _ in self.neighbors]
            lines += [f"  neighbor {a} next-hop-self" for a, _ in self.neighbors]
            lines += [f"  network {p}" for p in self.options.get(f"networks{fam}", [])]
            lines += ["  maximum-paths 8", " exit-address-family"]
        return "\n".join(lines + ["!", ""])

    def start(self):
        self.lab.write(f"{self.name}/zebra.conf", "frr defaults datacenter\nlog stdout\n")
        self.lab.write(f"{self.name}/bgpd.conf", self.config())
        user = pwd.getpwnam("frr")
        os.chown(self.dir, user.pw_uid, user.pw_gid)
        zserv = os.path.join(self.dir, "zserv.api")
        # A killed zebra leaves its socket behind. A bgpd that starts against that one tries again
        # only after ten seconds, and until then it has no IPv6 next hop to offer.
        if os.path.exists(zserv):
            os.unlink(zserv)
        common = ["--vty_socket", self.dir, "-z", zserv, "-P", "0"]
        self.procs = [self.lab.spawn(
            self.name, "/usr/lib/frr/zebra", "-f", f"{self.dir}/zebra.conf", "-i",
            f"{self.dir}/zebra.pid", *common, log=f"{self.name}-zebra.log")]
        wait_for(f"{self.name}: zebra's socket", lambda: listens(zserv), 10)
        self.procs.append(self.lab.spawn(
            self.name, self.program, "-f", f"{self.dir}/bgpd.conf", "-i", f"{self.dir}/bgpd.pid",
            *common, log=f"{self.name}-frr.log"))
        wait_for(f"{self.name}: FRR's vty", lambda: self.vtysh("show version"), 15)

    def vtysh(self, command):
        return run(["vtysh", "--vty_socket", self.dir, "-d", "bgpd", "-c", command])[1]

    def configure(self, *lines):
        args = ["vtysh", "--vty_socket", self.dir, "-d", "bgpd", "-c", "configure terminal"]
        for line in lines:
            args += ["-c", line]
        run(args)

    def established(self):
        peers = json.loads(self.vtysh("show bgp ipv4 unicast summary json") or "{}").get("peers", {})
        return {a for a, p in peers.items() if p.get("state") == "Established"}

    def routes(self, fam):
        data = json.loads(self.vtysh(f"show bgp ipv{fam} unicast json") or "{}")
        found = {}
        for prefix, paths in data.get("routes", {}).items():
            for path in paths:
                if not path.get("valid"):
                    continue
                for hop in path.get("nexthops", []):
                    if hop.get("ip") and hop.get("scope") != "link-local":
                        found.setdefault(prefix, set()).add(hop["ip"])
        return {p: h for p, h in found.items() if h != {"0.0.0.0"} and h != {"::"}}


class Gobgp(Peer):
    program = "/usr/bin/gobgpd"

    def config(self):
        text = f"""[global.config]
  as = {self.asn}
  router-id = "{self.router_id}"
"""
        for addr, asn in self.neighbors:
            text += f"""[[neighbors]]
  [neighbors.config]
    neighbor-address = "{addr}"
    peer-as = {asn}
  [neighbors.timers.config]
    connect-retry = 2
    hold-time = 9
    keepalive-interval = 3
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
"""
        return text

    def start(self):
        conf = self.lab.write(f"{self.name}/gobgp.toml", self.config())
        self.procs = [self.lab.spawn(self.name, self.program, "-f", conf, "--api-hosts",
                                     "127.0.0.1:50051", log=f"{self.name}-gobgp.log")]
        wait_for(f"{self.name}: GoBGP's API", lambda: self.gobgp("neighbor") is not None, 15)

    def gobgp(self, *words):
        code, out, err = self.lab.exec(self.name, "/usr/bin/gobgp", "-j", *words, check=False)
        if code != 0:
            raise LabError(f"gobgp {' '.join(words)}: {err or out}")
        return json.loads(out) if out.strip() and out.strip() != "null" else []

    def announce(self, prefix, nexthop):
        fam = "ipv6" if ":" in prefix else "ipv4"
        self.lab.exec(self.name, "/usr/bin/gobgp", "global", "rib", "add", prefix, "nexthop",
                      nexthop, "origin", "igp", "-a", fam)

    def established(self):
        return {n["conf"]["neighbor_address"] for n in self.gobgp("neighbor")
                if n.get("state", {}).get("session_state") == 6}

    def routes(self, fam):
        data, found = self.gobgp("global", "rib", "-a", f"ipv{fam}"), {}
        for prefix, paths in (data or {}).items():
            for path in paths:
                for attr in path.get("attrs", []):
                    if attr.get("type") in (3, 14) and attr.get("nexthop"):
                        found.setdefault(prefix, set()).add(attr["nexthop"])
        return found


class Openbgpd(Peer):
    program = "/usr/sbin/bgpd"

    def config(self):
        text = f"""AS {self.asn}
router-id {self.router_id}
socket "{self.dir}/bgpd.sock"
fib-update yes
holdtime 9
"""
        for fam in (4, 6):
            for net in self.options.get(f"networks{fam}", []):
                text += f"network {net}\n"
        for addr, asn in self.neighbors:
            text += f"""neighbor {addr} {{
    remote-as {asn}
    announce IPv4 unicast
    announce IPv6 unicast
    {self.options.get("local", "")}
}}
"""
        return text + "allow from any\nallow to any\n"

    def start(self):
        conf = self.lab.write(f"{self.name}/bgpd.conf", self.config())
        os.chmod(conf, 0o600)
        # The package leaves its chroot folder to systemd's RuntimeDirectory.
        os.makedirs(pwd.getpwnam("_openbgpd").pw_dir, mode=0o755, exist_ok=True)
        self.procs = [self.lab.spawn(self.name, self.program, "-d", "-f", conf,
                                     log=f"{self.name}-openbgpd.log")]
        wait_for(f"{self.name}: OpenBGPD's socket",
                 lambda: os.path.exists(f"{self.dir}/bgpd.sock"), 10)

    def bgpctl(self, *words):
        return json.loads(run(["bgpctl", "-s", f"{self.dir}/bgpd.sock", "-j", *words])[1])

    def established(self):
        return {n["remote_addr"] for n in self.bgpctl("show").get("neighbors", [])
                if n.get("state") == "Established"}

    def routes(self, fam):
        data, found = self.bgpctl("show", "rib", "ipv4" if fam == 4 else "ipv6"), {}
        for r in data.get("rib", []):
            hop = r.get("exit_nexthop") or r.get("true_nexthop")
            if r.get("neighbor", {}).get("remote_addr") and hop:
                found.setdefault(r["prefix"], set()).add(hop)
        return found


KINDS = {"bird": Bird, "frr": Frr, "gobgp": Gobgp, "openbgpd": Openbgpd}
