"""Selvage nodes and pods in a lab: noded from the tree with a configuration of its own, pods by the
CNI binary run as containerd runs it, and the fabric of the demo: two ToRs, three nodes.
"""
import json
import os
import signal
import subprocess
import time
import uuid

from lab import LabError, binary, run, tail, wait_for

CNI_VERSION = "1.0.0"


class Pod:
    """A network namespace that the CNI binary connects."""

    def __init__(self, node, name, namespace="default", labels=None):
        self.node, self.lab = node, node.lab
        self.name, self.namespace = name, namespace
        self.labels = labels or {}
        self.container = uuid.uuid4().hex + uuid.uuid4().hex
        self.space = self.lab.space(f"{node.name}-{name}")
        self.ns = f"{node.name}-{name}"
        self.lab.add_ns(self.ns)
        self.result = None
        self.add_ms = None

    def conf(self, **extra):
        conf = {"cniVersion": CNI_VERSION, "name": "selvage", "type": "selvage",
                "run": self.node.run_dir, "ipam": {"type": "selvage-ipam"}}
        if self.labels:
            conf["args"] = {"cni": {"labels": [{"key": k, "value": v}
                                               for k, v in self.labels.items()]}}
        conf.update(extra)
        return conf

    def env(self, command):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND": command,
                "CNI_CONTAINERID": self.container, "CNI_NETNS": f"/run/netns/{self.space}",
                "CNI_IFNAME": "eth0", "CNI_PATH": os.path.dirname(binary("cni/selvage")),
                "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={self.namespace};"
                            f"K8S_POD_NAME={self.name};"
                            f"K8S_POD_INFRA_CONTAINER_ID={self.container}"}

    def cni(self, command, conf=None, env=None, check=True):
        """Runs the plugin in the node's namespace; returns (status, parsed stdout or None)."""
        start = time.monotonic()
        p = subprocess.run(self.lab.argv(self.node.name, binary("cni/selvage")),
                           input=json.dumps(conf or self.conf()), capture_output=True, text=True,
                           timeout=60, env=env or self.env(command))
        self.last_ms = (time.monotonic() - start) * 1000
        out = json.loads(p.stdout) if p.stdout.strip() else None
        if check and p.returncode != 0:
            raise LabError(f"CNI {command} for {self.name} on {self.node.name}: "
                           f"{out and out.get('msg')} {out and out.get('details')} {p.stderr}")
        return p.returncode, out

    def add(self):
        _, self.result = self.cni("ADD")
        self.add_ms = self.last_ms
        return self.result

    def delete(self):
        self.cni("DEL")

    def address(self, fam):
        for ip in self.result["ips"]:
            if (":" in ip["address"]) == (fam == 6):
                return ip["address"].split("/")[0]
        raise LabError(f"{self.name} has no IPv{fam} address: {self.result}")

    def exec(self, *args, **kw):
        return self.lab.exec(self.ns, *args, **kw)

    def ping(self, address, count=1, wait=1, interval=None):
        """(answered, list of TTLs, stdout)"""
        args = ["ping", "-n", "-c", str(count), "-W", str(wait)]
        if interval:
            args += ["-i", str(interval)]
        _, out, err = self.exec(*args, address, check=False, timeout=count * 2 + wait + 20)
        ttls = [int(part.split("=")[1]) for line in out.splitlines() for part in line.split()
                if part.startswith("ttl=")]
        return len(ttls), ttls, out + err


