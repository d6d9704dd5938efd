"""What the API server serves (the table of resources), and the words of its Status objects."""
import re


class Resource:
    """One resource of one group and version. `typed`: built in, so list items have no kind."""
    def __init__(self, group, version, name, kind, namespaced, typed=True, status=False, short=(),
                 fields=None, names="subdomain", generation=None):
        self.group, self.version, self.name, self.kind = group, version, name, kind
        self.namespaced, self.typed, self.status, self.short = namespaced, typed, status, short
        self.singular = kind.lower()
        self.fields = fields or {}
        self.names = names
        self.generation = (not typed) if generation is None else generation
        self.order = MEMBER_ORDER.get(kind, ()) if typed else ()
        self.unconditional = typed
        self.api_version = f"{group}/{version}" if group else version
        self.qualified = f"{name}.{group}" if group else name
        self.path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        if typed:
            head = f'{{"kind":"{kind}","apiVersion":"{self.api_version}",'
        else:
            head = f'{{"apiVersion":"{self.api_version}","kind":"{kind}",'
        self.prefix_get = head.encode()
        # What stands before an item of a list: nothing for a typed kind, as in a real answer.
        self.prefix = b"{" if typed else self.prefix_get
        self.schema = None  # of a custom kind, once a definition has given one

    def item_path(self, namespace, name=""):
        ns = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.path}{ns}/{self.name}" + (f"/{name}" if name else "")


# Members of built-in kinds that are not spec and status, in the real server's order.
MEMBER_ORDER = {
    "Secret": ("immutable", "data", "stringData", "type"),
    "ConfigMap": ("immutable", "data", "binaryData"),
    "ServiceAccount": ("secrets", "imagePullSecrets", "automountServiceAccountToken"),
    "EndpointSlice": ("addressType", "endpoints", "ports"), "Endpoints": ("subsets",),
    "Role": ("rules",), "ClusterRole": ("rules", "aggregationRule"),
    "RoleBinding": ("subjects", "roleRef"), "ClusterRoleBinding": ("subjects", "roleRef"),
}
POD_FIELDS = {"spec.nodeName": "", "spec.restartPolicy": "", "spec.schedulerName": "",
              "spec.serviceAccountName": "", "spec.hostNetwork": "false", "status.phase": "",
              "status.podIP": "", "status.nominatedNodeName": ""}
EVENT_FIELDS = dict.fromkeys(("involvedObject.kind", "involvedObject.namespace",
                              "involvedObject.name", "involvedObject.uid", "reason", "type",
                              "source"), "")
CALICO = "crd.projectcalico.org"
CALICO_V3 = "projectcalico.org"
RBAC = "rbac.authorization.k8s.io"

BUILT_IN = [
    ("", "v1", "nodes", "Node", False, dict(status=True, short=("no",),
                                             fields={"spec.unschedulable": "false"})),
    ("", "v1", "pods", "Pod", True, dict(status=True, short=("po",), fields=POD_FIELDS)),
    ("", "v1", "namespaces", "Namespace", False, dict(status=True, short=("ns",), names="label",
                                                       fields={"status.phase": ""})),
    ("", "v1", "serviceaccounts", "ServiceAccount", True, dict(short=("sa",))),
    ("", "v1", "services", "Service", True, dict(status=True, short=("svc",), names="service",
                                                  fields={"spec.clusterIP": "", "spec.type": ""})),
    ("", "v1", "secrets", "Secret", True, dict(fields={"type": ""})),
    ("", "v1", "configmaps", "ConfigMap", True, dict(short=("cm",))),
    ("", "v1", "events", "Event", True, dict(short=("ev",), fields=EVENT_FIELDS)),
    ("", "v1", "endpoints", "Endpoints", True, dict(short=("ep",))),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, dict(generation=True)),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True,
     dict(short=("netpol",), generation=True)),
    ("coordination.k8s.io", "v1", "leases", "Lease", True, {}),
    (RBAC, "v1", "clusterroles", "ClusterRole", False, dict(names="segment")),
    (RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, dict(names="segment")),
    (RBAC, "v1", "roles", "Role", True, dict(names="segment")),
    (RBAC, "v1", "rolebindings", "RoleBinding", True, dict(names="segment")),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies",
     "ValidatingAdmissionPolicy", False, dict(status=True, generation=True)),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
     "ValidatingAdmissionPolicyBinding", False, dict(generation=True)),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
     dict(status=True, short=("crd", "crds"), generation=True)),
]
CALICO_KINDS = [  # resource, kind, namespaced
    ("ippools", "IPPool", False), ("ipreservations", "IPReservation", False),
    ("ipamconfigs", "IPAMConfig", False), ("ipamblocks", "IPAMBlock", False),
    ("blockaffinities", "BlockAffinity", False), ("ipamhandles", "IPAMHandle", False),
    ("bgpconfigurations", "BGPConfiguration", False), ("bgppeers", "BGPPeer", False),
    ("bgpfilters", "BGPFilter", False), ("globalnetworkpolicies", "GlobalNetworkPolicy", False),
    ("networkpolicies", "NetworkPolicy", True), ("globalnetworksets", "GlobalNetworkSet", False),
    ("networksets", "NetworkSet", True), ("tiers", "Tier", False),
    ("stagedglobalnetworkpolicies", "StagedGlobalNetworkPolicy", False),
    ("stagednetworkpolicies", "StagedNetworkPolicy", True),
    ("stagedkubernetesnetworkpolicies", "StagedKubernetesNetworkPolicy", True),
    ("hostendpoints", "HostEndpoint", False),
    ("felixconfigurations", "FelixConfiguration", False),
    ("clusterinformations", "ClusterInformation", False),
    ("caliconodestatuses", "CalicoNodeStatus", False),
    ("kubecontrollersconfigurations", "KubeControllersConfiguration", False),
]


