"""Rules by which the API server does wrong on demand: which requests, how often, and what."""
import random
import re
import time

from apiserver_kinds import LIST_EXPIRED, REASONS, StatusError
from apiserver_list import continue_expired, decode_continue

ACTIONS = {"status", "delay", "lose", "drop", "cut", "halfopen", "watchError", "endWatch",
           "dropEvents", "trickle", "limit", "refuseAuth"}
MATCHES = {"method", "verb", "resource", "path", "user", "agent", "name", "namespace", "continue",
           "frontend"}
ON_WATCH = {"watchError", "endWatch", "dropEvents", "cut"}
MESSAGES = {
    500: "Internal error occurred: etcdserver: request timed out",
    503: "the server is currently unable to handle the request",
    504: "Timeout: request did not complete within the allotted timeout",
    401: "Unauthorized",
}


class BadRule(ValueError):
    pass


def listed(value):
    return value if isinstance(value, list) else [value]


class Match:
    """A compiled "match"; also used to pick running watches and connections."""

    def __init__(self, match):
        unknown = set(match or {}) - MATCHES
        if unknown:
            raise BadRule(f"match: unknown key {sorted(unknown)[0]!r} (known: "
                          f"{', '.join(sorted(MATCHES))})")
        self.m = dict(match or {})
        self.regex = {k: re.compile(self.m[k]) for k in ("path", "user", "agent") if k in self.m}

    def takes(self, req):
        m = self.m
        if not m:
            return True
        if "method" in m and req.method not in listed(m["method"]):
            return False
        if "verb" in m and req.verb not in listed(m["verb"]):
            return False
        if "resource" in m:
            if req.res is None:
                return False
            sub = f"/{req.sub}" if req.sub else ""
            names = (req.res.name + sub, req.res.qualified + sub)
            if not any(r in names for r in listed(m["resource"])):
                return False
        for key in ("name", "namespace"):
            if key in m and m[key] != (req.name if key == "name" else req.ns):
                return False
        if "continue" in m and bool(req.query.get("continue")) != m["continue"]:
            return False
        if "frontend" in m and req.conn.front_index != m["frontend"]:
            return False
        for key, regex in self.regex.items():
            text = req.target if key == "path" else req.user if key == "user" else req.agent
            if not regex.search(text):
                return False
        return True


class Rule:
    def __init__(self, number, spec):
        if spec.get("do") not in ACTIONS:
            raise BadRule(f"do: {spec.get('do')!r} is none of {', '.join(sorted(ACTIONS))}")
        self.id, self.spec = number, dict(spec)
        self.match = Match(spec.get("match"))
        self.left = spec.get("times")
        self.until = time.monotonic() + spec["seconds"] if "seconds" in spec else None
        self.skip = spec.get("skip", 0)
        self.chance = spec.get("probability", 1.0)
        self.random = random.Random(spec.get("seed", 1))
        self.hits = 0
        self.tokens, self.tokens_at = float(spec.get("qps", 0)), time.monotonic()

    def over(self):
        return self.left == 0 or self.until is not None and time.monotonic() >= self.until

    def take(self, req):
        """Whether the rule acts on this request; counts it."""
        if self.over() or not self.match.takes(req):
            return False
        if self.spec["do"] in ("watchError", "endWatch", "dropEvents") and req.verb != "watch":
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.chance < 1 and self.random.random() >= self.chance:
            return False
        if self.spec["do"] == "limit" and not self._above():
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True

    def _above(self):
        now, qps = time.monotonic(), self.spec["qps"]
        self.tokens = min(float(self.spec.get("burst", qps)),
                          self.tokens + (now - self.tokens_at) * qps)
        self.tokens_at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return False
        return True

    def show(self):
        return {**self.spec, "id": self.id, "hits": self.hits, "left": self.left}


class Faults:
    def __init__(self):
        self.rules, self.next = [], 1

    def add(self, spec):
        rule = Rule(self.next, spec)
        self.next += 1
        self.rules.append(rule)
        return rule.id

    def remove(self, number=None):
        self.rules = [] if number is None else [r for r in self.rules if r.id != number]

    def find(self, req):
        """Rules that act on the request, in the order in which they were made."""
        return [r.spec for r in self.rules if r.take(req)]


def of_watch(spec):
    """A rule's spec as a running watch uses it."""
    out = dict(spec)
    if out.get("object"):
        out["_object"] = re.compile(out["object"])
    return out


def status_error(spec, req):
    """The StatusError of a "status" rule; None: an ERROR event inside HTTP 200 is meant."""
    code = spec["code"]
    if spec.get("body") is not None:
        return StatusError(code, "", text=spec["body"], retry_after=spec.get("retryAfter"))
    if code == 410 and "message" not in spec:
        if req.verb == "watch":
            if not spec.get("http"):
                return None
            return StatusError(410, "too old resource version: 1 (2)")
        if req.query.get("continue"):
            return continue_expired(decode_continue(req.query["continue"])[1])
        return StatusError(410, LIST_EXPIRED)
    if code == 429 and not spec.get("json"):
        return StatusError(429, "", text="Too many requests, please try again later.\n",
                           retry_after=spec.get("retryAfter", 1))
    details = None
    message = spec.get("message") or MESSAGES.get(code, REASONS.get(code, "error"))
    if "retryAfter" in spec:
        details = {"retryAfterSeconds": spec["retryAfter"]}
    elif code == 500:
        details = {"causes": [{"message": message.partition(": ")[2] or message}]}
    return StatusError(code, message, reason=spec.get("reason"), details=details,
                       retry_after=spec.get("retryAfter"))