class Node:
    """noded -c of its own in a namespace, its resources in a directory of YAML."""

    def __init__(self, lab, name, asn, addresses, resources, options=None):
        self.lab, self.name, self.asn, self.addresses = lab, name, asn, addresses
        self.resources = resources
        self.options = options or {}
        self.dir = lab.mkdir(name)
        self.run_dir = os.path.join(self.dir, "run")
        self.state_dir = os.path.join(self.dir, "state")
        self.proc = None
        self.log = lab.path(f"{name}-noded.log")

    def config(self):
        lines = ["node:", f"  name: {self.name}",
                 f"  address: [{', '.join(chr(34) + a + chr(34) for a in self.addresses)}]",
                 "datastore:", "  kind: directory", f"  path: {self.resources}", "bgp:"]
        if self.asn:
            lines.append(f"  asn: {self.asn}")
        lines += [f"  {line}" for line in self.options.get("bgp", ["defaults: {holdTime: 9s}"])]
        lines += ["state:", f"  dir: {self.state_dir}", f"  run: {self.run_dir}",
                  f"log: {{level: {self.options.get('log', 'info')}}}"]
        return "\n".join(lines + self.options.get("lines", [])) + "\n"

    def write_config(self):
        self.config_path = self.lab.write(f"{self.name}/node.yaml", self.config())
        return self.config_path

    def start(self, wait=True, env=None, under=()):
        self.write_config()
        self.proc = self.lab.spawn(self.name, *under, binary("noded/noded"), "-c",
                                   self.config_path, log=f"{self.name}-noded.log", env=env)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=20):
        """Ready but for BGP sessions, which the peers may not be there for yet."""
        def ready():
            if self.proc.poll() is not None:
                raise SystemExit(f"noded of {self.name} ended with status {self.proc.returncode}:\n"
                                 + tail(self.log))
            reasons = self.ctl("status")["reasons"]
            return all("no BGP peer is established" in r for r in reasons) or reasons
        wait_for(f"{self.name} to be ready", lambda: ready() is True, timeout)

    def stop(self, sig=signal.SIGTERM, timeout=15):
        code = self.lab.stop(self.proc, sig, timeout)
        self.proc = None
        return code

    def ctl(self, *words):
        """nodectl -j: its JSON, whatever its exit status says, unless the daemon is not reached."""
        code, out, err = run([binary("nodectl/nodectl"), "-s", self.run_dir, "-j", *words],
                             check=False)
        if code >= 2 or not out.strip():
            raise LabError(f"nodectl {' '.join(words)} on {self.name}: exit {code}: {err.strip()}")
        return json.loads(out)

    def ctl_text(self, *words):
        return run([binary("nodectl/nodectl"), "-s", self.run_dir, *words], check=False)[1]

    def peers(self):
        return {p["name"]: p for p in self.ctl("status")["bgp"]["peers"]}

    def wait_peers(self, n, timeout=30):
        wait_for(f"{self.name} to have {n} established peers",
                 lambda: sum(p["state"] == "Established" for p in self.peers().values()) >= n,
                 timeout)

    def route(self, prefix):
        """The kernel's own words on one prefix: sorted gateways of its next-hop object or group."""
        fam = "-6" if ":" in prefix else "-4"
        routes = self.lab.ip_json(self.name, fam, "-d", "route", "show", prefix)
        # With nexthop_compat_mode=0 a route names its object only.
        objects = {n["id"]: n for n in self.lab.ip_json(self.name, "nexthop", "show")}
        hops = []
        for r in routes:
            nh = objects.get(r.get("nhid"), r)
            members = [objects.get(m["id"], {}) for m in nh.get("group", [])] or [nh]
            hops += [m["gateway"] for m in members if "gateway" in m]
        return sorted(set(hops))

    def route_text(self, prefix):
        """The same for people: the route, its group and the group's members."""
        fam = "-6" if ":" in prefix else "-4"
        routes = self.lab.ip_json(self.name, fam, "-d", "route", "show", prefix)
        text = self.lab.ip(self.name, fam, "route", "show", prefix)
        for r in routes:
            if "nhid" not in r:
                continue
            group = self.lab.ip(self.name, "nexthop", "get", "id", str(r["nhid"]))
            text += group
            for member in self.lab.ip_json(self.name, "nexthop", "get", "id", str(r["nhid"])):
                for m in member.get("group", []):
                    text += self.lab.ip(self.name, "nexthop", "get", "id", str(m["id"]))
        return text

    def daemon_pid(self, name):
        for d in self.ctl("status")["daemons"]:
            if d["name"] == name:
                return d["pid"]
        raise LabError(f"{self.name}: nodectl status names no daemon {name}")


