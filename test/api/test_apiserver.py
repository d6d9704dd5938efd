#!/usr/bin/python3
"""The suite's API server answers as a real kube-apiserver does: reads, writes, watches.

Who may ask is in test_apiserver_users.py, what it does wrong on demand in test_apiserver_faults.py.
"""
import gzip
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from apitest import (CORE, CRD, Holder, configmap, is_status, node, pod, pool,  # noqa: E402
                     wipe)
from nettest import case, expect, expect_eq, main  # noqa: E402
from apiserver import ApiError  # noqa: E402


# ---- what there is ------------------------------------------------------------------------------

@case
def discovery(lab):
    """/version, /api, /apis and the lists of resources; health."""
    c = lab.client()
    expect_eq(c.get("/version")[1]["gitVersion"], "v1.33.0", "version")
    for path in ("/healthz", "/livez", "/readyz"):
        expect_eq(c.get(path), (200, "ok"), path)
    expect_eq(c.get("/api")[1]["versions"], ["v1"], "/api")
    groups = {g["name"]: g["preferredVersion"]["groupVersion"] for g in c.get("/apis")[1]["groups"]}
    expect_eq(groups.get("crd.projectcalico.org"), "crd.projectcalico.org/v1", "/apis")
    expect("projectcalico.org" not in groups, "v3 only where asked for")
    by_name = {r["name"]: r for r in c.get(CORE)[1]["resources"]}
    expect_eq((by_name["pods"]["kind"], by_name["pods"]["namespaced"]), ("Pod", True), "pods")
    expect("pods/status" in by_name and "nodes/status" in by_name, "status subresources")
    names = {r["name"] for r in c.get(CRD)[1]["resources"]}
    expect({"ippools", "ipamblocks", "blockaffinities", "bgppeers", "tiers"} <= names, str(names))
    expect("ippools/status" not in names, "no status subresource unless asked for")
    crds = {o["metadata"]["name"] for o in lab.api.list("customresourcedefinitions")}
    expect("ippools.crd.projectcalico.org" in crds, "the definitions are there")
    both = lab.server(calico_v3=True, calico_v1=False, status_crds=["tiers"])
    c = lab.client(both)
    expect_eq(c.get("/apis/projectcalico.org/v3/ippools")[1]["kind"], "IPPoolList", "v3")
    expect_eq(c.get(CRD + "/ippools")[0], 404, "v1 is off")
    expect("tiers/status" in {r["name"] for r in
                              c.get("/apis/projectcalico.org/v3")[1]["resources"]}, "tiers/status")


@case
def what_is_not_served(lab):
    """An unserved group is a plain 404; a missing object a Status with its name and kind."""
    c = lab.client()
    for path in ("/apis/projectcalico.org/v3/ippools", "/apis/none.example/v1", CRD + "/nothings",
                 "/apis/crd.projectcalico.org/v9/ippools", "/nowhere"):
        code, text = c.get(path)
        expect_eq((code, text), (404, "404 page not found\n"), path)
    is_status(c.get(CORE + "/nothings")[1], 404, "NotFound",
              "the server could not find the requested resource")
    is_status(c.get(CORE + "/namespaces/default/pods/x")[1], 404, "NotFound", 'pods "x" not found',
              name="x", kind="pods", group=None)
    is_status(c.get(CRD + "/ippools/x")[1], 404, "NotFound",
              'ippools.crd.projectcalico.org "x" not found', name="x", kind="ippools",
              group="crd.projectcalico.org")
    is_status(c.request("PUT", CORE + "/nodes", node("a"))[1], 405, "MethodNotAllowed",
              "the server does not allow this method on the requested resource")
    code, answer = c.get(CORE + "/nodes", {"Accept": "application/vnd.kubernetes.protobuf"})
    expect_eq((code, answer["reason"]), (406, "NotAcceptable"), "protobuf only")
    code, answer = c.request("POST", CORE + "/nodes", b"x",
                             {"Content-Type": "application/vnd.kubernetes.protobuf"})
    expect_eq((code, answer["reason"]), (415, "UnsupportedMediaType"), "protobuf body")


# ---- writes -------------------------------------------------------------------------------------

