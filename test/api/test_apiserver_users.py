#!/usr/bin/python3
"""Who the API server believes: TLS, certificates, tokens, RBAC, the files that clients read.
"""
import json
import os
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apitest import CORE, CRD, Holder, is_status, node  # noqa: E402
from apiclient import Client  # noqa: E402
from nettest import case, expect, expect_eq, main  # noqa: E402


@case
def tls_is_verified(lab):
    """Another CA, a name that the certificate lacks and an expired one are refused by a client."""
    lab.client().get("/version")
    for which, want in (("wrong-host", "mismatch"), ("other-ca", "verify failed"),
                        ("expired", "expired")):
        lab.api.certs(which)
        try:
            lab.client().get("/version")
            raise AssertionError(f"{which}: the client connected")
        except ssl.SSLCertVerificationError as e:
            expect(want in str(e), f"{which}: {e}")
    old = lab.client()
    lab.api.certs("good")
    old.connect()
    before = old.conn.sock.getpeercert()["serialNumber"]
    lab.api.certs("rotated")
    expect_eq(old.get("/version")[0], 200, "the old connection lives on")
    new = lab.client()
    new.connect()
    expect(new.conn.sock.getpeercert()["serialNumber"] != before, "a new certificate is served")


@case
def authentication(lab):
    """Certificates and tokens name a user; what is unknown, expired or revoked is 401."""
    api = lab.api
    want = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401}
    token = api.token("u1")
    for what, client, code in (
            ("token", Client(api, token=token), 200),
            ("certificate", Client(api, cert=api.cert("bob", ["dev"])), 200),
            ("unknown token", Client(api, token="nonsense"), 401),
            ("nothing", Client(api), 401),
            ("another CA's certificate", Client(api, cert=api.cert("eve", ca="other-ca")), 401),
            ("expired certificate", Client(api, cert=api.cert("old", days=-1)), 401),
            ("expired token", Client(api, token=api.token("u", expires=time.time() - 1)), 401)):
        got, answer = client.get(CORE + "/nodes")
        expect_eq(got, code, what)
        if code == 401:
            expect_eq(answer, want, what)
    expect_eq(Client(api).get("/version")[0], 200, "/version is open to all")
    users = api.counts()["byUser"]
    expect(users.get("bob") and users.get("u1"), f"users are counted: {users}")
    client = Client(api, token=token)
    api.expire(token, 0.3)
    expect_eq(client.get(CORE + "/nodes")[0], 200, "before its expiry")
    time.sleep(0.4)
    expect_eq(client.get(CORE + "/nodes")[0], 401, "after its expiry, on the same connection")
    token = api.token("u2")
    api.revoke(token)
    expect_eq(Client(api, token=token).get(CORE + "/nodes")[0], 401, "revoked")


RBAC_OBJECTS = [
    {"kind": "ClusterRole", "metadata": {"name": "node"}, "rules": [
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"],
         "resourceNames": ["n1"]},
        {"apiGroups": ["crd.projectcalico.org"], "resources": ["ipamblocks"], "verbs": ["*"]}]},
    {"kind": "ClusterRoleBinding", "metadata": {"name": "nodes"},
     "roleRef": {"kind": "ClusterRole", "name": "node", "apiGroup": "rbac.authorization.k8s.io"},
     "subjects": [{"kind": "Group", "name": "nodes", "apiGroup": "rbac.authorization.k8s.io"},
                  {"kind": "ServiceAccount", "name": "felix", "namespace": "kube-system"}]},
    {"kind": "Role", "metadata": {"name": "secret", "namespace": "kube-system"}, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"],
         "resourceNames": ["bgp"]}]},
    {"kind": "RoleBinding", "metadata": {"name": "secret", "namespace": "kube-system"},
     "roleRef": {"kind": "Role", "name": "secret", "apiGroup": "rbac.authorization.k8s.io"},
     "subjects": [{"kind": "User", "name": "n1", "apiGroup": "rbac.authorization.k8s.io"}]},
]


