"""Reading the manifests of etc/kubernetes, and a judge of structural schemas and of objects by them.

What is checked here follows the rules that Kubernetes sets for structural schemas of apiextensions/v1;
a real server (KUBE_APISERVER) has the last word on CEL.
"""
import ipaddress
import os
import re

import yaml

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "etc", "kubernetes")
GROUP = "crd.projectcalico.org"
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
         "boolean": bool}
FORMATS = {"string": {"cidr", "date-time"}, "integer": {"int64", "int32"}}
KEYS = {
    "any": {"type", "description", "nullable", "enum", "default", "x-kubernetes-validations"},
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties",
               "x-kubernetes-preserve-unknown-fields"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"format", "pattern", "minLength", "maxLength"},
    "integer": {"format", "minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set(),
}
INT_OR_STRING = "x-kubernetes-int-or-string"


def path_of(name):
    return os.path.join(FOLDER, name)


def documents(name):
    with open(path_of(name), encoding="utf-8") as f:
        return [d for d in yaml.safe_load_all(f) if d is not None]


def definitions():
    """kind -> CustomResourceDefinition."""
    return {d["spec"]["names"]["kind"]: d for d in documents("crds.yaml")}


def schema_of(crd):
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def at(schema, path):
    """The schema of "spec.items[].name", or None."""
    for part in path.split("."):
        name = part.rstrip("[]")
        schema = (schema or {}).get("properties", {}).get(name)
        for _ in range(part.count("[]")):
            schema = (schema or {}).get("items")
    return schema


def has_type(value, kind):
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def structural(schema, path="", in_list=False):
    """What is wrong with a schema: [text]."""
    out = []

    def wrong(what):
        out.append(f"{path or 'root'}: {what}")

    kind = schema.get("type")
    if schema.get(INT_OR_STRING):
        if set(schema) - {INT_OR_STRING, "description"}:
            wrong(f"{INT_OR_STRING} stands alone")
        return out
    if kind not in TYPES:
        wrong(f"type {kind!r}")
        return out
    for key in set(schema) - KEYS["any"] - KEYS[kind]:
        wrong(f"{key!r} does not belong to a schema of type {kind}")
    if "format" in schema and schema["format"] not in FORMATS.get(kind, ()):
        wrong(f"format {schema['format']}")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except re.error as e:
            wrong(f"pattern: {e}")
    for value in schema.get("enum", []) + ([schema["default"]] if "default" in schema else []):
        if not has_type(value, kind):
            wrong(f"{value!r} of enum or default is no {kind}")
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if low in schema and high in schema and schema[low] > schema[high]:
            wrong(f"{low} is above {high}")
    for rule in schema.get("x-kubernetes-validations", []):
        if not rule.get("rule", "").strip() or not rule.get("message", "").strip() or \
                "\n" in rule["message"] or set(rule) - {"rule", "message", "reason"}:
            wrong(f"validation {rule}")
        if in_list and "oldSelf" in rule.get("rule", ""):
            wrong("a transition rule inside a list has no old value to compare with")
    if kind == "array" and "items" not in schema:
        wrong("items are missing")
    if "properties" in schema and "additionalProperties" in schema:
        wrong("properties and additionalProperties exclude each other")
    for name in schema.get("required", []):
        if name not in schema.get("properties", {}):
            wrong(f"required {name} is no property")
    for name, sub in schema.get("properties", {}).items():
        out += structural(sub, f"{path}.{name}".lstrip("."), in_list)
    if "items" in schema:
        out += structural(schema["items"], path + "[]", True)
    if "additionalProperties" in schema:
        out += structural(schema["additionalProperties"], path + "{}", True)
    return out


def _string(value, schema):
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 20):
        return "length"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return "pattern"
    if schema.get("format") == "cidr":
        try:
            ipaddress.ip_network(value, strict=False)
            return "" if "/" in value else "no cidr"
        except ValueError as e:
            return str(e)
    return ""


def judge(value, schema, path="", where_unknown=True):
    """What is wrong with an object by its schema, unknown fields too: [text]."""
    if value is None:
        return [] if schema.get("nullable") else [f"{path}: null"]
    if schema.get(INT_OR_STRING):
        return [] if has_type(value, "integer") or has_type(value, "string") else [f"{path}: type"]
    kind = schema["type"]
    if not has_type(value, kind):
        return [f"{path}: {value!r} is no {kind}"]
    out = []
    if "enum" in schema and value not in schema["enum"]:
        out.append(f"{path}: {value!r} is none of {schema['enum']}")
    if kind == "string":
        problem = _string(value, schema)
        out += [f"{path}: {value!r}: {problem}"] if problem else []
    if kind in ("integer", "number") and not \
            schema.get("minimum", value) <= value <= schema.get("maximum", value):
        out.append(f"{path}: {value} is out of range")
    if kind == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            out.append(f"{path}: {len(value)} items")
        for i, item in enumerate(value):
            out += judge(item, schema["items"], f"{path}[{i}]", where_unknown)
    if kind == "object":
        if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 1 << 20):
            out.append(f"{path}: {len(value)} fields")
        out += [f"{path}.{n}: is required" for n in schema.get("required", []) if n not in value]
        for name, item in value.items():
            sub = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if sub is not None:
                out += judge(item, sub, f"{path}.{name}", where_unknown)
            elif where_unknown and not schema.get("x-kubernetes-preserve-unknown-fields"):
                out.append(f"{path}.{name}: would be cut, the schema does not know it")
    return out


def judge_object(obj, definition):
    """As judge(), of a whole object: its metadata is the server's to check."""
    body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    return judge(body, schema_of(definition), obj.get("kind", ""))
