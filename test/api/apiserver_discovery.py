"""/version, /api, /apis and below: what a client learns of the server."""
import json

from apiserver_store import now_text, to_json

VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
SERVERS = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}]


def version(options):
    return {"major": "1", "minor": str(options.minor), "gitVersion": f"v1.{options.minor}.0",
            "gitCommit": "0" * 40, "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z",
            "goVersion": "go1.23.4", "compiler": "gc", "platform": "linux/amd64"}


def groups(store):
    """group -> [versions], in the order of the table."""
    out = {}
    for res in store.order:
        if res.group and res.version not in out.setdefault(res.group, []):
            out[res.group].append(res.version)
    return out


def group(name, versions):
    said = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": said, "preferredVersion": said[0]}


def resources(store, group_name, version_name):
    out = []
    for res in store.order:
        if (res.group, res.version) != (group_name, version_name):
            continue
        entry = {"name": res.name, "singularName": res.singular, "namespaced": res.namespaced,
                 "kind": res.kind, "verbs": VERBS if not res.typed else sorted(VERBS)}
        if res.short:
            entry["shortNames"] = list(res.short)
        out.append(entry)
        if res.status:
            out.append({"name": res.name + "/status", "singularName": "",
                        "namespaced": res.namespaced, "kind": res.kind,
                        "verbs": ["get", "patch", "update"]})
        if res.name == "serviceaccounts" and res.typed:
            out.append({"name": "serviceaccounts/token", "singularName": "", "namespaced": True,
                        "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest",
                        "verbs": ["create"]})
    return out


def answer(store, options, path):
    """The object at a path, or None."""
    parts = path.strip("/").split("/")
    if path == "/version":
        return version(options)
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": SERVERS}
    if path == "/":
        return {"paths": ["/api", "/api/v1", "/apis"] + [f"/apis/{g}" for g in groups(store)] +
                ["/healthz", "/livez", "/readyz", "/version"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1",
                "groups": [group(g, v) for g, v in groups(store).items()]}
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups(store):
        return {"kind": "APIGroup", "apiVersion": "v1",
                **group(parts[1], groups(store)[parts[1]])}
    if parts[0] == "api" and len(parts) == 2:
        parts.insert(1, "")
    if len(parts) == 3:
        found = resources(store, parts[1], parts[2])
        if found:
            out = {"kind": "APIResourceList", "groupVersion": "v1"} if not parts[1] else \
                {"kind": "APIResourceList", "apiVersion": "v1",
                 "groupVersion": f"{parts[1]}/{parts[2]}"}
            out["resources"] = found
            return out
    return None


def access_review(req):
    """SelfSubjectAccessReview and its like: everything that got here is allowed."""
    value = json.loads(req.body or b"{}")
    value["metadata"] = {"creationTimestamp": now_text()}
    value["status"] = {"allowed": True}
    return to_json(value) + b"\n"


class Crds:
    """CustomResourceDefinition objects and the resources they stand for."""

    def __init__(self, make_resource):
        self.make_resource = make_resource

    @staticmethod
    def definition(res):
        """The object of a resource that the table serves from the start."""
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{res.name}.{res.group}"},
                "spec": {"group": res.group, "names": {
                    "kind": res.kind, "listKind": res.kind + "List", "plural": res.name,
                    "singular": res.singular},
                    "scope": "Namespaced" if res.namespaced else "Cluster",
                    "versions": [{"name": res.version, "served": True, "storage": True,
                                  "schema": {"openAPIV3Schema": {
                                      "type": "object",
                                      "x-kubernetes-preserve-unknown-fields": True}}}],
                    "conversion": {"strategy": "None"}},
                "status": {"acceptedNames": {"kind": res.kind, "plural": res.name},
                           "storedVersions": [res.version],
                           "conditions": [{"type": t, "status": "True", "reason": r,
                                           "message": m, "lastTransitionTime": now_text()}
                                          for t, r, m in (
                                              ("NamesAccepted", "NoConflicts",
                                               "no conflicts found"),
                                              ("Established", "InitialNamesAccepted",
                                               "the initial names have been accepted"))]}}

    def added(self, store, value):
        """A CRD was written: serve what it names; its status says so."""
        spec = value["spec"]
        served = set()
        for v in spec.get("versions") or ():
            if not v.get("served", True):
                continue
            key = (spec["group"], v["name"], spec["names"]["plural"])
            served.add(key)
            table = store.tables.get(key)
            if table is None:
                res = self.make_resource(spec["group"], v["name"], spec["names"]["plural"],
                                         spec["names"]["kind"],
                                         spec.get("scope") == "Namespaced", typed=False,
                                         short=tuple(spec["names"].get("shortNames") or ()))
                store.add(res)
                table = store.tables[key]
            res = table.res
            res.status = "status" in (v.get("subresources") or {})
            res.short = tuple(spec["names"].get("shortNames") or res.short)
            res.schema = (v.get("schema") or {}).get("openAPIV3Schema")
        crds = store.tables[("apiextensions.k8s.io", "v1", "customresourcedefinitions")]
        if not (value.get("status") or {}).get("conditions"):
            res = store.tables[sorted(served)[0]].res if served else None
            if res:
                value = dict(value)
                value["metadata"] = dict(value["metadata"])
                value["status"] = self.definition(res)["status"]
                crds.put(value)
        store.changed += 1

    def removed(self, store, value):
        spec = value["spec"]
        for v in spec.get("versions") or ():
            table = store.tables.get((spec["group"], v["name"], spec["names"]["plural"]))
            if table is not None:
                for w in tuple(table.watchers):
                    w.end()
                store.drop(table.res)
        store.changed += 1