@case
def rbac(lab):
    """RBAC objects in the store decide; a refusal has Kubernetes' words."""
    api = lab.server(rbac=True)
    for o in RBAC_OBJECTS:
        api.create({"apiVersion": "rbac.authorization.k8s.io/v1", **o})
    api.create(node("n1"))
    n1 = Client(api, token=api.token("n1", ["nodes"]))
    sa = Client(api, token=api.token("system:serviceaccount:kube-system:felix"))
    other = Client(api, token=api.token("u"))
    secrets = CORE + "/namespaces/kube-system/secrets"
    for client, method, path, want in (
            (n1, "GET", "/nodes", 200), (sa, "GET", "/pods", 200), (other, "GET", "/pods", 403),
            (n1, "DELETE", "/nodes/n1", 403), (n1, "GET", "/secrets", 403),
            (n1, "GET", "/namespaces/kube-system/secrets/bgp", 404),
            (n1, "GET", "/namespaces/kube-system/secrets/else", 403),
            (n1, "GET", "/namespaces/default/secrets/bgp", 403),
            (n1, "GET", "/namespaces/kube-system/secrets?fieldSelector=metadata.name%3Dbgp", 200),
            (n1, "GET", "/namespaces/kube-system/secrets", 403)):
        expect_eq(client.request(method, CORE + path)[0], want, f"{method} {path}")
    patch = {"metadata": {"annotations": {"a": "b"}}}
    expect_eq(n1.patch(CORE + "/nodes/n1/status", patch)[0], 200, "own status")
    expect_eq(n1.patch(CORE + "/nodes/n1", patch)[0], 403, "own node")
    expect_eq(n1.request("POST", CRD + "/ipamblocks", {
        "apiVersion": "crd.projectcalico.org/v1", "kind": "IPAMBlock",
        "metadata": {"name": "b"}})[0], 201, "verbs *")
    is_status(other.get(secrets + "/bgp")[1], 403, "Forbidden",
              'secrets "bgp" is forbidden: User "u" cannot get resource "secrets" in API group "" '
              'in the namespace "kube-system"', name="bgp", kind="secrets")
    is_status(other.get(CRD + "/ippools")[1], 403, "Forbidden",
              'ippools.crd.projectcalico.org is forbidden: User "u" cannot list resource "ippools" '
              'in API group "crd.projectcalico.org" at the cluster scope',
              group="crd.projectcalico.org", kind="ippools")
    is_status(n1.patch(CORE + "/nodes/n2/status", patch)[1], 403, "Forbidden",
              'nodes "n2" is forbidden: User "n1" cannot patch resource "nodes/status" in API '
              'group "" at the cluster scope', name="n2", kind="nodes")
    is_status(Client(api).get(CORE + "/nodes")[1], 403, "Forbidden",
              'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API '
              'group "" at the cluster scope')
    is_status(other.get("/metrics")[1], 403, "Forbidden",
              'forbidden: User "u" cannot get path "/metrics"')
    expect_eq(other.get("/apis")[0], 200, "discovery is for every user")
    expect_eq(other.get("/apis/projectcalico.org/v3/ippools")[0], 403,
              "whether a group is served is not told to whom it is forbidden")
    api.delete("ClusterRoleBinding", "nodes")
    expect_eq(n1.get(CORE + "/nodes")[0], 403, "a binding that is gone counts no more")


@case
def kubeconfigs(lab):
    """Each kind of kubeconfig and the in-cluster files; the exec plugin runs and prints v1."""
    api = lab.api
    path = os.path.join(lab.folder, "kc")
    for auth, inline, wants in (
            ("cert", True, ["client-certificate-data: ", "certificate-authority-data: "]),
            ("cert", False, ["client-certificate: ", "certificate-authority: ", "client-key: "]),
            ("token", True, ["token: "]), ("tokenFile", True, ["tokenFile: "]),
            ("exec", True, ["exec:", "apiVersion: client.authentication.k8s.io/v1"])):
        api.kubeconfig(path, user="me", auth=auth, inline=inline,
                       contexts=[{"name": "second", "server": "https://192.0.2.1:6443"}])
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for want in wants + [f"server: {api.url}", "server: https://192.0.2.1:6443",
                             'current-context: "me"']:
            expect(want in text, f"{auth}: {want!r} in {text}")
    api.kubeconfig(path, user="exe", auth="exec", expires=2000000000)
    out = json.loads(subprocess.run([path + ".exec"], capture_output=True, check=True).stdout)
    expect_eq((out["kind"], out["apiVersion"], out["status"]["expirationTimestamp"]),
              ("ExecCredential", "client.authentication.k8s.io/v1", "2033-05-18T03:33:20Z"), "exec")
    expect_eq(Client(api, token=out["status"]["token"]).get(CORE + "/nodes")[0], 200, "its token")
    env = api.in_cluster(os.path.join(lab.folder, "pod"), "system:serviceaccount:kube-system:f")
    expect_eq(f"https://{env['KUBERNETES_SERVICE_HOST']}:{env['KUBERNETES_SERVICE_PORT']}", api.url,
              "in-cluster address")
    with open(os.path.join(lab.folder, "pod", "token"), encoding="utf-8") as f:
        expect_eq(Client(api, token=f.read()).get(CORE + "/nodes")[0], 200, "in-cluster token")


if __name__ == "__main__":
    main(Holder())
