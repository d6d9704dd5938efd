"""Label and field selectors of list and watch requests."""
import re

from apiserver_kinds import bad_request

REQUIREMENT = re.compile(
    r"""\s*(?:
    (?P<not>!)\s*(?P<absent>[-A-Za-z0-9_./]+)
    |(?P<key>[-A-Za-z0-9_./]+)\s*(?:
        (?P<op>==|=|!=|>|<)\s*(?P<value>[-A-Za-z0-9_.]*)
        |\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
    )?
    )\s*(?:,|$)""", re.X)


def parse_labels(text):
    """[(key, operator, values)]; operators = != in notin exists ! > <."""
    out, at = [], 0
    while at < len(text):
        m = REQUIREMENT.match(text, at)
        if not m or m.end() == at:
            raise bad_request(f"unable to parse requirement: found '{text[at:]}', expected: "
                              "identifier after ','" if at else
                              f'couldn\'t parse the selector string "{text}": unable to parse '
                              "requirement")
        at = m.end()
        if m["absent"]:
            out.append((m["absent"], "!", ()))
        elif m["op"]:
            out.append((m["key"], "=" if m["op"] == "==" else m["op"], (m["value"],)))
        elif m["set"]:
            out.append((m["key"], m["set"], tuple(v.strip() for v in m["values"].split(","))))
        else:
            out.append((m["key"], "exists", ()))
    return out


def label_test(labels, req):
    key, op, values = req
    have = labels.get(key)
    if op in ("=", "in"):
        return have in values if have is not None else False
    if op in ("!=", "notin"):
        return have is None or have not in values
    if op == "exists":
        return have is not None
    if op == "!":
        return have is None
    try:
        return int(have) > int(values[0]) if op == ">" else int(have) < int(values[0])
    except (TypeError, ValueError):
        return False


def parse_fields(res, text):
    """[(field, negated, value)]."""
    out = []
    for term in filter(None, text.split(",")):
        m = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", term)
        if not m:
            raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        field = m[1]
        if field != "metadata.name" and field not in res.fields and \
                not (field == "metadata.namespace" and res.namespaced):
            said = f"field label not supported: {field}"
            if res.typed and not res.fields:
                said = f'"{field}" is not a known field selector: only "metadata.name", ' \
                    '"metadata.namespace"'
            raise bad_request(said)
        out.append((field, m[2] == "!=", m[3]))
    return out


class Selection:
    """What a list or watch takes of a resource."""

    def __init__(self, res, namespace="", labels="", fields="", name=""):
        self.namespace = namespace
        self.labels = parse_labels(labels) if labels else []
        self.fields = parse_fields(res, fields) if fields else []
        if name:
            self.fields.append(("metadata.name", False, name))
        self.everything = not (self.labels or self.fields)

    def takes(self, o):
        if self.namespace and o.ns != self.namespace:
            return False
        if self.everything:
            return True
        for field, negated, value in self.fields:
            if field == "metadata.name":
                have = o.name
            elif field == "metadata.namespace":
                have = o.ns
            else:
                have = o.fields[field]
            if (have == value) == negated:
                return False
        for req in self.labels:
            if not label_test(o.labels, req):
                return False
        return True