@case
def create(lab):
    """POST: what the server adds, and every refusal."""
    wipe(lab, "ippools")
    c = lab.client()
    code, got = c.request("POST", CRD + "/ippools", pool("p1"))
    expect_eq(code, 201, "created")
    meta = got["metadata"]
    expect(len(meta["uid"]) == 36 and meta["creationTimestamp"].endswith("Z"), str(meta))
    expect_eq(meta["generation"], 1, "generation")
    expect_eq(c.get(CRD + "/ippools/p1")[1], got, "what is read is what was answered")
    is_status(c.request("POST", CRD + "/ippools", pool("p1"))[1], 409, "AlreadyExists",
              'ippools.crd.projectcalico.org "p1" already exists', name="p1", kind="ippools")
    named = pool("x")
    del named["metadata"]["name"]
    named["metadata"]["generateName"] = "gen-"
    name = c.request("POST", CRD + "/ippools", named)[1]["metadata"]["name"]
    expect(name.startswith("gen-") and len(name) == 9, name)
    bad = c.request("POST", CRD + "/ippools", pool("Bad_Name"))[1]
    is_status(bad, 422, "Invalid", name="Bad_Name", kind="IPPool")
    expect(bad["message"].startswith(
        'IPPool.crd.projectcalico.org "Bad_Name" is invalid: metadata.name: Invalid value: '
        '"Bad_Name": a lowercase RFC 1123 subdomain must consist of'), bad["message"])
    expect_eq(bad["details"]["causes"][0]["field"], "metadata.name", "cause")
    for what, labels in (("long value", {"a": "x" * 64}), ("bad value", {"a": "-"}),
                         ("bad key", {"a b": "x"})):
        is_status(c.request("POST", CRD + "/ippools", pool("l", labels))[1], 422, "Invalid")
    nameless = pool("x")
    del nameless["metadata"]["name"]
    expect_eq(c.request("POST", CRD + "/ippools", nameless)[1]["message"],
              'IPPool.crd.projectcalico.org "" is invalid: metadata.name: Required value: name or '
              "generateName is required", "no name")
    again = pool("p9")
    again["metadata"]["resourceVersion"] = "5"
    code, answer = c.request("POST", CRD + "/ippools", again)
    expect_eq((code, answer["message"]),
              (500, "resourceVersion should not be set on objects to be created"), "with a version")
    is_status(c.request("POST", CORE + "/namespaces/none/configmaps", configmap("a", "none"))[1],
              404, "NotFound", 'namespaces "none" not found', name="none", kind="namespaces")
    is_status(c.request("POST", CORE + "/namespaces/default/configmaps",
                        configmap("a", "kube-system"))[1], 400, "BadRequest",
              "the namespace of the provided object does not match the namespace sent on the "
              "request")
    for body in (b"{", b"[]", b'{"kind":"IPPool","apiVersion":"v7"}',
                 b'{"metadata":{"name":"a"}}'):
        is_status(c.request("POST", CRD + "/ippools", body)[1], 400, "BadRequest")
    other = {**pool("a"), "kind": "Other"}
    is_status(c.request("POST", CRD + "/ippools", other)[1], 422, "Invalid",
              'Other.crd.projectcalico.org "a" is invalid: kind: Invalid value: "Other": must be '
              "IPPool", name="a", kind="Other")
    expect_eq(c.request("POST", CRD + "/ippools", pool("dry"), dryRun="All")[0], 201, "dry run")
    expect_eq(lab.api.get("ippools", "dry"), None, "nothing was made")


