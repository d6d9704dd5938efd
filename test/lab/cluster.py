"""A cluster in a lab: one API server, nodes that know nothing but it, all on one wire.

The wire is a bridge in the namespace "api", which is 10.50.0.1 and fd00:50::1; node n<i> is
10.50.0.<10+i> and fd00:50::<10+i>.
"""
import os
import sys

from lab import TOP, wait_for
from nodes import Node, Pod

sys.path.insert(0, os.path.join(TOP, "test", "api"))
from apiserver import ApiServer  # noqa: E402

POOL4, POOL6 = "10.244.0.0/16", "fd00:10:244::/48"


def crd(kind, name, spec, **meta):
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": kind,
            "metadata": {"name": name, **meta}, "spec": spec}


class KubeNode(Node):
    """A node whose datastore is the API. options: "servers", a list of its addresses instead of
    the kubeconfig's one; "as", the name under which it runs where its namespace has another."""

    def config(self):
        text = super().config()
        servers = self.options.get("servers")
        return text.replace(
            f"  name: {self.name}\n", f"  name: {self.options.get('as', self.name)}\n").replace(
            f"  kind: directory\n  path: {self.resources}",
            f"  kind: kubernetes\n  kubeconfig: {self.resources}"
            + (f"\n  servers: [{', '.join(servers)}]" if servers else ""))


class KubePod(Pod):
    """A pod with an object in the API, bound to its node."""

    def __init__(self, cluster, node, name, namespace="default", labels=None, annotations=None,
                 create=True):
        super().__init__(node, name, namespace, labels)
        self.api = cluster.api
        self.uid = None
        if create:
            self.create(annotations)

    def create(self, annotations=None):
        """Its object; once more: another pod of the same name."""
        made = self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": self.name, "namespace": self.namespace, "labels": self.labels,
            "annotations": annotations or {}},
            "spec": {"nodeName": self.node.name, "containers": [{"name": "c", "image": "i"}]}})
        self.uid = made["metadata"]["uid"]
        self.container = os.urandom(32).hex()

    def env(self, command):
        env = super().env(command)
        if self.uid:
            env["CNI_ARGS"] += f";K8S_POD_UID={self.uid}"
        return env

    def conf(self, **extra):
        conf = super().conf(**extra)
        if "args" not in extra:
            conf.pop("args", None)
        return conf

    def remove(self):
        """DEL, then the object goes, as kubelet does it."""
        self.delete()
        self.api.delete("pods", self.name, self.namespace)


class Cluster:
    def __init__(self, lab, nodes=2, api_class=ApiServer, listen=("10.50.0.1:6443",),
                 **api_options):
        self.lab = lab
        lab.add_ns("api")
        lab.ip("api", "link", "add", "br0", "type", "bridge")
        lab.exec("api", "sysctl", "-qw", "net.ipv6.conf.br0.accept_dad=0")
        lab.ip("api", "addr", "add", "10.50.0.1/24", "dev", "br0")
        lab.ip("api", "addr", "add", "fd00:50::1/64", "dev", "br0", "nodad")
        lab.ip("api", "link", "set", "br0", "up")
        api_dir = lab.mkdir("api-server")
        if not api_class.in_tree:
            # As an administrator sets it up: nodes may do what rbac.yaml and
            # admission.yaml leave them, and no more.
            api_options = {"rbac": True, "crds": (), **api_options}
        self.api = api_class(api_dir, prefix=lab.argv("api"), listen=listen,
                             **api_options)
        self.api.__enter__()
        if not api_class.in_tree:
            self.api.install("crds.yaml", "rbac.yaml", "admission.yaml")
        self.nodes = [self.add_node(f"n{i}", i) for i in range(1, nodes + 1)]

    def close(self):
        self.api.__exit__(None, None, None)

    def add_node(self, name, i, register=True, **options):
        lab = self.lab
        lab.add_ns(name)
        lab.link(name, "eth0", "api", name, [f"10.50.0.{10 + i}/24", f"fd00:50::{10 + i}/64"])
        lab.ip("api", "link", "set", name, "master", "br0")
        user = f"selvage:node:{options.get('as', name)}"
        kubeconfig = self.api.kubeconfig(lab.path(f"{name}.kubeconfig"), user=user,
                                         groups=["selvage:nodes"],
                                         auth=options.pop("auth", "cert"))
        if register:
            self.register(name)
        return KubeNode(lab, name, None, [f"10.50.0.{10 + i}/24", f"fd00:50::{10 + i}/64"],
                        kubeconfig, options)

    def register(self, name):
        self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {}})

    def pools(self, **spec):
        self.api.create(crd("IPPool", "pods-v4", {"cidr": POOL4, "blockSize": 26, **spec}))
        self.api.create(crd("IPPool", "pods-v6", {"cidr": POOL6, "blockSize": 122, **spec}))

    # --- what the API shows ---

    def blocks(self, node=None):
        """IPAMBlock specs by CIDR, of one node or all."""
        found = {b["spec"]["cidr"]: b["spec"] for b in self.api.list("ipamblocks")
                 if not b["spec"].get("deleted")}
        if node:
            return {c: s for c, s in found.items() if s.get("affinity") == f"host:{node}"}
        return found

    def allocations(self, node=None):
        """{address ordinal in block: handle id} of all blocks: {(cidr, ordinal): handle}."""
        found = {}
        for cidr, s in self.blocks(node).items():
            for i, a in enumerate(s["allocations"]):
                if a is not None:
                    found[cidr, i] = s["attributes"][a].get("handle_id")
        return found

    def handles(self):
        return {h["spec"]["handleID"]: h["spec"] for h in self.api.list("ipamhandles")
                if not h["spec"].get("deleted")}

    def wait_blocks(self, node, n, timeout=20):
        wait_for(f"{node} to own {n} blocks", lambda: len(self.blocks(node)) == n, timeout)
        return self.blocks(node)