def table(calico_v1=True, calico_v3=False, status_crds=(), minor=33):
    """Every Resource that is served, in order of discovery."""
    out = [Resource(*row[:5], **row[5]) for row in BUILT_IN]
    for res in out:
        if res.name == "pods":
            res.generation = minor >= 33
    crds = [("policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies",
             "ClusterNetworkPolicy", False)]
    for on, group, version in ((calico_v1, CALICO, "v1"), (calico_v3, CALICO_V3, "v3")):
        if on:
            crds += [(group, version, name, kind, ns) for name, kind, ns in CALICO_KINDS]
    for row in crds:
        out.append(Resource(*row, typed=False, status=row[2] in status_crds))
    return out


# ---- Status objects -----------------------------------------------------------------------------

REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound",
           405: "MethodNotAllowed", 406: "NotAcceptable", 409: "Conflict", 410: "Expired",
           413: "RequestEntityTooLarge", 415: "UnsupportedMediaType", 422: "Invalid",
           429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
           504: "Timeout"}
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list.")
LIST_EXPIRED = "The resourceVersion for the provided list is too old."
MODIFIED = ("the object has been modified; please apply your changes to the latest version and try "
            "again")


class StatusError(Exception):
    """Ends a request with a Status. details None: the real server sends none."""

    def __init__(self, code, message, reason=None, details=None, metadata=None, text=None,
                 retry_after=None):
        super().__init__(message)
        self.code, self.message = code, message
        self.reason = REASONS.get(code, "") if reason is None else reason
        self.details, self.metadata = details, metadata
        self.text = text  # not None: a plain text answer in place of the Status
        self.retry_after = retry_after

    def object(self):
        out = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata or {},
               "status": "Failure", "message": self.message}
        if self.reason:
            out["reason"] = self.reason
        if self.details is not None:
            out["details"] = self.details
        out["code"] = self.code
        return out


def page_not_found():
    return StatusError(404, "", text="404 page not found\n")


def no_such_resource():
    return StatusError(404, "the server could not find the requested resource", details={})


def bad_request(message):
    return StatusError(400, message)


def details_of(res, name=None, kind=None, **more):
    out = {}
    if name:
        out["name"] = name
    if res.group:
        out["group"] = res.group
    out["kind"] = kind or res.name
    out.update(more)
    return out


def not_found(res, name):
    return StatusError(404, f'{res.qualified} "{name}" not found', details=details_of(res, name))


def already_exists(res, name):
    return StatusError(409, f'{res.qualified} "{name}" already exists', reason="AlreadyExists",
                       details=details_of(res, name))


def conflict(res, name, why=MODIFIED):
    return StatusError(409, f'Operation cannot be fulfilled on {res.qualified} "{name}": {why}',
                       details=details_of(res, name))


def delete_conflict(res, name, what, asked, have, hint):
    """A precondition of a DELETE; the real server names the kind here, not the resource."""
    kind = f"{res.kind}.{res.group}" if res.group else res.kind
    return StatusError(
        409, f'Operation cannot be fulfilled on {kind} "{name}": the {what} in the precondition '
        f'({asked}) does not match the {what} in record ({have}). The object might have been '
        f'{hint}',
        details=details_of(res, name, kind=res.kind))