@case
def update(lab):
    """PUT: versions, UIDs, no-op writes, what a caller cannot change."""
    wipe(lab, "ippools", "configmaps")
    c, path = lab.client(), CRD + "/ippools/p1"
    first = lab.api.create(pool("p1"))
    changed = json.loads(json.dumps(first))
    changed["spec"]["natOutgoing"] = True
    changed["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    code, second = c.request("PUT", path, changed)
    expect_eq(code, 200, "update")
    expect_eq(second["metadata"]["generation"], 2, "generation")
    expect_eq(second["metadata"]["creationTimestamp"], first["metadata"]["creationTimestamp"],
              "creationTimestamp stays")
    expect(int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"]),
           "a new version")
    modified = 'Operation cannot be fulfilled on ippools.crd.projectcalico.org "p1": the object ' \
        "has been modified; please apply your changes to the latest version and try again"
    is_status(c.request("PUT", path, first)[1], 409, "Conflict", modified, name="p1",
              kind="ippools", group="crd.projectcalico.org")
    expect_eq(c.request("PUT", path, second)[1], second, "a no-op keeps its version")
    labelled = json.loads(json.dumps(second))
    labelled["metadata"]["labels"] = {"a": "b"}
    third = c.request("PUT", path, labelled)[1]
    expect_eq(third["metadata"]["generation"], 2, "metadata does not count for the generation")
    bare = pool("p1")
    is_status(c.request("PUT", path, bare)[1], 422, "Invalid",
              'ippools.crd.projectcalico.org "p1" is invalid: metadata.resourceVersion: Invalid '
              "value: 0: must be specified for an update")
    strange = json.loads(json.dumps(third))
    strange["metadata"]["uid"] = "0-0"
    answer = c.request("PUT", path, strange)[1]
    is_status(answer, 409, "Conflict")
    expect("Precondition failed: UID in precondition: 0-0, UID in object meta: "
           + third["metadata"]["uid"] in answer["message"], answer["message"])
    is_status(c.request("PUT", CRD + "/ippools/other", third)[1], 400, "BadRequest",
              "the name of the object (p1) does not match the name on the URL (other)")
    lab.api.delete("ippools", "p1")
    is_status(c.request("PUT", path, third)[1], 409, "Conflict")  # it names a UID that is gone
    del third["metadata"]["uid"]
    is_status(c.request("PUT", path, third)[1], 404, "NotFound")
    one = lab.api.create(configmap("a", x="1"))
    free = configmap("a", x="2")
    code, two = c.request("PUT", CORE + "/namespaces/default/configmaps/a", free)
    expect_eq((code, two["metadata"]["uid"]), (200, one["metadata"]["uid"]),
              "built-in kinds may be written without a version")


@case
def patch(lab):
    """Merge, JSON and strategic patches; versions in a patch; what custom kinds refuse."""
    wipe(lab, "ippools", "nodes")
    c, path = lab.client(), CRD + "/ippools/p1"
    one = lab.api.create(pool("p1", {"a": "1", "b": "2"}))
    code, two = c.patch(path, {"metadata": {"labels": {"a": None, "c": "3"}},
                               "spec": {"disabled": True}})
    expect_eq((code, two["metadata"]["labels"], two["spec"]),
              (200, {"b": "2", "c": "3"}, {"cidr": "10.0.0.0/16", "disabled": True}), "merge")
    expect_eq(c.patch(path, {"spec": {"disabled": True}})[1]["metadata"]["resourceVersion"],
              two["metadata"]["resourceVersion"], "a no-op keeps its version")
    is_status(c.patch(path, {"metadata": {"resourceVersion": one["metadata"]["resourceVersion"]},
                             "spec": {"disabled": False}})[1], 409, "Conflict")
    ops = [{"op": "test", "path": "/spec/disabled", "value": True},
           {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
           {"op": "remove", "path": "/spec/disabled"}]
    code, three = c.patch(path, ops, "json-patch+json")
    expect_eq((code, three["metadata"]["labels"].get("x/y"), "disabled" in three["spec"]),
              (200, "z", False), "JSON patch")
    is_status(c.patch(path, ops, "json-patch+json")[1], 422, "Invalid",
              "the server rejected our request due to an error in our request")
    is_status(c.patch(path, {}, "strategic-merge-patch+json")[1], 415, "UnsupportedMediaType")
    is_status(c.patch(CRD + "/ippools/none", {})[1], 404, "NotFound")
    n = node("n1")
    n["status"] = {"conditions": [{"type": "Ready", "status": "True"},
                                  {"type": "NetworkUnavailable", "status": "True"}]}
    lab.api.create(n)
    got = c.patch(CORE + "/nodes/n1/status", {"status": {"conditions": [
        {"type": "NetworkUnavailable", "status": "False", "reason": "Up"}]}},
        "strategic-merge-patch+json")[1]
    expect_eq({x["type"]: x["status"] for x in got["status"]["conditions"]},
              {"Ready": "True", "NetworkUnavailable": "False"}, "strategic: conditions by type")


@case
def status_is_apart(lab):
    """A pod's status is written by /status only, the spec not by it; annotations by both."""
    wipe(lab, "pods")
    c, path = lab.client(), CORE + "/namespaces/default/pods/p"
    given = pod("p", node="n1")
    given["status"] = {"phase": "Running"}
    code, one = c.request("POST", CORE + "/namespaces/default/pods", given)
    expect_eq((code, one["status"]["phase"]), (201, "Pending"), "a POST's status does not count")
    got = c.patch(path + "/status", {
        "metadata": {"annotations": {"cni.projectcalico.org/podIP": "10.0.0.1/32"}},
        "spec": {"nodeName": "other"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}})[1]
    expect_eq((got["status"]["podIP"], got["spec"]["nodeName"],
               got["metadata"]["annotations"]["cni.projectcalico.org/podIP"]),
              ("10.0.0.1", "n1", "10.0.0.1/32"), "PATCH status")
    got = c.patch(path, {"status": {"phase": "Failed"}, "metadata": {"labels": {"a": "b"}}})[1]
    expect_eq((got["status"]["phase"], got["metadata"]["labels"]), ("Running", {"a": "b"}),
              "PATCH of the object")
    is_status(c.patch(CRD + "/ippools/x/status", {})[1], 404, "NotFound")
    wipe(lab, "nodes")
    n = node("n1")
    n["status"] = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}
    got = c.request("POST", CORE + "/nodes", n)[1]
    expect_eq(got["status"], n["status"], "a node registers with its status")


@case
def delete(lab):
    """Preconditions, grace, finalizers, collections, and what a DELETE answers."""
    wipe(lab, "ippools", "pods")
    c = lab.client()
    one = lab.api.create(pool("p1"))
    for what, pre, said in (
            ("UID", {"uid": "1-2"}, "the UID in the precondition (1-2) does not match the UID in "
             f"record ({one['metadata']['uid']}). The object might have been deleted and then "
             "recreated"),
            ("version", {"resourceVersion": "7"}, "the ResourceVersion in the precondition (7) "
             "does not match the ResourceVersion in record "
             f"({one['metadata']['resourceVersion']}). The object might have been modified")):
        is_status(c.request("DELETE", CRD + "/ippools/p1", {"preconditions": pre})[1], 409,
                  "Conflict", 'Operation cannot be fulfilled on IPPool.crd.projectcalico.org "p1": '
                  + said)
    code, answer = c.request("DELETE", CRD + "/ippools/p1", {
        "kind": "DeleteOptions", "apiVersion": "v1",
        "preconditions": {"uid": one["metadata"]["uid"],
                          "resourceVersion": one["metadata"]["resourceVersion"]}})
    expect_eq((code, answer["status"], answer["details"]),
              (200, "Success", {"name": "p1", "group": "crd.projectcalico.org", "kind": "ippools",
                                "uid": one["metadata"]["uid"]}), "deleted")
    is_status(c.request("DELETE", CRD + "/ippools/p1")[1], 404, "NotFound")
    lab.api.create(pod("p", node="n1"))
    path = CORE + "/namespaces/default/pods/p"
    got = c.request("DELETE", path)[1]
    expect(got["kind"] == "Pod" and got["metadata"].get("deletionTimestamp")
           and got["metadata"]["deletionGracePeriodSeconds"] == 30, "grace of a pod on a node")
    expect_eq(c.get(path)[0], 200, "it is still there")
    c.request("DELETE", path, {"gracePeriodSeconds": 0})
    expect_eq(c.get(path)[0], 404, "the kubelet's second DELETE")
    held = pool("p2")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    lab.api.create(held)
    got = c.request("DELETE", CRD + "/ippools/p2")[1]
    expect(got["metadata"].get("deletionTimestamp"), "a finalizer holds it")
    c.patch(CRD + "/ippools/p2", {"metadata": {"finalizers": None}})
    expect_eq(c.get(CRD + "/ippools/p2")[0], 404, "the last finalizer is gone")
    for i in range(4):
        lab.api.create(pool(f"c{i}", {"half": str(i % 2)}))
    expect_eq(len(c.request("DELETE", CRD + "/ippools?labelSelector=half%3D1")[1]["items"]), 2,
              "deletecollection answers the list")
    expect_eq([o["metadata"]["name"] for o in lab.api.list("ippools")], ["c0", "c2"], "the rest")
    lab.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})
    lab.api.create(configmap("a", "gone"))
    expect_eq(c.request("DELETE", CORE + "/namespaces/gone")[1]["status"]["phase"], "Terminating",
              "a namespace")
    expect_eq((c.get(CORE + "/namespaces/gone")[0], lab.api.list("configmaps", "gone")), (404, []),
              "with all in it")


