"""What each request does to the store, and the answer: verbs on resources, discovery, version."""
import base64
import json
import random
import time

from apiserver_kinds import (StatusError, already_exists, bad_request, check_meta, check_texts,
                             conflict, delete_conflict, details_of, invalid, no_such_resource,
                             not_found, page_not_found, quoted, RBAC, uid_conflict, uid_immutable)
from apiserver_list import Lister, Watcher, number
from apiserver_patch import json_patch, merge, strategic
from apiserver_store import make, new_uid, now_text, to_json
import apiserver_discovery as discovery
import apiserver_schema as schema

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
BODY_LIMIT = 3 * 1024 * 1024
RETURNS_OBJECT = {"pods", "services", "serviceaccounts", "namespaces"}
STATUS_DROPPED = {"pods", "services", "namespaces"}  # a POST's status does not count


class Answer:
    """code, body; type of the body; watch: a Watcher that goes on after the headers."""
    __slots__ = ("code", "body", "type", "watch", "headers")

    def __init__(self, code, body, kind="application/json", watch=None, headers=()):
        self.code, self.body, self.type, self.watch, self.headers = code, body, kind, watch, headers


def status_answer(err):
    headers = []
    retry = err.retry_after
    if retry is None and err.details and err.details.get("retryAfterSeconds"):
        retry = err.details["retryAfterSeconds"]
    if retry is not None:
        headers.append(("Retry-After", str(retry)))
    if err.code == 403:
        headers.append(("X-Content-Type-Options", "nosniff"))
    if err.text is not None:
        headers.append(("X-Content-Type-Options", "nosniff"))
        return Answer(err.code, err.text.encode(), "text/plain; charset=utf-8", headers=headers)
    return Answer(err.code, to_json(err.object()) + b"\n", headers=headers)


def negotiate(accept, listing):
    """False: the object as it is; True: as PartialObjectMetadata(List)."""
    if not accept or accept == "*/*" or accept == "application/json":
        return False
    for clause in accept.split(","):
        kind, *params = [p.strip() for p in clause.split(";")]
        params = dict(p.partition("=")[::2] for p in params)
        if kind not in ("application/json", "*/*", "application/*"):
            continue
        shape = params.get("as")
        if not shape:
            return False
        if shape == ("PartialObjectMetadataList" if listing else "PartialObjectMetadata") and \
                params.get("g") == "meta.k8s.io" and params.get("v") in ("v1", "v1beta1"):
            return True
    raise StatusError(406, "only the following media types are accepted: application/json, "
                      "application/yaml, application/vnd.kubernetes.protobuf")


