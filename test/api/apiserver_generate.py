"""Objects in numbers and of the size that real clusters have: pods with a full status, nodes."""
import hashlib
import ipaddress
import random

from apiserver_store import new_uid, now_text

PHASES = ("Initialized", "Ready", "ContainersReady", "PodScheduled", "PodReadyToStartContainers")
IMAGES = (("nginx", "docker.io/library/nginx:1.27.3"),
          ("web", "registry.example.com/team/web-frontend:v4.12.0"),
          ("api", "registry.example.com/team/orders-api:2025.10.3-b1f20c"),
          ("worker", "quay.io/example/queue-worker:0.98.1"))


def generate(kind, count, **more):
    maker = {"pods": pods, "nodes": nodes, "namespaces": namespaces}.get(kind)
    if maker is None:
        raise ValueError(f"generate knows pods, nodes and namespaces, not {kind!r}")
    return maker(count, **more)


def namespaces(count, prefix="ns-"):
    for i in range(count):
        name = f"{prefix}{i}"
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "uid": new_uid(), "creationTimestamp": now_text(),
            "labels": {"kubernetes.io/metadata.name": name, "team": f"team-{i % 7}"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def nodes(count, prefix="node-", cidr="10.0.0.0/16", first=1):
    base = ipaddress.ip_network(cidr)
    for i in range(first, first + count):
        name, address = f"{prefix}{i}", str(base[i])
        yield {"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "uid": new_uid(), "creationTimestamp": now_text(),
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                       "kubernetes.io/arch": "amd64", "beta.kubernetes.io/arch": "amd64",
                       "topology.kubernetes.io/zone": f"zone-{i % 3}", "rack": f"r{i % 40}"},
            "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket":
                            "unix:///run/containerd/containerd.sock",
                            "volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
            "spec": {"podCIDR": f"10.{64 + (i >> 8)}.{i & 255}.0/24",
                     "podCIDRs": [f"10.{64 + (i >> 8)}.{i & 255}.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": address},
                                     {"type": "Hostname", "address": name}],
                       "capacity": {"cpu": "64", "memory": "263921212Ki", "pods": "110",
                                    "ephemeral-storage": "459850824Ki", "hugepages-2Mi": "0"},
                       "allocatable": {"cpu": "63500m", "memory": "261299772Ki", "pods": "110",
                                       "ephemeral-storage": "423798418Ki", "hugepages-2Mi": "0"},
                       "conditions": [{"type": t, "status": s, "reason": r, "message": m,
                                       "lastHeartbeatTime": now_text(),
                                       "lastTransitionTime": now_text()}
                                      for t, s, r, m in (
                           ("NetworkUnavailable", "False", "RouteCreated", "routes are in place"),
                           ("MemoryPressure", "False", "KubeletHasSufficientMemory",
                            "kubelet has sufficient memory available"),
                           ("DiskPressure", "False", "KubeletHasNoDiskPressure",
                            "kubelet has no disk pressure"),
                           ("PIDPressure", "False", "KubeletHasSufficientPID",
                            "kubelet has sufficient PID available"),
                           ("Ready", "True", "KubeletReady", "kubelet is posting ready status"))],
                       "nodeInfo": {"kubeletVersion": "v1.33.1", "osImage": "Debian GNU/Linux 12",
                                    "kernelVersion": "6.1.0-18-amd64", "operatingSystem": "linux",
                                    "containerRuntimeVersion": "containerd://1.7.27",
                                    "architecture": "amd64", "machineID": "", "bootID": "",
                                    "systemUUID": "", "kubeProxyVersion": ""},
                       "images": [{"names": [image, f"{image}@sha256:" + "ab" * 32],
                                   "sizeBytes": 71234567} for _, image in IMAGES]}}


def fields_of(names):
    return {f"f:{n}": {} for n in names}


def managed(name):
    """managedFields as the usual three writers leave them."""
    when = now_text()
    container = {f'k:{{"name":"{name}"}}': {".": {}, **fields_of(
        ("env", "image", "imagePullPolicy", "livenessProbe", "name", "ports", "readinessProbe",
         "resources", "securityContext", "terminationMessagePath", "terminationMessagePolicy",
         "volumeMounts"))}}
    return [
        {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
         "time": when, "fieldsType": "FieldsV1", "fieldsV1": {
             "f:metadata": {"f:generateName": {}, "f:labels": {".": {}, **fields_of(
                 ("app", "pod-template-hash", "version", "tier"))},
                 "f:ownerReferences": {".": {}, 'k:{"uid":"x"}': {}}},
             "f:spec": {"f:containers": container, **fields_of(
                 ("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName",
                  "securityContext", "serviceAccountName", "terminationGracePeriodSeconds"))}}},
        {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": when,
         "subresource": "status", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {
             "f:conditions": {f'k:{{"type":"{t}"}}': {".": {}, **fields_of(
                 ("lastProbeTime", "lastTransitionTime", "status", "type"))} for t in PHASES},
             "f:podIPs": {".": {}, 'k:{"ip":"0"}': {".": {}, "f:ip": {}}},
             **fields_of(("containerStatuses", "hostIP", "hostIPs", "phase", "podIP",
                          "startTime"))}}}]


