"""JSON merge patch, JSON patch, and strategic merge patch for the lists that tests touch."""
import copy

from apiserver_kinds import StatusError

# Lists that a strategic merge joins by a key, by the field's name; all others are replaced.
MERGE_KEYS = {"conditions": "type", "addresses": "type", "containers": "name",
              "initContainers": "name", "volumes": "name", "env": "name",
              "volumeMounts": "mountPath", "containerStatuses": "name",
              "ownerReferences": "uid", "podIPs": "ip",
              "imagePullSecrets": "name", "taints": "key", "hostAliases": "ip"}


def unprocessable():
    return StatusError(422, "the server rejected our request due to an error in our request",
                       details={})


def merge(target, patch):
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def strategic(target, patch, field=""):
    if isinstance(patch, list):
        key = MERGE_KEYS.get(field)
        if field == "finalizers" and isinstance(target, list):
            return target + [x for x in patch if x not in target]
        if not key or not isinstance(target, list) or \
                any(not isinstance(x, dict) or key not in x for x in patch if x != {}):
            return [x for x in patch if not (isinstance(x, dict) and "$patch" in x)]
        out = [dict(x) for x in target]
        for item in patch:
            at = next((i for i, x in enumerate(out) if x.get(key) == item.get(key)), None)
            if item.get("$patch") == "delete":
                if at is not None:
                    del out[at]
            elif at is None:
                out.append(strategic({}, item))
            else:
                out[at] = strategic(out[at], item)
        return out
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key == "$patch" or key.startswith("$setElementOrder/") or \
                key.startswith("$retainKeys"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            out[name] = [x for x in out.get(name) or [] if x not in value]
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = strategic(out.get(key), value, key)
    return out


def pointer(path):
    if path == "":
        return []
    if not path.startswith("/"):
        raise unprocessable()
    return [p.replace("~1", "/").replace("~0", "~") for p in path[1:].split("/")]


def walk(doc, parts):
    for part in parts:
        if isinstance(doc, list):
            doc = doc[int(part)]
        elif isinstance(doc, dict):
            doc = doc[part]
        else:
            raise KeyError(part)
    return doc


def json_patch(doc, operations):
    doc = copy.deepcopy(doc)
    try:
        for op in operations:
            doc = json_patch_one(doc, op)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        raise unprocessable() from None
    return doc


def json_patch_one(doc, op):
    kind, parts = op["op"], pointer(op["path"])
    if kind == "test":
        if walk(doc, parts) != op.get("value"):
            raise ValueError("test failed")
        return doc
    if kind in ("move", "copy"):
        value = copy.deepcopy(walk(doc, pointer(op["from"])))
        if kind == "move":
            doc = json_patch_one(doc, {"op": "remove", "path": op["from"]})
        return json_patch_one(doc, {"op": "add", "path": op["path"], "value": value})
    if kind not in ("add", "remove", "replace"):
        raise ValueError(kind)
    if not parts:
        return op["value"]
    holder, last = walk(doc, parts[:-1]), parts[-1]
    if isinstance(holder, list):
        if kind == "add":
            at = len(holder) if last == "-" else int(last)
            if not 0 <= at <= len(holder):
                raise IndexError(at)
            holder.insert(at, op["value"])
        elif kind == "remove":
            del holder[int(last)]
        else:
            holder[int(last)] = op["value"]
    elif kind == "remove":
        del holder[last]
    else:
        if kind == "replace" and last not in holder:
            raise KeyError(last)
        holder[last] = op["value"]
    return doc
