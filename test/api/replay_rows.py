"""The requests that replay.py sends to both servers, one after the other, and what of each answer must
be the same. <rv a>, <uid a>, <continue a>: of the answer that a row kept under that name."""

MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
# As store/ asks for metadata alone.
STORE_PARTIAL = {"Accept": PARTIAL["Accept"] + ",application/json"}
PARTIAL_LIST = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
STORE_LIST = {"Accept": PARTIAL_LIST["Accept"] + ",application/json"}
CALICO = "/apis/crd.projectcalico.org/v1"
NS = "/api/v1/namespaces/replay"


class Row:
    """take: "meta" (code, kind, order of keys, metadata), "object" (all of it), "reason" (a Status
    without its message), "causes" (that, and what its causes are about), "items" (the names in a
    list), "picks" (only those paths), "code". A Status is compared whole by default."""

    def __init__(self, name, method, path, body=None, headers=None, take="meta", picks=(), keep=None,
                 user="admin", groups=("system:masters",)):
        self.name, self.method, self.path, self.body = name, method, path, body
        self.headers, self.take, self.picks, self.keep = headers, take, picks, keep
        self.user, self.groups = user, groups


def obj(version, kind, name, namespace=None, **rest):
    meta = {"name": name, **rest.pop("metadata", {})}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def core(kind, name, **rest):
    return obj("v1", kind, name, **rest)


def calico(kind, name, spec=None, **rest):
    return obj("crd.projectcalico.org/v1", kind, name, spec=spec or {}, **rest)


def pod(name, **spec):
    return core("Pod", name, spec={"containers": [{"name": "c", "image": "i"}], **spec})


def block(metadata=None, **spec):
    return calico("IPAMBlock", "10-0-0-0-30", metadata=metadata or {}, spec={
        "cidr": "10.0.0.0/30", "affinity": "host:n1", "allocations": [None] * 4, "unallocated":
        [0, 1, 2, 3], "attributes": [], "strictAffinity": False, "deleted": False,
        "sequenceNumber": 1700000000000000000, "sequenceNumberForAllocation": {}, **spec})


HANDLE = calico("IPAMHandle", "selvage.h", {"handleID": "selvage.h", "block": {"10.0.0.0/30": 1},
                                             "deleted": False})
BLOCK = CALICO + "/ipamblocks/10-0-0-0-30"
STALE = block(metadata={"resourceVersion": "<rv b1>"})
OWN_AFFINITIES = CALICO + "/blockaffinities?labelSelector=projectcalico.org%2Fhostname-hash%3DHASH1"
ROLE = "/apis/rbac.authorization.k8s.io/v1"
READER = dict(user="reader", groups=("readers",))