# ---- lists --------------------------------------------------------------------------------------

@case
def list_shapes(lab):
    """Items of built-in kinds have no kind; a custom list has its metadata after its items."""
    wipe(lab, "ippools", "configmaps")
    c = lab.client()
    lab.api.create(configmap("a"))
    lab.api.create(pool("p1"))
    got = c.get(CORE + "/namespaces/default/configmaps")[1]
    expect_eq((got["kind"], "kind" in got["items"][0], list(got)[:3]),
              ("ConfigMapList", False, ["kind", "apiVersion", "metadata"]), "built-in")
    got = c.get(CRD + "/ippools")[1]
    expect_eq((got["kind"], got["items"][0]["kind"], list(got)),
              ("IPPoolList", "IPPool", ["apiVersion", "items", "kind", "metadata"]), "custom")
    expect_eq(c.get(CRD + "/bgppeers")[1]["items"], [], "an empty list is a list")
    lab.api.create(configmap("b", text="a<b>&c"))
    c.get(CORE + "/namespaces/default/configmaps/b")
    expect(b"a\\u003cb\\u003e\\u0026c" in c.body, "<, > and & are escaped as Go does")
    code, partial = c.get(CORE + "/namespaces", {
        "Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
                  "application/json"})
    expect_eq((code, partial["kind"], set(partial["items"][0])),
              (200, "PartialObjectMetadataList", {"kind", "apiVersion", "metadata"}), "metadata")
    expect_eq(c.get(CORE + "/namespaces/default", {
        "Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"})[1]["kind"],
        "PartialObjectMetadata", "one object's metadata")


@case
def pages_are_one_snapshot(lab):
    """Pages of a list show one version, whatever is written between them."""
    wipe(lab, "configmaps")
    c, path = lab.client(), CORE + "/namespaces/default/configmaps"
    for i in range(10):
        lab.api.create(configmap(f"m{i}", x="old"))
    lab.api.create(configmap("other", "kube-system"))
    first = c.get(path, limit=4)[1]
    meta = first["metadata"]
    expect_eq((len(first["items"]), meta["remainingItemCount"]), (4, 6), "first page")
    lab.api.delete("configmaps", "m5")
    lab.api.create(configmap("m55"))
    lab.api.apply(configmap("m7", x="new"))
    second = c.get(path, limit=4, **{"continue": meta["continue"]})[1]
    expect_eq([(o["metadata"]["name"], o["data"]["x"]) for o in second["items"]],
              [(f"m{i}", "old") for i in range(4, 8)], "second page")
    third = c.get(path, limit=4, **{"continue": second["metadata"]["continue"]})[1]
    expect_eq([o["metadata"]["name"] for o in third["items"]], ["m8", "m9"], "third page")
    expect("continue" not in third["metadata"], "the end")
    expect_eq({x["metadata"]["resourceVersion"] for x in (first, second, third)},
              {meta["resourceVersion"]}, "one version")
    exact = c.get(path, resourceVersion=meta["resourceVersion"], resourceVersionMatch="Exact")[1]
    expect_eq([o["metadata"]["name"] for o in exact["items"]], [f"m{i}" for i in range(10)],
              "exact")
    now = c.get(path, resourceVersion=meta["resourceVersion"],
                resourceVersionMatch="NotOlderThan")[1]
    expect_eq((len(now["items"]), "m55" in [o["metadata"]["name"] for o in now["items"]]),
              (10, True), "not older than")
    expect_eq(len(c.get(path, limit=3, resourceVersion=0)[1]["items"]), 10,
              "the cache answers version 0 whole, as the real one")
    lab.api.set(watch_cache=False)
    expect_eq(len(c.get(path, limit=3, resourceVersion=0)[1]["items"]), 3, "without the cache")
    lab.api.set(watch_cache=True)