def uid_conflict(res, namespace, name, asked, have):
    """A precondition of an update, as the storage layer words it."""
    where = f"{res.group}/{res.name}" if res.group and not res.typed else \
        {"nodes": "minions", "services": "services/specs"}.get(res.name, res.name)
    key = f"/registry/{where}/" + (f"{namespace}/" if namespace else "") + name
    return conflict(res, name, "StorageError: invalid object, Code: 4, Key: "
                    f"{key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                    f"precondition: {asked}, UID in object meta: {have}")


def uid_immutable(res, name, asked):
    """A PATCH that would change metadata.uid: refused as invalid, not as a conflict."""
    return invalid(res, name, [("metadata.uid", "FieldValueInvalid",
                                f"Invalid value: {quoted(asked)}: field is immutable")] * 2)


def invalid(res, name, causes, kind=None):
    """causes: [(field, reason, message)], reason FieldValueInvalid and the like."""
    kind = kind or res.kind
    texts = list(dict.fromkeys(f"{field}: {message}" for field, _, message in causes))
    said = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified = f"{kind}.{res.group}" if res.group else kind
    return StatusError(
        422, f'{qualified} "{name}" is invalid: {said}',
        details=details_of(res, name, kind=kind, causes=[
            {"reason": reason, "message": message, "field": field}
            for field, reason, message in causes]))


def invalid_options(causes, kind="ListOptions"):
    texts = [f"{field}: {message}" for field, _, message in causes]
    said = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    return StatusError(422, f'{kind}.meta.k8s.io "" is invalid: {said}', details={
        "group": "meta.k8s.io", "kind": kind,
        "causes": [{"reason": r, "message": m, "field": f} for f, r, m in causes]})


def too_large_version(asked, current):
    return StatusError(504, f"Timeout: Too large resource version: {asked}, current: {current}",
                       details={"causes": [{"reason": "ResourceVersionTooLarge",
                                            "message": "Too large resource version"}],
                                "retryAfterSeconds": 1}, retry_after=1)


def internal(message):
    return StatusError(500, f"Internal error occurred: {message}",
                       details={"causes": [{"message": message}]})


# ---- names and labels ---------------------------------------------------------------------------

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
RULES = {
    "subdomain": (re.compile(SUBDOMAIN), 253,
                  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                  "characters, '-' or '.', and must start and end with an alphanumeric character "
                  f"(e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"),
    "label": (re.compile(LABEL), 63,
              "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
              "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
              f"'123-abc', regex used for validation is '{LABEL}')"),
    "service": (re.compile("[a-z]([-a-z0-9]*[a-z0-9])?"), 63,
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
                "with an alphabetic character, and end with an alphanumeric character (e.g. "
                "'my-name',  or 'abc-123', regex used for validation is "
                "'[a-z]([-a-z0-9]*[a-z0-9])?')"),
    "segment": (re.compile(r"(?!\.{1,2}$)[^/%]+"), 0, "may not contain '/' or '%'"),
}
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
LABEL_KEY = re.compile(rf"({SUBDOMAIN}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_VALUE_SAYS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')")
LABEL_KEY_SAYS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check_texts(meta):
    """A patch of a built-in kind that leaves a label or annotation that is no text: 422."""
    for field in ("labels", "annotations"):
        for value in (meta.get(field) or {}).values():
            if not isinstance(value, str):
                said = f"json: cannot unmarshal into Go struct field ObjectMeta.metadata.{field} " \
                    "of type string"
                raise StatusError(422, f' "" is invalid: patch: Invalid value: {said}', details={
                    "causes": [{"reason": "FieldValueInvalid", "message": f"Invalid value: {said}",
                                "field": "patch"}]})


def check_meta(res, meta):
    """Raises 422 for a name, label or annotation that the real server refuses."""
    causes = []
    name = meta.get("name", "")
    rule, limit, says = RULES[res.names]
    if limit and len(name) > limit:
        causes.append(("metadata.name", "FieldValueInvalid", f"Invalid value: {quoted(name)}: must "
                       f"be no more than {limit} characters"))
    if not rule.fullmatch(name):
        causes.append(("metadata.name", "FieldValueInvalid",
                       f"Invalid value: {quoted(name)}: {says}"))
    for key, value in (meta.get("labels") or {}).items():
        base = key.rpartition("/")[2]
        if not LABEL_KEY.fullmatch(key):
            causes.append(("metadata.labels", "FieldValueInvalid",
                           f"Invalid value: {quoted(key)}: {LABEL_KEY_SAYS}"))
        elif len(base) > 63:
            causes.append(("metadata.labels", "FieldValueInvalid", f"Invalid value: {quoted(key)}: "
                           "name part must be no more than 63 characters"))
        if not isinstance(value, str):
            raise bad_request(f'{res.kind} in version "{res.version}" cannot be handled as a '
                              f"{res.kind}: json: cannot unmarshal number into Go struct field "
                              "ObjectMeta.metadata.labels of type string")
        if len(value) > 63:
            causes.append(("metadata.labels", "FieldValueInvalid", f"Invalid value: "
                           f"{quoted(value)}: must be no more than 63 characters"))
        if not LABEL_VALUE.fullmatch(value):
            causes.append(("metadata.labels", "FieldValueInvalid",
                           f"Invalid value: {quoted(value)}: {LABEL_VALUE_SAYS}"))
    notes = meta.get("annotations") or {}
    if notes:
        total = 0
        for key, value in notes.items():
            if not LABEL_KEY.fullmatch(key.lower()):
                causes.append(("metadata.annotations", "FieldValueInvalid",
                               f"Invalid value: {quoted(key)}: {LABEL_KEY_SAYS}"))
            if not isinstance(value, str):
                raise bad_request(f'{res.kind} in version "{res.version}" cannot be handled as a '
                                  f"{res.kind}: json: cannot unmarshal number into Go struct field "
                                  "ObjectMeta.metadata.annotations of type string")
            total += len(key) + len(value)
        if total > 256 * 1024:
            causes.append(("metadata.annotations", "FieldValueTooLong",
                           "Too long: may not be more than 262144 bytes"))
    if causes:
        raise invalid(res, name, causes)
