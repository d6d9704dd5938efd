"""What the tests of the API server share: servers by options, small objects, Status checks."""
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))
sys.path.insert(0, HERE)
from nettest import expect_eq  # noqa: E402
from apiclient import Client  # noqa: E402
from apiserver import ApiServer  # noqa: E402

CRD = "/apis/crd.projectcalico.org/v1"
CORE = "/api/v1"


class Holder:
    """What nettest's main() wants of a lab: its processes, and its end. Servers by options."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="slvapi")
        self.procs, self.servers, self.count = [], [], 0
        self.api = self.server()
        self.token = self.api.token("tester", ["system:masters"])

    def server(self, **options):
        self.count += 1
        api = ApiServer(os.path.join(self.folder, f"s{self.count}"), **options)
        self.servers.append(api)
        return api

    def client(self, api=None, **how):
        if not how.keys() & {"token", "cert"}:
            how["token"] = self.token if api in (None, self.api) else \
                api.token("tester", ["system:masters"])
        return Client(api or self.api, **how)

    def close(self):
        for api in self.servers:
            api.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def pool(name, labels=None, **spec):
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool",
            "metadata": {"name": name, **({"labels": labels} if labels else {})},
            "spec": {"cidr": "10.0.0.0/16", **spec}}


def pod(name, ns="default", node=None, labels=None, **meta):
    spec = {"containers": [{"name": "c", "image": "i"}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": ns, "labels": labels or {}, **meta},
            "spec": spec}


def node(name, **meta):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, **meta}}


def configmap(name, ns="default", labels=None, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": name, "namespace": ns, **({"labels": labels} if labels else {})}}


def is_status(answer, code, reason, message=None, **details):
    """The whole of a Status object; details given must be there as they are."""
    expect_eq({k: answer.get(k) for k in ("kind", "apiVersion", "status", "reason", "code")},
              {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
               "code": code}, "Status")
    if message is not None:
        expect_eq(answer.get("message"), message, "message")
    for key, value in details.items():
        expect_eq(answer.get("details", {}).get(key), value, f"details.{key}")


def wipe(lab, *resources):
    for resource in resources:
        for o in lab.api.list(resource):
            lab.api.delete(resource, o["metadata"]["name"], o["metadata"].get("namespace"))
