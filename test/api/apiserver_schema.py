"""Structural schemas of custom kinds: pruning, defaults, validation (CEL: only self == oldSelf)."""
import copy
import ipaddress
import re

from apiserver_kinds import quoted

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
UNCHECKED = ("Invalid value: null: some validation rules were not checked because the object was "
             "invalid; correct the existing errors to complete validation")
# Of these a wrong object is told at once, without a look at its rules.
BLOCKING = {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong",
            "FieldValueTooMany", "FieldValueTypeInvalid"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def children(schema, value):
    """(key or index, schema of the child, child) of what the schema describes."""
    if isinstance(value, dict):
        known, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, child in value.items():
            if key in known:
                yield key, known[key], child
            elif isinstance(more, dict):
                yield key, more, child
    elif isinstance(value, list) and schema.get("items"):
        for i, child in enumerate(value):
            yield i, schema["items"], child


def fit(schema, value, root=True):
    """Drops unknown fields and fills in defaults, in place. metadata of the root is left alone."""
    if isinstance(value, dict):
        known = schema.get("properties") or {}
        if not schema.get(PRESERVE) and not schema.get("additionalProperties"):
            for key in [k for k in value if k not in known and not (
                    root and k in ("apiVersion", "kind", "metadata"))]:
                del value[key]
        for key, child in known.items():
            if isinstance(child, dict) and "default" in child and value.get(key) is None and \
                    not (value.get(key, 0) is None and child.get("nullable")):
                value[key] = copy.deepcopy(child["default"])
    for key, child_schema, child in children(schema, value):
        if not (root and key in ("apiVersion", "kind", "metadata")):
            fit(child_schema, child, False)


def type_of(value):
    for name, cls in (("boolean", bool), ("string", str), ("array", list), ("object", dict)):
        if isinstance(value, cls):
            return name
    if value is None:
        return "null"
    return "integer" if isinstance(value, int) or float(value).is_integer() else "number"


def right_type(schema, value):
    if schema.get(INT_OR_STRING):
        return type_of(value) in ("integer", "string")
    want, have = schema.get("type"), type_of(value)
    return not want or want == have or want == "number" and have == "integer"


def shown(value):
    return quoted(value) if isinstance(value, str) else type_of(value) \
        if isinstance(value, (dict, list)) else str(value).lower()


def check(schema, value, old=None):
    """Causes of a 422: [(field, reason, message)]. old is what the object was, or None."""
    out = problems(schema, value)
    if not any(reason in BLOCKING for _, reason, _ in out):
        return problems(schema, value, old)
    if has_rules(schema):
        out.append(("<nil>", "FieldValueInvalid", UNCHECKED))
    return out


def problems(schema, value, old=None, path=""):
    """Causes of a 422: [(field, reason, message)]. old is what the object had here, or None."""
    out = []

    def wrong(message, reason="FieldValueInvalid", at=path):
        out.append((at or "<nil>", reason, message))

    if value is None:
        if not schema.get("nullable"):
            wrong(f'Invalid value: "null": {path} in body must be of type {schema.get("type")}: '
                  '"null"', "FieldValueTypeInvalid")
        return out
    if not right_type(schema, value):
        wrong(f'Invalid value: "{type_of(value)}": {path} in body must be of type '
              f'{schema.get("type")}: "{type_of(value)}"', "FieldValueTypeInvalid")
        return out
    if "enum" in schema and value not in schema["enum"]:
        wrong(f"Unsupported value: {shown(value)}: supported values: "
              + ", ".join(shown(v) for v in schema["enum"]), "FieldValueNotSupported")
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            wrong(f"Invalid value: {quoted(value)}: {path} in body should match "
                  f"'{schema['pattern']}'")
        if len(value) < schema.get("minLength", 0):
            wrong(f"Invalid value: {quoted(value)}: {path} in body should be at least "
                  f"{schema['minLength']} chars long")
        if len(value) > schema.get("maxLength", len(value)):
            wrong(f"Too long: may not be more than {schema['maxLength']} bytes",
                  "FieldValueTooLong")
        if schema.get("format") == "cidr" and not is_cidr(value):
            wrong(f"Invalid value: {quoted(value)}: {path} in body must be of type cidr: "
                  f"{quoted(value)}", "FieldValueTypeInvalid")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            wrong(f"Invalid value: {value}: {path} in body should be greater than or equal to "
                  f"{schema['minimum']}")
        if value > schema.get("maximum", value):
            wrong(f"Invalid value: {value}: {path} in body should be less than or equal to "
                  f"{schema['maximum']}")
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            wrong(f"Invalid value: {len(value)}: {path} in body should have at least "
                  f"{schema['minItems']} items")
        if len(value) > schema.get("maxItems", len(value)):
            wrong(f"Too many: {len(value)}: must have at most {schema['maxItems']} items",
                  "FieldValueTooMany")
    else:
        for key in schema.get("required") or ():
            if isinstance(value, dict) and key not in value:
                wrong("Required value", "FieldValueRequired", f"{path}.{key}".lstrip("."))
    if old is not None and value != old:
        for rule in schema.get("x-kubernetes-validations") or ():
            if rule["rule"].replace(" ", "") in ("self==oldSelf", "oldSelf==self"):
                wrong(f'Invalid value: "{schema.get("type")}": '
                      + rule.get("message", "failed rule: " + rule["rule"]))
    for key, child_schema, child in children(schema, value):
        if not path and key in ("apiVersion", "kind", "metadata"):
            continue
        at = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
        before = old.get(key) if isinstance(old, dict) and isinstance(key, str) else None
        out += problems(child_schema, child, before, at)
    return out


def has_rules(schema):
    """Is there a rule (CEL) anywhere in it?"""
    if "x-kubernetes-validations" in schema:
        return True
    return any(isinstance(s, dict) and has_rules(s) for s in (
        *(schema.get("properties") or {}).values(), schema.get("items"),
        schema.get("additionalProperties")))


def is_cidr(text):
    try:
        ipaddress.ip_network(text, strict=False)
        return "/" in text
    except ValueError:
        return False