def pods(count, nodes=100, namespaces=20, node_prefix="node-", namespace_prefix="ns-",
         cidr="10.128.0.0/9", seed=1, name_prefix="pod-", first=0, containers=2):
    """Running pods, spread over nodes node-1.. and namespaces ns-0.., one address each."""
    rng, base = random.Random(seed), ipaddress.ip_network(cidr)
    for i in range(first, first + count):
        app = f"app-{i % 50}"
        digest = hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()
        name = f"{name_prefix}{app}-{digest[:9]}-{i}"
        node = f"{node_prefix}{i % nodes + 1}"
        address, host = str(base[i + 256]), f"10.0.{(i % nodes + 1) >> 8}.{(i % nodes + 1) & 255}"
        when = now_text(1735689600 + rng.randrange(10 ** 7))
        chosen = [IMAGES[(i + n) % len(IMAGES)] for n in range(containers)]
        mounts = [{"name": "kube-api-access-" + digest[:5], "readOnly": True,
                   "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
                  {"name": "config", "mountPath": "/etc/app"}]
        probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
                 "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                 "failureThreshold": 3}
        yield {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "generateName": f"{app}-{digest[:9]}-",
                "namespace": f"{namespace_prefix}{i % namespaces}", "uid": new_uid(),
                "creationTimestamp": when,
                "labels": {"app": app, "pod-template-hash": digest[:9], "tier":
                           ("front", "back", "data")[i % 3], "version": f"v{i % 5}"},
                "annotations": {"cni.projectcalico.org/containerID": digest,
                                "cni.projectcalico.org/podIP": address + "/32",
                                "cni.projectcalico.org/podIPs": address + "/32",
                                "kubectl.kubernetes.io/restartedAt": when,
                                "checksum/config": digest, "prometheus.io/scrape": "true"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                                     "name": f"{app}-{digest[:9]}", "uid": new_uid(),
                                     "controller": True, "blockOwnerDeletion": True}],
                "managedFields": managed(chosen[0][0])},
            "spec": {
                "volumes": [{"name": mounts[0]["name"], "projected": {"sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt",
                                   "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {
                        "apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}],
                    "defaultMode": 420}},
                    {"name": "config", "configMap": {"name": app + "-config",
                                                     "defaultMode": 420}}],
                "containers": [{
                    "name": cname, "image": image,
                    "args": ["--listen=:8080", "--log=json", f"--shard={i % 16}",
                             "--query=a<b&c>d"],
                    "ports": [{"name": "http", "containerPort": 8080 + n, "protocol": "TCP"},
                              {"name": "metrics", "containerPort": 9090 + n, "protocol": "TCP"}],
                    "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {
                        "apiVersion": "v1", "fieldPath": "status.podIP"}}},
                        {"name": "GOMAXPROCS", "value": "2"},
                        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {
                            "name": app, "key": "database-url"}}}],
                    "resources": {"limits": {"cpu": "2", "memory": "1Gi"},
                                  "requests": {"cpu": "250m", "memory": "256Mi"}},
                    "volumeMounts": mounts, "livenessProbe": probe, "readinessProbe": probe,
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
                    "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True,
                                        "capabilities": {"drop": ["ALL"]}}}
                    for n, (cname, image) in enumerate(chosen)],
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst", "serviceAccountName": f"sa-{i % 10}",
                "serviceAccount": f"sa-{i % 10}", "nodeName": node, "securityContext": {},
                "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": True,
                "tolerations": [{"key": f"node.kubernetes.io/{k}", "operator": "Exists",
                                 "effect": "NoExecute", "tolerationSeconds": 300}
                                for k in ("not-ready", "unreachable")],
                "preemptionPolicy": "PreemptLowerPriority"},
            "status": {
                "phase": "Running",
                "conditions": [{"type": t, "status": "True", "lastProbeTime": None,
                                "lastTransitionTime": when} for t in PHASES],
                "hostIP": host, "hostIPs": [{"ip": host}], "podIP": address,
                "podIPs": [{"ip": address}], "startTime": when,
                "containerStatuses": [{
                    "name": cname, "state": {"running": {"startedAt": when}}, "lastState": {},
                    "ready": True, "restartCount": 0, "image": image,
                    "imageID": f"{image.rpartition(':')[0]}@sha256:{digest}",
                    "containerID": f"containerd://{digest[::-1]}", "started": True}
                    for cname, image in chosen],
                "qosClass": "Burstable"}}