@case
def expired_versions(lab):
    """After compaction: continue tokens and exact versions 410, with a token to go on."""
    wipe(lab, "configmaps")
    c, path = lab.client(), CORE + "/namespaces/default/configmaps"
    for i in range(6):
        lab.api.create(configmap(f"m{i}"))
    first = c.get(path, limit=2)[1]
    lab.api.delete("configmaps", "m4")
    lab.api.compact()
    code, answer = c.get(path, limit=2, **{"continue": first["metadata"]["continue"]})
    is_status(answer, 410, "Expired")
    expect(answer["message"].startswith("The provided continue parameter is too old to display a "
                                        "consistent list result. You can start"), answer["message"])
    rest = c.get(path, limit=9, **{"continue": answer["metadata"]["continue"]})[1]
    expect_eq([o["metadata"]["name"] for o in rest["items"]], ["m2", "m3", "m5"],
              "the rest as it is now")
    is_status(c.get(path, resourceVersion=first["metadata"]["resourceVersion"],
                    resourceVersionMatch="Exact")[1], 410, "Expired",
              "The resourceVersion for the provided list is too old.")
    code, answer = c.get(path, resourceVersion=10 ** 9)
    is_status(answer, 504, "Timeout", retryAfterSeconds=1)
    expect(answer["message"].startswith("Timeout: Too large resource version: 1000000000, current"),
           answer["message"])
    for query in ({"resourceVersionMatch": "Exact"}, {"sendInitialEvents": "true"},
                  {"resourceVersion": "0", "resourceVersionMatch": "Exact"}):
        is_status(c.get(path, **query)[1], 422, "Invalid")
    for query in ({"continue": "nonsense"}, {"limit": "x"}, {"resourceVersion": "x"},
                  {"continue": first["metadata"]["continue"], "resourceVersion": "5"}):
        is_status(c.get(path, **query)[1], 400, "BadRequest")


@case
def selectors(lab):
    """Label and field selectors, each operator."""
    wipe(lab, "pods")
    for name, n, labels in (("a", "n1", {"app": "x", "tier": "1"}), ("b", "n1", {"app": "y"}),
                            ("c", "n2", {"app": "x"}), ("d", "", {})):
        lab.api.create(pod(name, node=n, labels=labels))
    lab.api.patch("pods", "c", {"status": {"phase": "Running"}}, sub="status")
    c = lab.client()
    for query, want in (
            ({"labelSelector": "app=x"}, "ac"), ({"labelSelector": "app==x,tier=1"}, "a"),
            ({"labelSelector": "app!=x"}, "bd"), ({"labelSelector": "app in (x, y)"}, "abc"),
            ({"labelSelector": "app notin (x)"}, "bd"), ({"labelSelector": "tier"}, "a"),
            ({"labelSelector": "!app"}, "d"), ({"labelSelector": "tier>0"}, "a"),
            ({"labelSelector": "app in (x),!tier"}, "c"),
            ({"fieldSelector": "spec.nodeName=n1"}, "ab"),
            ({"fieldSelector": "spec.nodeName!=n1"}, "cd"),
            ({"fieldSelector": "spec.nodeName="}, "d"),
            ({"fieldSelector": "metadata.name=b"}, "b"),
            ({"fieldSelector": "metadata.namespace=default,status.phase=Running"}, "c"),
            ({"fieldSelector": "spec.nodeName=n1", "labelSelector": "app=y"}, "b")):
        got = "".join(o["metadata"]["name"] for o in c.get(CORE + "/pods", **query)[1]["items"])
        expect_eq(got, want, str(query))
    for query in ({"fieldSelector": "spec.dnsPolicy=x"}, {"labelSelector": "a in x"},
                  {"labelSelector": "=x"}):
        is_status(c.get(CORE + "/pods", **query)[1], 400, "BadRequest")
    is_status(c.get(CRD + "/ippools", fieldSelector="spec.cidr=x")[1], 400, "BadRequest",
              "field label not supported: spec.cidr")
    page = c.get(CORE + "/pods", labelSelector="app", limit=2)[1]
    expect_eq((len(page["items"]), "remainingItemCount" in page["metadata"]), (2, False),
              "no count with a selector")


# ---- watches ------------------------------------------------------------------------------------

@case
def watch_events(lab):
    """Events from a version on, in order; the connection serves on after the watch."""
    wipe(lab, "ippools")
    api, c = lab.api, lab.client()
    rv = c.get(CRD + "/ippools")[1]["metadata"]["resourceVersion"]
    api.create(pool("p1"))
    w = c.watch(CRD + "/ippools", resourceVersion=rv, timeoutSeconds=1)
    expect_eq((w.code, w.answer.headers["Transfer-Encoding"]), (200, "chunked"), "headers")
    api.create(pool("p2"))
    api.patch("ippools", "p1", {"spec": {"disabled": True}})
    last = api.get("ippools", "p1")
    api.delete("ippools", "p1")
    events = w.events(4)
    expect_eq([(k, o["metadata"]["name"]) for k, o in events],
              [("ADDED", "p1"), ("ADDED", "p2"), ("MODIFIED", "p1"), ("DELETED", "p1")], "events")
    rvs = [int(o["metadata"]["resourceVersion"]) for _, o in events]
    expect_eq(rvs, sorted(set(rvs)), "versions grow")
    gone = events[3][1]
    expect_eq((gone["spec"], gone["kind"]), (last["spec"], "IPPool"), "the last content")
    expect(rvs[3] > int(last["metadata"]["resourceVersion"]), "with the deletion's version")
    expect_eq(w.event(), None, "a clean end at timeoutSeconds")
    expect_eq(c.get("/version")[0], 200, "the same connection")
    for text in ("", "0"):
        w = c.watch(CRD + "/ippools", **({"resourceVersion": text} if text else {}),
                    timeoutSeconds=1)
        expect_eq(w.names(1), ["ADDED p2"], f"from version {text!r}: what is there first")
        w.rest()
    is_status(c.get(CRD + "/ippools", watch=1, resourceVersionMatch="NotOlderThan")[1], 422,
              "Invalid")


@case
def by_version(lab):
    """What depends on the server's version: a PUT of what is gone, and the generation of pods."""
    for version, generation, refusal in (("1.32", None, (409, "Conflict")),
                                         ("1.33", 1, (409, "Conflict")),
                                         ("1.36", 1, (404, "NotFound"))):
        api = lab.server(version=version)
        made = api.create(pod("a", node="n1"))
        expect_eq(made["metadata"].get("generation"), generation, version)
        gone = api.create(pool("p"))
        api.delete("ippools", "p")
        is_status(lab.client(api).request("PUT", CRD + "/ippools/p", gone)[1], *refusal)