POOLS = """apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods-v4}
spec: {cidr: 10.244.0.0/16, blockSize: 26}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods-v6}
spec: {cidr: "fd00:10:244::/48", blockSize: 122}
"""

BGPCONF = """apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec: {nodeToNodeMeshEnabled: false, asNumber: 64512, logSeverityScreen: Info}
"""


def node_doc(name, asn=None):
    spec = f"spec: {{bgp: {{asNumber: {asn}}}}}\n" if asn else ""
    return f"apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {name}}}\n{spec}"


def peer_doc(name, node, ip, asn, extra=""):
    return f"""apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {{name: {name}}}
spec: {{node: {node}, peerIP: {ip}, asNumber: {asn}{extra}}}
"""


class Fabric:
    """Two ToRs and n nodes, each node with a link to both: the demo's topology.

    Link tor t (1, 2), node n: 10.t.n.0/24 and fd00:t:n::/64; the ToR is .1, the node .2.
    """
    NODE_AS, TOR_AS = 65100, 65000

    def __init__(self, lab, nodes=3, tors=("frr", "bird"), node_options=None, tor_options=None):
        import peers
        self.lab = lab
        self.nodes, self.tors = [], []
        self.resources = lab.mkdir("resources.d")
        docs = []
        for t in range(1, len(tors) + 1):
            lab.add_ns(f"tor{t}", forward=True)
        for n in range(1, nodes + 1):
            lab.add_ns(f"n{n}")
            for t in range(1, len(tors) + 1):
                lab.link(f"n{n}", f"tor{t}", f"tor{t}", f"n{n}",
                         [f"10.{t}.{n}.2/24", f"fd00:{t}:{n}::2/64"],
                         [f"10.{t}.{n}.1/24", f"fd00:{t}:{n}::1/64"])
                docs.append(peer_doc(f"n{n}-tor{t}", f"n{n}", f"10.{t}.{n}.1", self.TOR_AS + t))
            self.nodes.append(Node(lab, f"n{n}", self.NODE_AS + n,
                                   [f"10.1.{n}.2/24", f"fd00:1:{n}::2/64"], self.resources,
                                   node_options))
        lab.write("resources.d/10-pools.yaml", POOLS)
        lab.write("resources.d/20-bgp.yaml", BGPCONF + "---\n" + "---\n".join(docs))
        lab.write("resources.d/30-nodes.yaml", "---\n".join(
            node_doc(n.name, n.asn) for n in self.nodes))
        for t, kind in enumerate(tors, 1):
            self.tors.append(peers.KINDS[kind](
                lab, f"tor{t}", self.TOR_AS + t, f"192.0.2.{t}",
                [(f"10.{t}.{n}.2", self.NODE_AS + n) for n in range(1, nodes + 1)],
                tor_options))

    def start(self):
        for tor in self.tors:
            tor.start()
        for node in self.nodes:
            node.start()

    def blocks(self, node, fam=None):
        found = [b["cidr"] for b in node.ctl("status")["ipam"]["blocks"]]
        return [b for b in found if fam is None or (":" in b) == (fam == 6)]

    def wait_converged(self, timeout=40):
        """Every node's kernel has a route to every other node's blocks over each ToR."""
        blocks = {}
        for node in self.nodes:
            node.wait_peers(len(self.tors), timeout)
            blocks[node.name] = self.blocks(node)
        for node in self.nodes:
            for other in self.nodes:
                if node is other:
                    continue
                for block in blocks[other.name]:
                    wait_for(f"{node.name} to have {len(self.tors)} paths to {block} of "
                             f"{other.name}",
                             lambda: len(node.route(block)) == len(self.tors), timeout)
        return blocks