ROWS = [
    # ---- what serves ----
    Row("version", "GET", "/version", take="picks", picks=("major", "minor")),
    Row("readyz", "GET", "/readyz"),
    Row("no such path", "GET", "/nothing"),
    Row("no such group", "GET", "/apis/nothing.example/v1/things"),
    Row("no such resource", "GET", "/api/v1/things"),
    Row("no such calico resource", "GET", CALICO + "/things"),
    Row("no such version", "GET", "/apis/crd.projectcalico.org/v9/ippools"),
    Row("policy group absent version", "GET", "/apis/networking.k8s.io/v9/networkpolicies"),
    Row("core absent version", "GET", "/api/v9/pods"),
    # How store/ finds which group serves Calico's kinds: the list of what there is, and 404.
    Row("calico group", "GET", CALICO, take="picks", picks=("kind", "apiVersion", "groupVersion")),
    Row("calico group absent", "GET", "/apis/projectcalico.org/v3"),

    # ---- a namespaced built-in kind ----
    Row("create namespace", "POST", "/api/v1/namespaces", core("Namespace", "replay"),
        picks=("status.phase", "spec.finalizers")),
    Row("create namespace again", "POST", "/api/v1/namespaces", core("Namespace", "replay")),
    Row("create node", "POST", "/api/v1/nodes", core("Node", "n1"), keep="n1"),
    Row("create pod", "POST", NS + "/pods", pod("p1", nodeName="n1"), keep="p1",
        picks=("spec.nodeName", "status.phase", "spec.restartPolicy")),
    Row("create pod again", "POST", NS + "/pods", pod("p1")),
    Row("create pod without containers", "POST", NS + "/pods", core("Pod", "p9", spec={}),
        take="reason"),
    Row("create pod in no namespace", "POST", "/api/v1/namespaces/absent/pods", pod("p1")),
    Row("create pod of another namespace", "POST", NS + "/pods",
        {**pod("p3"), "metadata": {"name": "p3", "namespace": "default"}}),
    Row("create pod with a bad name", "POST", NS + "/pods", pod("P_1")),
    Row("create pod with a bad label", "POST", NS + "/pods",
        {**pod("p3"), "metadata": {"name": "p3", "labels": {"a": "b c"}}}),
    Row("create pod with a status", "POST", NS + "/pods",
        {**pod("p2"), "status": {"phase": "Running", "podIP": "10.0.0.1"}},
        picks=("status.phase", "status.podIP")),
    Row("create without a name", "POST", NS + "/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}, take="reason"),
    Row("create another kind", "POST", NS + "/pods", core("Service", "p3"), take="reason"),
    Row("create no JSON", "POST", NS + "/pods", "{", take="reason"),
    Row("create an unknown media type", "POST", NS + "/pods", "a", {"Content-Type": "text/plain"},
        take="reason"),
    Row("get pod", "GET", NS + "/pods/p1", picks=("spec.nodeName", "status.phase")),
    Row("get absent pod", "GET", NS + "/pods/absent"),
    Row("get partial pod", "GET", NS + "/pods/p1", headers=PARTIAL, take="object"),
    Row("list pods", "GET", NS + "/pods"),
    Row("list all pods of a node", "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1"),
    Row("list pods by metadata.name", "GET", NS + "/pods?fieldSelector=metadata.name%3Dp2"),
    Row("list pods by an unknown field", "GET", NS + "/pods?fieldSelector=spec.color%3Dred"),
    Row("list policies by an unknown field", "GET",
        "/apis/networking.k8s.io/v1/networkpolicies?fieldSelector=spec.color%3Dred"),
    # Pods of a node, one at most: whether any is there, past every cache. Whether a token comes although
    # no more pods match depends on the version: older servers count keys, newer ones ask an index.
    Row("one pod of a node", "GET", "/api/v1/pods?limit=1&fieldSelector=spec.nodeName%3Dn1",
        take="items"),
    Row("one pod of no node", "GET", "/api/v1/pods?limit=1&fieldSelector=spec.nodeName%3D", keep="one"),
    Row("pods of an absent node", "GET", "/api/v1/pods?limit=1&fieldSelector=spec.nodeName%3Dabsent"),
    Row("pods at version 0 with a limit", "GET", NS + "/pods?limit=1&resourceVersion=0"),
    Row("pods of a node at version 0 with a limit", "GET",
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=500&resourceVersion=0"),
    Row("pods not older, with a limit", "GET",
        NS + "/pods?limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=<rv p1>", keep="two"),
    Row("the other pods not older", "GET", NS + "/pods?limit=1&continue=<continue two>"),
    Row("pods past every cache", "GET", NS + "/pods?limit=500&resourceVersion="),
    Row("namespaces as metadata at version 0", "GET", "/api/v1/namespaces?limit=500&resourceVersion=0"
        "&fieldSelector=metadata.name%3Dreplay", headers=STORE_LIST),
    Row("list pods by a broken selector", "GET", NS + "/pods?labelSelector=%3D%3D", take="reason"),
    Row("list no pods", "GET", "/api/v1/namespaces/absent/pods"),
    Row("list partial namespaces", "GET", "/api/v1/namespaces?fieldSelector=metadata.name%3Dreplay",
        headers=PARTIAL_LIST),
    Row("get partial as list", "GET", NS + "/pods/p1", headers=PARTIAL_LIST, take="reason"),

    # ---- status patches, as the daemons write them ----
    Row("annotate pod by its status", "PATCH", NS + "/pods/p1/status", {"metadata": {"annotations": {
        "cni.projectcalico.org/podIP": "10.0.0.1/32"}}}, MERGE),
    Row("annotate pod with its uid", "PATCH", NS + "/pods/p1/status", {"metadata": {
        "uid": "<uid p1>", "annotations": {"cni.projectcalico.org/podIPs": "10.0.0.1/32"}}}, MERGE),
    Row("annotate pod with another uid", "PATCH", NS + "/pods/p1/status", {"metadata": {
        "uid": "00000000-0000-4000-8000-000000000000", "annotations": {"a": "b"}}}, MERGE),
    Row("annotate node with another uid", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {
        "uid": "00000000-0000-4000-8000-000000000000", "annotations": {"a": "b"}}}, MERGE),
    Row("annotate node with no uid", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {
        "uid": None, "labels": {"a": "b"}}}, MERGE),
    Row("annotate node from a stale version", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {
        "resourceVersion": "<rv n1>", "labels": {"a": "c"}}}, MERGE),
    Row("annotate node with a number", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {
        "annotations": {"a": 1}}}, MERGE, take="reason"),
    Row("annotate node, answer as metadata", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {
        "annotations": {"projectcalico.org/IPv6Address": "fd00::1/64"}}},
        {**MERGE, **STORE_PARTIAL}, take="object"),
    Row("annotate absent node", "PATCH", "/api/v1/nodes/absent/status", {"metadata": {
        "annotations": {"a": "b"}}}, {**MERGE, **STORE_PARTIAL}),
    Row("annotate pod with a stale version", "PATCH", NS + "/pods/p1/status", {"metadata": {
        "resourceVersion": "<rv p1>", "annotations": {"a": "b"}}}, MERGE),
    Row("unannotate pod", "PATCH", NS + "/pods/p1/status", {"metadata": {"annotations": {
        "cni.projectcalico.org/podIPs": None}}}, MERGE),
    Row("annotate absent pod", "PATCH", NS + "/pods/absent/status", {"metadata": {}}, MERGE),
    Row("annotate node by its status", "PATCH", "/api/v1/nodes/n1/status", {"metadata": {"annotations": {
        "projectcalico.org/IPv4Address": "10.0.0.1/24"}}}, MERGE),
    Row("annotate node strategically", "PATCH", "/api/v1/nodes/n1", {"metadata": {"annotations": {
        "selvage.io/instance": "x"}}}, STRATEGIC),
    Row("json patch", "PATCH", "/api/v1/nodes/n1", [
        {"op": "test", "path": "/metadata/annotations/selvage.io~1instance", "value": "x"},
        {"op": "remove", "path": "/metadata/annotations/selvage.io~1instance"}], JSON_PATCH),
    Row("json patch whose test fails", "PATCH", "/api/v1/nodes/n1", [
        {"op": "test", "path": "/metadata/name", "value": "n2"}], JSON_PATCH, take="reason"),
    Row("pod spec by its status stays", "PATCH", NS + "/pods/p1/status", {"spec": {"nodeName": "n9"}},
        MERGE, picks=("spec.nodeName",)),

    # ---- compare-and-swap on a custom kind ----
    Row("create block", "POST", CALICO + "/ipamblocks", block(), take="object", keep="b1"),
    Row("create block again", "POST", CALICO + "/ipamblocks", block()),
    Row("get block", "GET", BLOCK, take="object"),
    Row("get absent block", "GET", CALICO + "/ipamblocks/10-9-9-0-30"),
    Row("update block", "PUT", BLOCK, block(
        allocations=[0, None, None, None], unallocated=[1, 2, 3], sequenceNumber=1700000000000000001,
        attributes=[{"handle_id": "net.0a", "secondary": {"pod": "p"}}],
        sequenceNumberForAllocation={"0": 1700000000000000001},
        metadata={"resourceVersion": "<rv b1>"}), take="object", keep="b2"),
    Row("update block from a stale version", "PUT", BLOCK, STALE),
    # Servers differ in words here: "Invalid value: 0x0", newer ones "Invalid value: 0".
    Row("update block without a version", "PUT", BLOCK, block(), take="causes"),
    Row("update block with another uid", "PUT", BLOCK, block(metadata={
        "resourceVersion": "<rv b2>", "uid": "00000000-0000-4000-8000-000000000000"})),
    Row("update block of another name", "PUT", BLOCK, {**block(), "metadata": {
        "name": "other", "resourceVersion": "<rv b2>"}}),
    Row("update absent block", "PUT", CALICO + "/ipamblocks/10-9-9-0-30", {
        **block(), "metadata": {"name": "10-9-9-0-30", "resourceVersion": "<rv b2>"}}),
    Row("update block with the same content", "PUT", BLOCK, block(
        allocations=[0, None, None, None], unallocated=[1, 2, 3], sequenceNumber=1700000000000000001,
        attributes=[{"handle_id": "net.0a", "secondary": {"pod": "p"}}],
        sequenceNumberForAllocation={"0": 1700000000000000001},
        metadata={"resourceVersion": "<rv b2>", "uid": "<uid b2>"}), take="object", keep="b3"),
    Row("create block with a version", "POST", CALICO + "/ipamblocks", {**block(), "metadata": {
        "name": "x", "resourceVersion": "5"}}),
    Row("create block with a bad name", "POST", CALICO + "/ipamblocks", {**block(), "metadata": {
        "name": "10.0.0.0/30"}}),
    Row("create of another kind", "POST", CALICO + "/ipamblocks", calico("IPPool", "x")),
    Row("create of another version", "POST", CALICO + "/ipamblocks", {
        **block(), "apiVersion": "projectcalico.org/v3"}),
    Row("create of no kind", "POST", CALICO + "/ipamblocks", {"metadata": {"name": "x"}}, take="reason"),
    Row("block strategic patch", "PATCH", BLOCK, {"spec": {}}, STRATEGIC, take="reason"),
    Row("delete block with another uid", "DELETE", BLOCK, {"apiVersion": "v1", "kind": "DeleteOptions",
        "preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}),
    Row("delete block of a stale version", "DELETE", BLOCK, {"apiVersion": "v1", "kind": "DeleteOptions",
        "preconditions": {"uid": "<uid b2>", "resourceVersion": "<rv b1>"}}),
    Row("delete block", "DELETE", BLOCK, {"apiVersion": "v1", "kind": "DeleteOptions",
        "preconditions": {"uid": "<uid b2>", "resourceVersion": "<rv b3>"}}, take="object"),
    # 404 since 1.34; older servers: 409, Precondition failed, as the suite's server at their version.
    Row("update deleted block with its uid", "PUT", BLOCK, block(metadata={
        "resourceVersion": "<rv b3>", "uid": "<uid b2>"})),
    Row("update deleted block without its uid", "PUT", BLOCK, block(metadata={
        "resourceVersion": "<rv b3>"})),
    Row("delete deleted block with its uid", "DELETE", BLOCK, {
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "<uid b2>"}}),
    Row("delete absent block", "DELETE", BLOCK, {"apiVersion": "v1", "kind": "DeleteOptions"}),
    Row("same name, new uid", "POST", CALICO + "/ipamblocks", block(), take="object"),
    Row("update new block with the old uid", "PUT", BLOCK, block(metadata={
        "resourceVersion": "<rv b3>", "uid": "<uid b2>"}), take="reason"),
    Row("delete new block with the old uid", "DELETE", BLOCK, {
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "<uid b2>"}}),
    Row("delete block by its version alone", "DELETE", BLOCK, {
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": "<rv b3>"}}),
    Row("delete block without options", "DELETE", BLOCK),
    Row("create handle", "POST", CALICO + "/ipamhandles", HANDLE, take="object", keep="h"),
    Row("delete handle with empty preconditions", "DELETE", CALICO + "/ipamhandles/selvage.h", {
        "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {}}, take="object"),
    Row("create pool", "POST", CALICO + "/ippools", calico("IPPool", "pool", {
        "cidr": "10.7.0.0/16", "blockSize": 26}), take="object", keep="pool"),
    Row("create pool without a cidr", "POST", CALICO + "/ippools", calico("IPPool", "pool2", {
        "blockSize": 26})),
    Row("create pool with a text for a number", "POST", CALICO + "/ippools", calico("IPPool", "pool2", {
        "cidr": "10.6.0.0/16", "blockSize": "x"})),
    # The real server tells the rule besides (the suite's knows no rule but self == oldSelf).
    Row("create pool with a block size too great", "POST", CALICO + "/ippools", calico("IPPool", "pool2", {
        "cidr": "10.6.0.0/16", "blockSize": 200}), take="reason"),
    Row("create pool with a word for a cidr", "POST", CALICO + "/ippools", calico("IPPool", "pool2", {
        "cidr": "nonsense"}), take="causes"),
    Row("change a pool's cidr", "PATCH", CALICO + "/ippools/pool", {"spec": {"cidr": "10.8.0.0/16"}},
        MERGE, take="reason"),
    Row("unknown field of a pool", "PATCH", CALICO + "/ippools/pool", {"spec": {"colour": "red"}}, MERGE,
        take="object"),
    Row("patch pool with another uid", "PATCH", CALICO + "/ippools/pool", {"metadata": {
        "uid": "00000000-0000-4000-8000-000000000000", "labels": {"a": "b"}}}, MERGE),
    Row("delete pool", "DELETE", CALICO + "/ippools/pool"),

    # ---- pages ----
    *[Row(f"create affinity {i}", "POST", CALICO + "/blockaffinities", calico(
        "BlockAffinity", f"n{i}-10-0-0-0-30", {"node": f"n{i}", "cidr": "10.0.0.0/30", "state":
                                               "confirmed", "deleted": "false", "type": "host"},
        metadata={"labels": {"projectcalico.org/affinity-type": "host", "odd": str(i % 2),
                             "projectcalico.org/hostname-hash": f"HASH{i}"}}),
        take="object") for i in range(5)],
    Row("first page", "GET", CALICO + "/blockaffinities?limit=2", keep="page"),
    Row("second page", "GET", CALICO + "/blockaffinities?limit=2&continue=<continue page>", keep="page"),
    Row("last page", "GET", CALICO + "/blockaffinities?limit=2&continue=<continue page>"),
    Row("page by labels", "GET", CALICO + "/blockaffinities?limit=2&labelSelector=odd%3D0", keep="page"),
    Row("last page by labels", "GET",
        CALICO + "/blockaffinities?limit=2&labelSelector=odd%3D0&continue=<continue page>"),
    Row("page by labels with no more to come", "GET",
        CALICO + "/blockaffinities?limit=2&labelSelector=odd%3D1", take="items"),
    Row("labels in a set", "GET", CALICO + "/blockaffinities?labelSelector=odd+in+%281%2C2%29%2C%21even"),
    Row("affinities of a node", "GET", OWN_AFFINITIES + "&limit=500&resourceVersion=0"),
    Row("affinities of a node as IPAM asks", "GET", OWN_AFFINITIES + "&limit=500"),
    Row("affinities of an absent node", "GET", OWN_AFFINITIES + "9&limit=500"),
    Row("names of all affinities", "GET", CALICO + "/blockaffinities?limit=2", headers=STORE_LIST,
        keep="names"),
    Row("the other names", "GET", CALICO + "/blockaffinities?limit=2&continue=<continue names>",
        headers=STORE_LIST),
    Row("list names only", "GET", CALICO + "/blockaffinities?limit=3", headers=PARTIAL_LIST),
    Row("list at version 0 with a limit", "GET", CALICO + "/blockaffinities?limit=2&resourceVersion=0"),
    Row("list custom by a field", "GET", CALICO + "/blockaffinities?fieldSelector=spec.node%3Dn1"),
    Row("list custom by name", "GET",
        CALICO + "/blockaffinities?fieldSelector=metadata.name%3Dn1-10-0-0-0-30"),
    Row("empty list", "GET", CALICO + "/bgpfilters"),
    Row("empty typed list", "GET", "/apis/discovery.k8s.io/v1/namespaces/replay/endpointslices"),
    Row("broken continue token", "GET", CALICO + "/blockaffinities?limit=2&continue=xxx", take="reason"),
    Row("continue with a version", "GET", CALICO + "/blockaffinities?limit=2&resourceVersion=5&continue="
        "<continue page>"),
    Row("limit of no number", "GET", CALICO + "/blockaffinities?limit=two", take="reason"),
    Row("version of no number", "GET", CALICO + "/blockaffinities?resourceVersion=two", take="reason"),
    Row("match without version", "GET", CALICO + "/blockaffinities?resourceVersionMatch=Exact"),
    Row("unknown match", "GET", CALICO + "/blockaffinities?resourceVersionMatch=Some&resourceVersion=1"),
    Row("exact at 0", "GET", CALICO + "/blockaffinities?resourceVersionMatch=Exact&resourceVersion=0"),
    Row("list from the future", "GET", CALICO + "/blockaffinities?resourceVersion=999999999"),
    Row("initial events without match", "GET", CALICO + "/blockaffinities?watch=1&sendInitialEvents=true"),
    Row("match on a watch", "GET",
        CALICO + "/blockaffinities?watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1"),
    Row("list with initial events", "GET", CALICO + "/blockaffinities?sendInitialEvents=true"),

    # ---- services, secrets ----
    Row("create service", "POST", NS + "/services", core("Service", "s1", spec={
        "ports": [{"port": 80}], "clusterIP": "10.96.0.77"}),
        picks=("spec.clusterIP", "spec.clusterIPs", "spec.type", "spec.ipFamilies",
               "spec.internalTrafficPolicy", "spec.externalTrafficPolicy", "spec.sessionAffinity")),
    Row("create load balancer", "POST", NS + "/services", core("Service", "s2", spec={
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "clusterIP": "10.96.0.78", "ports":
        [{"port": 80, "nodePort": 30080}], "externalIPs": ["192.0.2.1"]}), keep="s2",
        picks=("spec.type", "spec.externalTrafficPolicy", "spec.externalIPs")),
    Row("service status", "PATCH", NS + "/services/s2/status", {"status": {"loadBalancer": {"ingress":
        [{"ip": "192.0.2.5"}]}}}, MERGE, picks=("status.loadBalancer.ingress",), take="code"),
    Row("delete service", "DELETE", NS + "/services/s1", take="code"),
    Row("create secret", "POST", NS + "/secrets", core("Secret", "k", stringData={"a": "b"}),
        picks=("data", "type")),
    Row("create policy", "POST", "/apis/networking.k8s.io/v1/namespaces/replay/networkpolicies",
        obj("networking.k8s.io/v1", "NetworkPolicy", "np", spec={"podSelector": {}}),
        picks=("spec.policyTypes",)),
    Row("create slice", "POST", "/apis/discovery.k8s.io/v1/namespaces/replay/endpointslices",
        obj("discovery.k8s.io/v1", "EndpointSlice", "s1-a", addressType="IPv4", metadata={"labels": {
            "kubernetes.io/service-name": "s1"}}, endpoints=[{"addresses": ["10.0.0.1"], "nodeName":
                                                               "n1", "conditions": {"ready": True}}],
            ports=[{"port": 80}]), picks=("addressType",)),
    Row("create calico policy", "POST", CALICO + "/namespaces/replay/networkpolicies",
        calico("NetworkPolicy", "np", {"selector": "all()"}), take="object"),
    Row("list calico policies", "GET", CALICO + "/networkpolicies"),

    # ---- deletes ----
    Row("delete pod gracefully", "DELETE", NS + "/pods/p1", take="picks",
        picks=("kind", "metadata.deletionGracePeriodSeconds")),
    Row("delete pod at once", "DELETE", NS + "/pods/p1", {"apiVersion": "v1", "kind": "DeleteOptions",
        "gracePeriodSeconds": 0}, take="picks", picks=("kind",)),
    Row("deleted pod", "GET", NS + "/pods/p1"),
    Row("delete node", "DELETE", "/api/v1/nodes/n1"),
    Row("delete collection", "DELETE", CALICO + "/blockaffinities?labelSelector=odd%3D1"),
    Row("after delete collection", "GET", CALICO + "/blockaffinities"),
    Row("method of no use", "PUT", CALICO + "/blockaffinities", {}),
    Row("patch of a collection", "PATCH", CALICO + "/blockaffinities", {}, MERGE),
    Row("typed method of no use", "PUT", "/api/v1/nodes", {}),
    Row("patch of a typed collection", "PATCH", "/api/v1/nodes", {}, MERGE),

    # ---- who may ----
    Row("no certificate", "GET", "/api/v1/nodes", user=None),
    Row("bad token", "GET", "/api/v1/nodes", user="token:nonsense"),
    Row("stranger", "GET", CALICO + "/ippools", **READER),
    Row("stranger by name", "GET", CALICO + "/ippools/a", **READER),
    Row("stranger in a namespace", "GET", NS + "/secrets/k", **READER),
    Row("stranger's status patch", "PATCH", "/api/v1/nodes/n1/status", {}, MERGE, **READER),
    Row("stranger's watch", "GET", "/api/v1/pods?watch=1", **READER),
    Row("stranger's path", "GET", "/metrics", **READER),
    Row("stranger's version", "GET", "/version", take="picks", picks=("major",), **READER),
    Row("create role", "POST", ROLE + "/clusterroles", obj(
        "rbac.authorization.k8s.io/v1", "ClusterRole", "replay", rules=[
            {"apiGroups": ["crd.projectcalico.org"], "resources": ["ippools"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["k"], "verbs": ["get",
                                                                                        "list"]}])),
    Row("create binding", "POST", ROLE + "/clusterrolebindings", obj(
        "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "replay", roleRef={
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "replay"},
        subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers"}])),
    Row("wait for the binding", "GET", "/apis/crd.projectcalico.org/v1/tiers?limit=1", take="code"),
    Row("reader lists", "GET", CALICO + "/ippools", **READER),
    Row("reader writes", "POST", CALICO + "/ippools", calico("IPPool", "x", {"cidr": "10.0.0.0/16"}),
        **READER),
    Row("reader's named secret", "GET", NS + "/secrets/k", picks=("data",), **READER),
    Row("reader's other secret", "GET", NS + "/secrets/z", **READER),
    Row("reader lists its secret", "GET", NS + "/secrets?fieldSelector=metadata.name%3Dk", **READER),
    Row("reader lists secrets", "GET", NS + "/secrets", **READER),
]