@case
def uid_in_a_patch(lab):
    """A merge patch with another uid is invalid; with the object's own or none it is good."""
    api = lab.api
    for resource, sub, obj in (("pods", "status", pod("u", node="n1")),
                               ("nodes", "status", node("u")), ("ippools", None, pool("u"))):
        uid = api.create(obj)["metadata"]["uid"]
        path = api.path(resource, "u", "default" if resource == "pods" else None, sub)
        code, said = api.request("PATCH", path, {"metadata": {
            "uid": "0-0", "annotations": {"a": "b"}}}, "application/merge-patch+json")
        is_status(said, 422, "Invalid")
        expect_eq((code, {c["field"] for c in said["details"]["causes"]}), (422, {"metadata.uid"}),
                  resource)
        for good in (uid, None):
            got = api.patch(resource, "u", {"metadata": {"uid": good, "annotations": {"a": "b"}}},
                            sub=sub)
            expect_eq((got["metadata"]["uid"], got["metadata"]["annotations"]), (uid, {"a": "b"}),
                      resource)
        api.delete(resource, "u")


@case
def watch_selection(lab):
    """Objects that enter and leave a selection are ADDED and DELETED."""
    wipe(lab, "pods")
    api = lab.api
    by_label = lab.client().watch(CORE + "/pods", labelSelector="app=x", timeoutSeconds=5)
    by_node = lab.client().watch(CORE + "/pods", fieldSelector="spec.nodeName=n1",
                                 timeoutSeconds=5)
    in_ns = lab.client().watch(CORE + "/namespaces/kube-system/pods", timeoutSeconds=5)
    api.create(pod("a", node="n1", labels={"app": "y"}))
    api.patch("pods", "a", {"metadata": {"labels": {"app": "x"}}})
    api.patch("pods", "a", {"metadata": {"labels": {"more": "1"}}})
    api.patch("pods", "a", {"metadata": {"labels": {"app": "z"}}})
    last = api.get("pods", "a")["metadata"]["resourceVersion"]
    api.delete("pods", "a")
    api.create(pod("b", "kube-system", labels={"app": "x"}))
    events = by_label.events(4)
    expect_eq([f"{k} {o['metadata']['name']}" for k, o in events],
              ["ADDED a", "MODIFIED a", "DELETED a", "ADDED b"], "by label")
    expect_eq((events[2][1]["metadata"]["labels"]["app"],
               events[2][1]["metadata"]["resourceVersion"]), ("x", last),
              "who leaves shows the old content with the new version")
    # A pod is marked for deletion before it goes, also where there is nothing to wait for.
    expect_eq(by_node.names(6), ["ADDED a"] + ["MODIFIED a"] * 4 + ["DELETED a"], "by node")
    expect_eq(in_ns.names(1), ["ADDED b"], "by namespace")


