"""Who asks (client certificate, bearer token) and whether they may (RBAC objects of the store)."""
import time

from apiserver_kinds import RBAC, StatusError, details_of

ANONYMOUS = ("system:anonymous", ("system:unauthenticated",))
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
DISCOVERY = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")


def unauthorized():
    return StatusError(401, "Unauthorized")


class Auth:
    """tokens: token -> [user, groups, expiry (unix time) or None]."""

    def __init__(self, store, rbac=False, anonymous=True):
        self.store, self.rbac, self.anonymous = store, rbac, anonymous
        self.tokens = {}
        self.refused_users = set()
        self._rules = {}
        self._rules_at = -1

    def who(self, req):
        """(user, groups) of a request; raises 401."""
        header = req.headers.get("authorization", "")
        if header:
            kind, _, token = header.partition(" ")
            known = self.tokens.get(token.strip()) if kind.lower() == "bearer" else None
            if not known or (known[2] is not None and time.time() >= known[2]):
                raise unauthorized()
            return known[0], known[1]
        peer = req.conn.peer
        if peer:
            if peer == "refused":
                raise unauthorized()
            return peer
        if self.rbac and self.anonymous or req.path.startswith(PUBLIC):
            return ANONYMOUS
        raise unauthorized()

    # ---- RBAC ----

    def _granted(self, user, groups):
        """A user's rules: [(namespace or None for all, rule)]; made anew when an object changed."""
        if self._rules_at != self.store.changed:
            self._rules.clear()
            self._rules_at = self.store.changed
        key = (user, tuple(groups))
        found = self._rules.get(key)
        if found is None:
            found = self._rules[key] = list(self._collect(user, set(groups)))
        return found

    def _role(self, ref, namespace):
        table = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        name = ref["name"] if table == "clusterroles" else f"{namespace}/{ref['name']}"
        o = self.store.tables[(RBAC, "v1", table)].objs.get(name)
        return (o.load().get("rules") or []) if o else []

    def _collect(self, user, groups):
        for table in ("clusterrolebindings", "rolebindings"):
            for o in self.store.tables[(RBAC, "v1", table)].objs.values():
                binding = o.load()
                namespace = o.ns if table == "rolebindings" else None
                if any(self._is(s, user, groups, o.ns) for s in binding.get("subjects") or ()):
                    for rule in self._role(binding["roleRef"], o.ns):
                        yield namespace, rule

    @staticmethod
    def _is(subject, user, groups, namespace):
        if subject["kind"] == "User":
            return subject["name"] == user
        if subject["kind"] == "Group":
            return subject["name"] in groups
        ns = subject.get("namespace") or namespace
        return user == f"system:serviceaccount:{ns}:{subject['name']}"

    def check(self, req):
        """Raises 403 where RBAC does not allow the request."""
        if not self.rbac or "system:masters" in req.groups:
            return
        res = req.res or req.ghost
        if res is None:
            if req.path.startswith(PUBLIC) or (req.user != ANONYMOUS[0] and req.verb == "get"
                                               and req.path.startswith(DISCOVERY)):
                return
            for namespace, rule in self._granted(req.user, req.groups):
                if namespace is None and _has(rule, "verbs", req.verb) and any(
                        u == "*" or u == req.path or u.endswith("*") and req.path.startswith(u[:-1])
                        for u in rule.get("nonResourceURLs") or ()):
                    return
            raise StatusError(403, f'forbidden: User "{req.user}" cannot {req.verb} path '
                              f'"{req.path}"', details={})
        for namespace, rule in self._granted(req.user, req.groups):
            if (namespace is None or namespace == req.ns) and allows(rule, req, res):
                return
        raise forbidden(req, res)


def _has(rule, key, value):
    values = rule.get(key) or ()
    return "*" in values or value in values


def allows(rule, req, res):
    if not _has(rule, "verbs", req.verb) or not _has(rule, "apiGroups", res.group):
        return False
    wanted = rule.get("resources") or ()
    name = res.name + (f"/{req.sub}" if req.sub else "")
    if not ("*" in wanted or name in wanted or req.sub and f"*/{req.sub}" in wanted):
        return False
    names = rule.get("resourceNames") or ()
    # A list or watch with a field selector for one name counts as asking for that name.
    return not names or req.rbac_name() in names


def forbidden(req, res):
    name = req.rbac_name()
    what = f'{res.qualified} "{name}"' if name else res.qualified
    sub = f"/{req.sub}" if req.sub else ""
    where = f'in the namespace "{req.ns}"' if req.ns else "at the cluster scope"
    return StatusError(
        403, f'{what} is forbidden: User "{req.user}" cannot {req.verb} resource "{res.name}{sub}" '
        f'in API group "{res.group}" {where}', details=details_of(res, name))