class Rest:
    def __init__(self, store, options):
        self.store, self.options = store, options
        self.lister = Lister(store, options)
        self.service_ip = 10
        self.node_port = 30000

    # ---- one request ----

    def answer(self, req):
        """Answer of an authorised request. Never raises a StatusError."""
        try:
            return self.act(req)
        except StatusError as e:
            return status_answer(e)

    def act(self, req):
        if req.res is None:
            return self.other(req)
        table = self.store.tables[(req.res.group, req.res.version, req.res.name)]
        res, verb = req.res, req.verb
        if req.sub and not (req.sub == "status" and res.status) and not (
                req.sub == "finalize" and res.name == "namespaces") and not (
                req.sub == "token" and res.name == "serviceaccounts"):
            raise no_such_resource() if res.typed else not_found(res, req.name)
        if verb == "list":
            partial = negotiate(req.headers.get("accept"), True)
            return Answer(200, self.lister.body(table, req, partial))
        if verb == "watch":
            return self.watch(table, req)
        if verb == "get":
            return self.get(table, req)
        if verb == "create":
            return self.create(table, req)
        if verb == "update":
            return self.update(table, req)
        if verb == "patch":
            return self.patch(table, req)
        if verb == "delete":
            return self.delete(table, req)
        if verb == "deletecollection":
            return self.delete_collection(table, req)
        raise StatusError(405, "the server does not allow this method on the requested resource",
                          details={})

    def watch(self, table, req):
        partial = negotiate(req.headers.get("accept"), False)
        self.lister.check_watch(req.query)
        number(req.query, "resourceVersion")
        return Answer(200, b"", watch=Watcher(table, self.lister.select(req), req, partial))

    def get(self, table, req):
        partial = negotiate(req.headers.get("accept"), False)
        o = self.find(table, req)
        return Answer(200, (o.partial_json() if partial else o.full()) + b"\n")

    def find(self, table, req):
        o = table.objs.get(f"{req.ns}/{req.name}" if req.res.namespaced else req.name)
        if o is None:
            raise not_found(req.res, req.name)
        return o

    # ---- bodies ----

    def body(self, req):
        res = req.res
        kind = req.headers.get("content-type", "application/json").partition(";")[0].strip()
        if kind not in ("application/json", ""):
            raise StatusError(415, "the body of the request was in an unknown format - accepted "
                              "media types include: application/json, application/yaml, "
                              "application/vnd.kubernetes.protobuf")
        value = self.parse(req, res.kind)
        said = (value.get("apiVersion"), value.get("kind"))
        if not said[1] and not res.typed:
            raise bad_request("Object 'Kind' is missing in "
                              f"'{req.body.decode(errors='replace')[:200]}'")
        if not res.typed and said[0] == res.api_version and said[1] != res.kind:
            name = (value.get("metadata") or {}).get("name", "")
            raise invalid(res, name, [("kind", "FieldValueInvalid", f"Invalid value: "
                                       f"{quoted(said[1])}: must be {res.kind}")], kind=said[1])
        if said[0] not in (None, "", res.api_version) or said[1] not in (None, "", res.kind):
            raise bad_request(
                f"the API version in the data ({said[0]}) does not match the expected API version "
                f"({res.api_version})" if said[0] not in (None, "", res.api_version) else
                f'{said[1]} in version "{res.version}" cannot be handled as a {res.kind}: no kind '
                f'"{said[1]}" is registered for version "{res.api_version}" in scheme')
        meta = value.get("metadata")
        if meta is None:
            value["metadata"] = {}
        elif not isinstance(meta, dict):
            raise bad_request(f'{res.kind} in version "{res.version}" cannot be handled as a '
                              f"{res.kind}: json: cannot unmarshal metadata")
        return value

    def parse(self, req, kind):
        try:
            value = json.loads(req.body)
        except (ValueError, UnicodeDecodeError) as e:
            raise bad_request("the object provided is unrecognized (must be of type "
                              f"{kind}): couldn't get version/kind; json parse error: {e}") from e
        if not isinstance(value, dict):
            raise bad_request(f"the object provided is unrecognized (must be of type {kind}): "
                              "couldn't get version/kind; json parse error: json: cannot unmarshal "
                              "array into Go value of type struct")
        return value

    def done(self, table, o, code, req):
        if table.res.group == RBAC:
            self.store.changed += 1
        partial = negotiate(req.headers.get("accept"), False)
        return Answer(code, (o.partial_json() if partial else o.full()) + b"\n")

    # ---- create ----

    def create(self, table, req):
        res = req.res
        if req.sub == "token":
            return self.token_request(table, req)
        if req.name:
            raise StatusError(405, "the server does not allow this method on the requested "
                              "resource", details={})
        if res.namespaced and not req.ns:
            raise bad_request("namespace is required") if res.typed else StatusError(
                405, "the server does not allow this method on the requested resource", details={})
        value = self.body(req)
        meta = value["metadata"]
        ns = meta.get("namespace") or ""
        if res.namespaced:
            if ns and ns != req.ns:
                raise bad_request("the namespace of the provided object does not match the "
                                  "namespace sent on the request")
            meta["namespace"] = req.ns
            self.check_namespace(req, meta)
        elif ns:
            raise bad_request("the namespace of the provided object does not match the namespace "
                              "sent on the request") if not res.typed else invalid(
                res, meta.get("name", ""), [("metadata.namespace", "FieldValueForbidden",
                                             "Forbidden: not allowed on this type")])
        if not meta.get("name"):
            base = meta.get("generateName")
            if not base:
                raise invalid(res, "", [("metadata.name", "FieldValueRequired",
                                         "Required value: name or generateName is required")])
            meta["name"] = base[:58] + "".join(random.choices(SUFFIX, k=5))
        check_meta(res, meta)
        key = f"{req.ns}/{meta['name']}" if res.namespaced else meta["name"]
        if key in table.objs:
            raise already_exists(res, meta["name"])
        if meta.get("resourceVersion") not in (None, "", "0"):
            raise StatusError(500, "resourceVersion should not be set on objects to be created",
                              reason="")
        for gone in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            meta.pop(gone, None)
        meta["uid"] = new_uid()
        meta["creationTimestamp"] = now_text()
        if res.generation:
            meta["generation"] = 1
        else:
            meta.pop("generation", None)
        self.defaults(res, value)
        self.check_schema(res, value, None)
        if req.query.get("dryRun"):
            return self.dry(table, value, 201)
        o = table.put(value)
        if res.name == "customresourcedefinitions":
            self.options.crds.added(self.store, value)
        return self.done(table, o, 201, req)

    def dry(self, table, value, code):
        value["metadata"].setdefault("resourceVersion", "")
        return Answer(code, make(table.res, value, 0).full() + b"\n")

    def check_namespace(self, req, meta):
        ns = self.store.tables[("", "v1", "namespaces")].objs.get(req.ns)
        if ns is None:
            raise StatusError(404, f'namespaces "{req.ns}" not found',
                              details={"name": req.ns, "kind": "namespaces"})
        if ns.fields["status.phase"] == "Terminating":
            name = meta.get("name", "")
            raise StatusError(
                403, f'{req.res.qualified} "{name}" is forbidden: unable to create new content in '
                f"namespace {req.ns} because it is being terminated",
                details=details_of(req.res, name, causes=[
                    {"reason": "NamespaceTerminating",
                     "message": f"namespace {req.ns} is being terminated",
                     "field": "metadata.namespace"}]))

    def defaults(self, res, value):
        """What the real server fills in, of the fields that somebody here may read."""
        name, group = res.name, res.group
        if res.status and (name in STATUS_DROPPED or not res.typed):
            value.pop("status", None)
        if group:
            if name == "networkpolicies" and res.typed:
                spec = value.setdefault("spec", {})
                spec.setdefault("podSelector", {})
                spec.setdefault("policyTypes", ["Ingress"] + (["Egress"] if spec.get("egress")
                                                              else []))
            return
        if name == "pods":
            spec = value.setdefault("spec", {})
            if not spec.get("containers"):
                raise invalid(res, value["metadata"]["name"], [
                    ("spec.containers", "FieldValueRequired", "Required value")])
            for key, default in (("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"),
                                 ("terminationGracePeriodSeconds", 30), ("securityContext", {}),
                                 ("schedulerName", "default-scheduler"),
                                 ("serviceAccountName", "default"), ("serviceAccount", "default"),
                                 ("enableServiceLinks", True), ("priority", 0),
                                 ("preemptionPolicy", "PreemptLowerPriority")):
                spec.setdefault(key, default)
            value["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        elif name == "namespaces":
            value["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = \
                value["metadata"]["name"]
            value.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            value["status"] = {"phase": "Active"}
        elif name == "nodes":
            value.setdefault("spec", {})
            value.setdefault("status", {})
        elif name == "services":
            self.service_defaults(value)
        elif name == "secrets":
            value.setdefault("type", "Opaque")
            for key, text in (value.pop("stringData", None) or {}).items():
                value.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()

    @staticmethod
    def check_schema(res, value, before):
        """A custom kind by its definition's schema: unknown fields go, what is wrong is 422."""
        if res.schema is None:
            return
        schema.fit(res.schema, value)
        causes = schema.check(res.schema, value, before)
        if causes:
            raise invalid(res, value["metadata"]["name"], causes)

    def service_defaults(self, value):
        spec = value.setdefault("spec", {})
        kind = spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
            if kind in ("NodePort", "LoadBalancer") and not port.get("nodePort"):
                port["nodePort"] = self.node_port
                self.node_port += 1
        if kind != "ExternalName":
            if not spec.get("clusterIP"):
                self.service_ip += 1
                n = self.service_ip
                spec["clusterIP"] = f"10.96.{n >> 8 & 255}.{n & 255}"
            spec.setdefault("clusterIPs", [spec["clusterIP"]])
            spec.setdefault("ipFamilies", ["IPv6" if ":" in spec["clusterIP"] else "IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")
            spec.setdefault("internalTrafficPolicy", "Cluster")
            if kind != "ClusterIP":
                spec.setdefault("externalTrafficPolicy", "Cluster")
            if kind == "LoadBalancer":
                spec.setdefault("allocateLoadBalancerNodePorts", True)
        value["status"] = {"loadBalancer": {}}

    def token_request(self, table, req):
        o = self.find(table, req)
        spec = (json.loads(req.body or b"{}").get("spec") or {})
        seconds = spec.get("expirationSeconds") or 3600
        user = f"system:serviceaccount:{o.ns}:{o.name}"
        token = self.options.auth_token(user, None, time.time() + seconds)
        return Answer(201, to_json({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": o.name, "namespace": o.ns, "creationTimestamp": now_text()},
            "spec": {"audiences": spec.get("audiences") or ["https://kubernetes.default.svc"],
                     "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token,
                       "expirationTimestamp": now_text(time.time() + seconds)}}) + b"\n")

    # ---- update and patch ----

    def update(self, table, req):
        res = req.res
        self.needs_name(req)
        value = self.body(req)
        meta = value["metadata"]
        if not meta.get("name"):
            raise bad_request("name must be provided") if res.typed else bad_request(
                f'the name of the object () does not match the name on the URL ({req.name})')
        if meta["name"] != req.name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on "
                              f"the URL ({req.name})")
        if res.namespaced:
            if meta.get("namespace") and meta["namespace"] != req.ns:
                raise bad_request("the namespace of the object "
                                  f"({meta['namespace']}) does not match the namespace on the URL "
                                  f"({req.ns})")
            meta["namespace"] = req.ns
        old = table.objs.get(f"{req.ns}/{req.name}" if res.namespaced else req.name)
        if old is None:
            if meta.get("uid") and self.options.minor < 34:
                raise uid_conflict(res, req.ns, req.name, meta["uid"], "")
            raise not_found(res, req.name)
        return self.replace(table, req, old, old.load(), value)

    @staticmethod
    def needs_name(req):
        """PUT and PATCH of a collection."""
        if not req.name:
            raise StatusError(405, "the server does not allow this method on the requested "
                              "resource", details={}) if req.res.typed else \
                bad_request("name must be provided")

    def patch(self, table, req):
        self.needs_name(req)
        kind = req.headers.get("content-type", "").partition(";")[0].strip()
        accepted = ["application/json-patch+json", "application/merge-patch+json"]
        if req.res.typed:
            accepted.append("application/strategic-merge-patch+json")
        if kind not in accepted:
            accepted.append("application/apply-patch+yaml")
            raise StatusError(415, "the body of the request was in an unknown format - accepted "
                              "media types include: " + ", ".join(accepted))
        old = self.find(table, req)
        value = old.load()
        try:
            patch = json.loads(req.body)
        except ValueError as e:
            raise bad_request(f"error decoding patch: {e}") from e
        if kind == accepted[0]:
            if not isinstance(patch, list):
                raise bad_request("error decoding patch: json: cannot unmarshal object into Go "
                                  "value of type jsonpatch.Patch")
            new = json_patch(value, patch)
        elif not isinstance(patch, dict):
            raise bad_request("error decoding patch: json: cannot unmarshal into map")
        elif kind == accepted[1]:
            new = merge(value, patch)
        else:
            new = strategic(value, patch)
        if new["metadata"].get("name") != req.name:
            raise bad_request(f"the name of the object ({new['metadata'].get('name', '')}) does "
                              f"not match the name on the URL ({req.name})")
        if new["metadata"].get("uid", old.uid) != old.uid:
            raise uid_immutable(req.res, req.name, new["metadata"]["uid"])
        if req.res.typed:
            check_texts(new["metadata"])
        return self.replace(table, req, old, value, new)

    def replace(self, table, req, old, before, value):
        """Puts value in old's place: versions, UID, what the caller may not change, status apart.
        before is old as a dict."""
        res, meta, was = req.res, value["metadata"], before["metadata"]
        uid, asked = meta.get("uid"), meta.get("resourceVersion")
        if uid and uid != old.uid:
            raise uid_conflict(res, req.ns, req.name, uid, old.uid)
        if asked in (None, "", "0"):
            if not res.unconditional:
                raise invalid(res, req.name, [
                    ("metadata.resourceVersion", "FieldValueInvalid",
                     "Invalid value: 0: must be specified for an update")], kind=res.name)
        elif asked != str(old.rv):
            if not asked.isdigit():
                raise bad_request(f'invalid resource version "{asked}"')
            raise conflict(res, req.name)
        for key in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                    "deletionGracePeriodSeconds", "generation"):
            if key in was:
                meta[key] = was[key]
            else:
                meta.pop(key, None)
        value["kind"], value["apiVersion"] = res.kind, res.api_version
        self.keep(res, req.sub, before, value)
        if "managedFields" in was and "managedFields" not in meta:
            meta["managedFields"] = was["managedFields"]
        meta = value["metadata"]
        check_meta(res, meta)
        self.check_schema(res, value, before)
        if value == before:
            return self.done(table, old, 200, req)
        if res.generation and any(before.get(k) != value.get(k)
                                  for k in before.keys() | value.keys()
                                  if k != "metadata" and not (k == "status" and res.status)):
            meta["generation"] = was.get("generation", 0) + 1
        if req.query.get("dryRun"):
            return self.dry(table, value, 200)
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and \
                not meta.get("deletionGracePeriodSeconds") and not (
                    res.name == "namespaces" and (value.get("spec") or {}).get("finalizers")):
            # What it waited for is gone: no other version is written, only DELETED comes.
            self.remove(table, old)
            return self.done(table, make(res, value, old.rv), 200, req)
        o = table.put(value)
        if res.name == "customresourcedefinitions":
            self.options.crds.added(self.store, value)
        return self.done(table, o, 200, req)

    @staticmethod
    def keep(res, sub, before, value):
        """The halves of an object: a write to one leaves the other as it was."""
        if not res.status:
            return
        if sub == "status":
            for key in [k for k in value if k not in ("kind", "apiVersion", "metadata", "status")]:
                if key not in before:
                    del value[key]
            for key, old in before.items():
                if key not in ("kind", "apiVersion", "metadata", "status"):
                    value[key] = old
            if not res.typed:  # custom kinds: nothing but the status
                value["metadata"] = before["metadata"]
        else:
            if "status" in before:
                value["status"] = before["status"]
            else:
                value.pop("status", None)
            if res.name == "services":
                new, old = value.get("spec") or {}, before.get("spec") or {}
                for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                    if not new.get(key) and key in old and \
                            new.get("type") != "ExternalName":
                        new[key] = old[key]

    # ---- delete ----

    def remove(self, table, o):
        table.remove(o)
        if table.res.group == RBAC:
            self.store.changed += 1
        if table.res.name == "customresourcedefinitions":
            self.options.crds.removed(self.store, o.load())

    def delete_options(self, req):
        options = self.parse(req, "DeleteOptions") if req.body else {}
        if req.query.get("gracePeriodSeconds"):
            options["gracePeriodSeconds"] = int(req.query["gracePeriodSeconds"])
        return options

    def delete(self, table, req):
        if req.sub or not req.name:
            raise StatusError(405, "the server does not allow this method on the requested "
                              "resource", details={})
        res, options = req.res, self.delete_options(req)
        o = self.find(table, req)
        pre = options.get("preconditions") or {}
        if pre.get("uid") is not None and pre["uid"] != o.uid:
            raise delete_conflict(res, o.name, "UID", pre["uid"], o.uid,
                                  "deleted and then recreated")
        if pre.get("resourceVersion") is not None and pre["resourceVersion"] != str(o.rv):
            raise delete_conflict(res, o.name, "ResourceVersion", pre["resourceVersion"], o.rv,
                                  "modified")
        if options.get("dryRun") or req.query.get("dryRun"):
            return Answer(200, o.full() + b"\n")
        kept = self.delete_one(table, o, options)
        if kept is not None:
            return Answer(200, kept.full() + b"\n")
        if res.typed and res.name in RETURNS_OBJECT:
            return Answer(200, o.full() + b"\n")
        details = details_of(res, o.name)
        details["uid"] = o.uid
        return Answer(200, to_json({"kind": "Status", "apiVersion": "v1", "metadata": {},
                                    "status": "Success", "details": details}) + b"\n")

    def delete_one(self, table, o, options):
        """Deletes, or marks for deletion what still waits for grace or finalizers. Returns the
        marked Obj, or None when it is gone without a mark. A pod is marked also when nothing is to
        be waited for: a watch sees MODIFIED, then DELETED."""
        res, pods = table.res, table.res.typed and table.res.name == "pods"
        if res.typed and res.name == "namespaces":
            return self.delete_namespace(table, o)
        value = o.load()
        meta, grace = value["metadata"], 0
        if pods:
            grace = options.get("gracePeriodSeconds")
            spec = value.get("spec") or {}
            if grace is None:
                grace = spec.get("terminationGracePeriodSeconds", 30)
            if not spec.get("nodeName") or \
                    (value.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                grace = 0
            if "deletionTimestamp" in meta and options.get("gracePeriodSeconds") is None:
                grace = meta.get("deletionGracePeriodSeconds", 0)
        if not grace and not meta.get("finalizers") and not pods:
            self.remove(table, o)
            return None
        if "deletionTimestamp" in meta and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return o
        if meta.get("generation") and "deletionTimestamp" not in meta:
            meta["generation"] += 1
        meta["deletionTimestamp"] = now_text(time.time() + max(grace, 0))
        meta["deletionGracePeriodSeconds"] = max(grace, 0)
        marked = table.put(value)
        if not grace and not meta.get("finalizers"):
            self.remove(table, marked)
        return marked

    def delete_namespace(self, table, o):
        """Terminating, then its contents, then itself: what the namespace controller would do."""
        value = o.load()
        value["metadata"].setdefault("deletionTimestamp", now_text())
        value.setdefault("status", {})["phase"] = "Terminating"
        terminating = table.put(value)
        if not self.options.namespace_controller:
            return terminating
        for t in list(self.store.tables.values()):
            if t.res.namespaced:
                for inside in [x for x in t.objs.values() if x.ns == o.name]:
                    self.remove(t, inside)
        table.remove(terminating)
        return terminating

    def delete_collection(self, table, req):
        options = self.delete_options(req)
        objs, _, _, _ = self.lister.page(table, req)
        body = self.lister.body(table, req, False)
        for o in objs:
            current = table.objs.get(o.key)
            if current is not None:
                self.delete_one(table, current, options)
        return Answer(200, body)

    # ---- what is no resource ----

    def other(self, req):
        if req.verb != "get":
            if req.path.startswith("/apis/authorization.k8s.io/") and req.method == "POST":
                return Answer(201, discovery.access_review(req))
            raise page_not_found() if not req.known_group else no_such_resource()
        path = req.path.rstrip("/") or "/"
        if path in ("/healthz", "/livez", "/readyz") or path.startswith(("/livez/", "/readyz/")):
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        value = discovery.answer(self.store, self.options, path)
        if value is None:
            raise no_such_resource() if req.known_group else page_not_found()
        return Answer(200, to_json(value) + b"\n")