@case
def bookmarks_and_initial_events(lab):
    """Bookmarks only where asked for; a streaming list ends with its marked bookmark."""
    api = lab.server(bookmark=0.2)
    c = lab.client(api)
    api.create(configmap("a"))
    api.create(configmap("b"))
    rv = c.get(CORE + "/configmaps")[1]["metadata"]["resourceVersion"]
    api.create(node("n1"))
    w = c.watch(CORE + "/configmaps", resourceVersion=rv, allowWatchBookmarks="true",
                timeoutSeconds=1)
    kind, mark = w.event()
    expect_eq((kind, mark["kind"]), ("BOOKMARK", "ConfigMap"), "a bookmark")
    expect(int(mark["metadata"]["resourceVersion"]) > int(rv), "shows progress of others")
    expect("name" not in mark["metadata"] and "annotations" not in mark["metadata"], str(mark))
    w.rest()
    w = c.watch(CORE + "/configmaps", resourceVersion=rv, timeoutSeconds=1)
    expect_eq(w.rest(), [], "none unless asked for")
    w = c.watch(CORE + "/configmaps", sendInitialEvents="true", allowWatchBookmarks="true",
                resourceVersionMatch="NotOlderThan", timeoutSeconds=2)
    events = w.events(3)
    expect_eq([(k, o["metadata"].get("name")) for k, o in events],
              [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", None)], "initial events")
    expect_eq(events[2][1]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"}, "end")
    api.create(configmap("c"))
    while (event := w.event())[0] == "BOOKMARK":
        expect("annotations" not in event[1]["metadata"], "only the first is marked")
    expect_eq((event[0], event[1]["metadata"]["name"]), ("ADDED", "c"), "then what happens")
    w.rest()
    is_status(c.get(CORE + "/configmaps", watch=1, sendInitialEvents="true")[1], 422, "Invalid")
    api.set(watch_list=False)
    answer = c.get(CORE + "/configmaps", watch=1, sendInitialEvents="true",
                   resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true")[1]
    is_status(answer, 422, "Invalid")
    expect("sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
           in answer["message"], answer["message"])


@case
def watch_too_old(lab):
    """A version older than the history is an ERROR event inside HTTP 200, then the end."""
    api = lab.server(history=5)
    c = lab.client(api)
    rv = c.get(CORE + "/configmaps")[1]["metadata"]["resourceVersion"]
    for i in range(5):
        api.create(configmap(f"m{i}"))
    w = c.watch(CORE + "/configmaps", resourceVersion=rv, timeoutSeconds=1)
    expect_eq(len(w.rest()), 5, "the history just reaches")
    api.create(configmap("m5"))
    w = c.watch(CORE + "/configmaps", resourceVersion=rv, timeoutSeconds=5)
    expect_eq(w.code, 200, "HTTP code")
    kind, status = w.event()
    expect_eq(kind, "ERROR", "type")
    is_status(status, 410, "Expired")
    expect(status["message"].startswith(f"too old resource version: {rv} ("), status["message"])
    expect_eq(w.event(), None, "the end")
    now = c.get(CORE + "/configmaps")[1]["metadata"]["resourceVersion"]
    running = lab.client(api).watch(CORE + "/configmaps", resourceVersion=now)
    api.compact()
    api.create(configmap("m6"))
    expect_eq(running.names(1), ["ADDED m6"], "a running watch outlives compaction")


@case
def watch_metadata_only(lab):
    """PartialObjectMetadata in a watch: no spec, no status."""
    c = lab.client()
    w = c.watch(CORE + "/namespaces", {"Accept": "application/json;as=PartialObjectMetadata;"
                                       "g=meta.k8s.io;v=v1"}, timeoutSeconds=1)
    kind, obj = w.event()
    expect_eq((kind, obj["kind"], set(obj)), ("ADDED", "PartialObjectMetadata",
                                              {"kind", "apiVersion", "metadata"}), "event")
    w.rest()


# ---- HTTP, size, users' files -------------------------------------------------------------------

@case
def http_details(lab):
    """gzip from 128 KiB when asked, chunked over 2 KiB, chunked requests, 100-continue, HEAD."""
    api = lab.api
    api.generate("pods", 50, namespaces=1, namespace_prefix="default", nodes=1)
    c = lab.client()
    code, _ = c.get(CORE + "/pods", {"Accept-Encoding": "gzip"})
    expect_eq((code, c.headers["Content-Encoding"]), (200, "gzip"), "gzip")
    got = json.loads(gzip.decompress(c.body))
    expect_eq(got["items"], c.get(CORE + "/pods")[1]["items"], "the same")
    expect_eq((c.headers["Content-Encoding"], c.headers["Transfer-Encoding"]), (None, "chunked"),
              "only when asked; chunked")
    c.get(CORE + "/nodes/none", {"Accept-Encoding": "gzip"})
    expect_eq((c.headers["Content-Encoding"], c.headers["Content-Length"]),
              (None, str(len(c.body))), "a small answer")
    wipe(lab, "ippools")

    def parts():
        text = json.dumps(pool("chunked")).encode()
        yield text[:10]
        yield text[10:]
    c.connect().request("POST", CRD + "/ippools", parts(), {
        "Authorization": "Bearer " + lab.token, "Content-Type": "application/json",
        "Transfer-Encoding": "chunked"}, encode_chunked=True)
    answer = c.conn.getresponse()
    answer.read()
    expect_eq(answer.status, 201, "a chunked request")
    run = subprocess.run(
        ["curl", "-sS", "--cacert", api.ca, "-H", "Authorization: Bearer " + lab.token, "-H",
         "Content-Type: application/json", "-H", "Expect: 100-continue", "--expect100-timeout",
         "30", "-m", "5", "-w", "%{http_code}", "-o", os.devnull, "--data",
         json.dumps(pool("expect")), api.url + CRD + "/ippools"], capture_output=True, text=True,
        check=False)
    expect_eq((run.returncode, run.stdout), (0, "201"), f"100-continue {run.stderr}")
    big = configmap("big", x="y" * (3 << 20))
    is_status(c.request("POST", CORE + "/namespaces/default/configmaps", big)[1], 413,
              "RequestEntityTooLarge")


@case
def surface(lab):
    """ApiBase: create, apply, get, list, patch, delete as a test uses them."""
    wipe(lab, "ippools", "pods")
    api = lab.api
    p = pod("p", node="n1")
    p["status"] = {"phase": "Running", "podIP": "10.0.0.9"}
    expect_eq(api.create(p)["status"]["podIP"], "10.0.0.9", "create writes a status too")
    api.apply(pool("p1"))
    expect_eq(api.apply(pool("p1", disabled=True))["spec"]["disabled"], True, "apply again")
    try:
        api.create(pool("p1"))
        raise AssertionError("made twice")
    except ApiError as e:
        expect_eq((e.code, e.reason), (409, "AlreadyExists"), "ApiError")
    expect_eq(api.get("ippools", "nothing"), None, "get")
    expect_eq((api.delete("ippools", "p1"), api.delete("ippools", "p1")), (True, False), "delete")
    policy = {"apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy",
              "metadata": {"name": "a", "namespace": "default"}, "spec": {}}
    api.create(policy)
    expect_eq((len(api.list("networkpolicies")),
               len(api.list("networkpolicies.crd.projectcalico.org"))), (0, 1), "by group")
    api.delete("networkpolicies.crd.projectcalico.org", "a")


@case
def own_definitions(lab):
    """A CustomResourceDefinition that is posted is served, and goes with its deletion."""
    c = lab.client()
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
           "metadata": {"name": "things.example.com"},
           "spec": {"group": "example.com", "scope": "Namespaced",
                    "names": {"plural": "things", "kind": "Thing"},
                    "versions": [{"name": "v1", "served": True, "storage": True,
                                  "subresources": {"status": {}}, "schema": {
                                      "openAPIV3Schema": {
                                          "type": "object",
                                          "x-kubernetes-preserve-unknown-fields": True}}}]}}
    path = "/apis/example.com/v1/namespaces/default/things"
    expect_eq(c.get(path)[0], 404, "before")
    lab.api.create(crd)
    got = lab.api.get("customresourcedefinitions", "things.example.com")
    expect_eq({x["type"]: x["status"] for x in got["status"]["conditions"]}.get("Established"),
              "True", "established")
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"},
             "spec": {"a": 1}, "status": {"b": 2}}
    code, made = c.request("POST", path, thing)
    expect_eq((code, "status" in made), (201, False), "status is a subresource of it")
    expect_eq(c.patch(path + "/t/status", {"status": {"b": 2}, "spec": {"a": 5}})[1]["spec"],
              {"a": 1}, "/status leaves the spec")
    lab.api.delete("customresourcedefinitions", "things.example.com")
    expect_eq(c.get(path)[0], 404, "after")


@case
def schemas(lab):
    """A definition's schema prunes, fills in, and refuses, in the server's words."""
    api = lab.server(calico_v1=False)
    text = {"type": "string"}
    spec = {"type": "object", "required": ["cidr"], "properties": {
        "cidr": {**text, "x-kubernetes-validations": [{"rule": "self == oldSelf",
                                                       "message": "cidr cannot be changed"}]},
        "size": {"type": "integer", "minimum": 20, "maximum": 32, "default": 26},
        "mode": {**text, "enum": ["A", "B"]}, "word": {**text, "pattern": "^[a-z]+$"},
        "slots": {"type": "array", "items": {"type": "integer", "nullable": True}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    api.create({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "ippools.crd.projectcalico.org"},
                "spec": {"group": "crd.projectcalico.org", "scope": "Cluster",
                         "names": {"plural": "ippools", "kind": "IPPool"},
                         "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                             "openAPIV3Schema": {"type": "object", "properties": {
                                 "spec": spec}}}}]}})
    given = pool("p", slots=[1, None], any={"x": 1}, map={"k": 1}, unknown=1)
    given["status"] = {"a": 1}
    got = api.create(given)
    expect_eq((got["spec"], "status" in got),
              ({"any": {"x": 1}, "cidr": "10.0.0.0/16", "map": {"k": 1}, "size": 26,
                "slots": [1, None]}, False), "pruned, with defaults")
    c = lab.client(api)
    head = 'IPPool.crd.projectcalico.org "p2" is invalid: '
    # After these the rules are not looked at, and it says so.
    blocking = ("body must be of type", "Unsupported value", "Required value")

    def words(said):
        if not any(b in said for b in blocking):
            return head + said
        return f"{head}[{said}, <nil>: Invalid value: null: some validation rules were not " \
            "checked because the object was invalid; correct the existing errors to complete " \
            "validation]"

    for bad, said in (
            ({"size": 40}, "size: Invalid value: 40: spec.size in body should be less than or "
             "equal to 32"),
            ({"size": "x"}, 'size: Invalid value: "string": spec.size in body must be of type '
             'integer: "string"'),
            ({"mode": "C"}, 'mode: Unsupported value: "C": supported values: "A", "B"'),
            ({"word": "X"}, 'word: Invalid value: "X": spec.word in body should match '
             "'^[a-z]+$'"),
            ({"slots": ["x"]}, 'slots[0]: Invalid value: "string": spec.slots[0] in body must be '
             'of type integer: "string"')):
        is_status(c.request("POST", CRD + "/ippools", pool("p2", **bad))[1], 422, "Invalid",
                  words("spec." + said))
    without = pool("p2")
    del without["spec"]["cidr"]
    is_status(c.request("POST", CRD + "/ippools", without)[1], 422, "Invalid",
              words("spec.cidr: Required value"))
    is_status(c.patch(CRD + "/ippools/p", {"spec": {"cidr": "10.1.0.0/16"}})[1], 422, "Invalid",
              'IPPool.crd.projectcalico.org "p" is invalid: spec.cidr: Invalid value: "string": '
              "cidr cannot be changed")


@case
def own_manifests(lab):
    """The project's own definitions are taken, and what they do not know is pruned."""
    folder = os.path.join(HERE, "..", "..", "etc", "kubernetes")
    api = lab.server(crds=[os.path.join(folder, "crds.yaml")])
    given = pool("p1", natOutgoing=True, nothingOfTheKind=1)
    expect_eq(set(api.create(given)["spec"]) & {"natOutgoing", "nothingOfTheKind"}, {"natOutgoing"},
              "pruned")
    try:
        api.patch("ippools", "p1", {"spec": {"cidr": "10.1.0.0/16"}})
        raise AssertionError("a pool's cidr changed")
    except ApiError as e:
        expect_eq(e.code, 422, str(e))


@case
def services_get_addresses(lab):
    """A Service gets a cluster IP and the usual defaults."""
    got = lab.api.create({"apiVersion": "v1", "kind": "Service",
                          "metadata": {"name": "s", "namespace": "default"},
                          "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
                                   "ports": [{"port": 80}]},
                          "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}})
    expect(got["spec"]["clusterIP"].startswith("10.96."), str(got["spec"]))
    expect_eq((got["spec"]["clusterIPs"], got["spec"]["ipFamilies"], got["spec"]["ports"][0]
               ["protocol"], got["status"]["loadBalancer"]["ingress"][0]["ip"]),
              ([got["spec"]["clusterIP"]], ["IPv4"], "TCP", "192.0.2.7"), "defaults")


if __name__ == "__main__":
    main(Holder())
