#!/usr/bin/python3
"""Bad input: each gives one clear line that names the cause and the mend, a non-zero exit, and
nothing lost."""
import json
import os
import signal
import socket
import subprocess

from nettest import case, expect, expect_eq, main
from lab import Lab, binary, run, tail, wait_for
from nodes import BGPCONF, POOLS, Node, Pod, node_doc


def fresh(lab, name, text=None, resources=None, addresses=("10.7.0.2/24", "fd00:7::2/64")):
    """A node that is not started, with a configuration of its own."""
    node = Node(lab, "n1", 64512, list(addresses), lab.path("resources.d"))
    node.dir = lab.mkdir(name)
    node.run_dir, node.state_dir = os.path.join(node.dir, "run"), os.path.join(node.dir, "state")
    if resources is not None:
        node.resources = lab.mkdir(f"{name}/resources.d")
        for file, content in resources.items():
            lab.write(f"{name}/resources.d/{file}", content)
    node.config_path = lab.write(f"{name}/node.yaml", text or node.config())
    return node


def noded(lab, node, *args, timeout=20, wrap=()):
    return lab.exec("n1", *wrap, binary("noded/noded"), "-c", node.config_path, *args, check=False,
                    timeout=timeout)


def refused(lab, node, *words, args=("-n",), status=1, wrap=()):
    """noded ends with that status and one line that has every word."""
    code, out, err = noded(lab, node, *args, wrap=wrap)
    expect_eq(code, status, f"exit status; stderr: {err!r}")
    lines = [l for l in err.strip().splitlines() if all(w.lower() in l.lower() for w in words)]
    expect_eq(len(lines), 1, f"lines with {words} in {err!r}")
    return lines[0]


@case
def good_configuration(lab):
    """The configuration that the others break is fine: -n exits 0."""
    code, out, err = noded(lab, fresh(lab, "good"), "-n")
    expect_eq(code, 0, err)


@case
def yaml_syntax(lab):
    """Broken YAML: file, line, column."""
    node = fresh(lab, "syntax", "node:\n  name: n1\n bgp: {asn: 1\n")
    refused(lab, node, "node.yaml:3:")


@case
def unknown_key(lab):
    """An unknown key: where, and what was probably meant."""
    text = fresh(lab, "key").config().replace("holdTime", "holdtime")
    line = refused(lab, fresh(lab, "key", text), "node.yaml:", "holdtime", "holdTime")
    number = 1 + text[:text.index("holdtime")].count("\n")
    expect(f":{number}:" in line, f"line {number} in {line!r}")


@case
def wrong_type(lab):
    """A wrong type: what was expected."""
    text = fresh(lab, "type").config().replace("asn: 64512", "asn: many")
    refused(lab, fresh(lab, "type", text), "node.yaml:", "asn", "many")


@case
def out_of_range(lab):
    """Out of range: the range."""
    text = fresh(lab, "range").config().replace("holdTime: 9s", "holdTime: 1s")
    refused(lab, fresh(lab, "range", text), "node.yaml:", "holdTime", "3")


@case
def several_problems_at_once(lab):
    """All problems are told, not the first alone."""
    text = fresh(lab, "several").config().replace("asn: 64512", "asn: 0").replace(
        "level: info", "level: loud")
    code, _, err = noded(lab, fresh(lab, "several", text), "-n")
    expect_eq(code, 1, "exit status")
    expect("asn" in err and "loud" in err, err)


@case
def no_such_file(lab):
    """A configuration file that is not there."""
    code, _, err = lab.exec("n1", binary("noded/noded"), "-n", "-c", "/nonexistent/node.yaml",
                            check=False)
    expect_eq(code, 1, "exit status")
    expect("/nonexistent/node.yaml" in err and "No such file" in err, err)
    expect_eq(len(err.strip().splitlines()), 1, "lines")


@case
def usage(lab):
    """Unknown options: exit 2."""
    code, _, err = lab.exec("n1", binary("noded/noded"), "--frobnicate", check=False)
    expect_eq(code, 2, err)
    code, _, err = run([binary("nodectl/nodectl"), "frobnicate"], check=False)
    expect_eq(code, 2, err)
    expect("frobnicate" in err, err)


@case
def overlapping_pools(lab):
    """Two pools that overlap: both are named, at -n and at start."""
    more = ("---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: second}\n"
            "spec: {cidr: 10.244.128.0/17}\n")
    res = {"a.yaml": POOLS + more + "---\n" + BGPCONF + "---\n" + node_doc("n1")}
    node = fresh(lab, "pools", resources=res)
    refused(lab, node, "pods-v4", "second", "overlap")
    refused(lab, node, "pods-v4", "second", "overlap", args=())


@case
def pool_over_node_network(lab):
    """A pool that overlaps the node's own network."""
    res = {"a.yaml": POOLS.replace("10.244.0.0/16", "10.7.0.0/16") + "---\n" + BGPCONF}
    node = fresh(lab, "nodenet", resources=res)
    refused(lab, node, "pods-v4", "10.7.0", "overlap")
    refused(lab, node, "pods-v4", "10.7.0", "overlap", args=())


@case
def broken_resource(lab):
    """-n names a broken resource by file, line and column."""
    res = {"a.yaml": POOLS, "b.yaml": "apiVersion: projectcalico.org/v3\nkind: BGPPeer\n"
           "metadata: {name: p}\nspec: {peerIP: 10.7.0.1, asNumbr: 65000}\n"}
    refused(lab, fresh(lab, "res", resources=res), "b.yaml:4:", "asNumbr", "asNumber")


@case
def port_taken(lab):
    """The BGP port is taken: address and port, exit 1."""
    holder = lab.spawn("n1", "/usr/bin/python3", "-c",
                       "import socket,time\ns=socket.socket()\n"
                       "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                       "s.bind(('0.0.0.0', 179))\ns.listen()\nprint('up', flush=True)\n"
                       "time.sleep(60)", log="holder.log")
    try:
        wait_for("the port's holder", lambda: "up" in open(holder.log_path).read())
        refused(lab, fresh(lab, "port"), "0.0.0.0", "179", "taken", args=())
    finally:
        lab.stop(holder)


@case
def no_net_admin(lab):
    """Without CAP_NET_ADMIN: said at the start, by name."""
    refused(lab, fresh(lab, "caps"), "CAP_NET_ADMIN", args=(),
            wrap=("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"))


@case
def state_folder_not_writable(lab):
    """state.dir cannot be made or written: its path and why."""
    node = fresh(lab, "state")
    lab.write("state/state", "a file stands where the folder should be")
    refused(lab, node, node.state_dir, args=())


@case
def second_noded(lab):
    """A second noded on the same run folder is refused; the first one goes on."""
    node = fresh(lab, "second")
    node.proc = lab.spawn("n1", binary("noded/noded"), "-c", node.config_path, log="second.log")
    node.log = node.proc.log_path
    try:
        node.wait_ready()
        refused(lab, node, node.run_dir, args=())
        expect(node.ctl("status")["ready"], "the first is not ready any more")
    finally:
        node.stop()


@case
def broken_at_run_time(lab):
    """A document broken at run time: named in status, its last good version stays, others are taken."""
    node = fresh(lab, "runtime", resources={"a.yaml": POOLS, "b.yaml": BGPCONF,
                                            "c.yaml": node_doc("n1")})
    node.proc = lab.spawn("n1", binary("noded/noded"), "-c", node.config_path, log="runtime.log")
    node.log = node.proc.log_path
    try:
        node.wait_ready()
        blocks = [b["cidr"] for b in node.ctl("status")["ipam"]["blocks"]]
        expect_eq(len(blocks), 2, "blocks")
        lab.write("runtime/resources.d/a.yaml", POOLS.replace("blockSize: 26", "blockSze: 26"))
        errors = wait_for("the error in status",
                          lambda: node.ctl("status")["datastore"]["errors"], 3)
        expect(any("a.yaml:" in e and "blockSze" in e for e in errors), str(errors))
        lab.write("runtime/resources.d/d.yaml",
                  "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: late}\n"
                  "spec: {peerIP: 10.7.0.1, asNumber: 65000}\n")
        wait_for("the other document", lambda: "late" in node.peers(), 3)
        expect_eq([b["cidr"] for b in node.ctl("status")["ipam"]["blocks"]], blocks, "blocks stay")
        lab.write("runtime/resources.d/a.yaml", POOLS)
        wait_for("the error to go", lambda: not node.ctl("status")["datastore"]["errors"], 3)
        os.unlink(os.path.join(node.resources, "d.yaml"))
        wait_for("the peer to go", lambda: "late" not in node.peers(), 3)
    finally:
        node.stop()


@case
def nodectl_without_daemon(lab):
    """nodectl where no daemon runs: exit 3 and one line with the socket."""
    code, out, err = run([binary("nodectl/nodectl"), "-s", lab.path("nothing"), "status"],
                         check=False)
    expect_eq(code, 3, err)
    expect(lab.path("nothing") in err and len(err.strip().splitlines()) == 1, err)


def plugin(lab, env, stdin, code):
    p = subprocess.run(lab.argv("n1", binary("cni/selvage")), input=stdin, capture_output=True,
                       text=True, env=dict(env, PATH="/usr/sbin:/usr/bin"), timeout=30)
    expect(p.returncode != 0, f"exit status 0; {p.stdout}")
    answer = json.loads(p.stdout)
    expect_eq(answer["code"], code, p.stdout)
    expect(answer["msg"], "msg")
    return answer


GOOD = json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "selvage"})


@case
def cni_missing_variables(lab):
    """Each missing variable is named, code 4."""
    full = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/x",
            "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}
    for missing in ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"):
        env = {k: v for k, v in full.items() if k != missing}
        answer = plugin(lab, env, GOOD, 4)
        expect(missing in answer["msg"] + answer.get("details", ""), f"{missing}: {answer}")
    answer = plugin(lab, {"CNI_COMMAND": "ADD"}, GOOD, 4)
    text = answer["msg"] + answer.get("details", "")
    expect(all(v in text for v in ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")), text)


@case
def cni_malformed(lab):
    """Broken JSON is code 6, an unsupported version code 1, bad ids code 4, bad config code 7."""
    env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/x",
           "CNI_IFNAME": "eth0"}
    plugin(lab, env, "{not json", 6)
    plugin(lab, env, GOOD.replace("1.0.0", "9.9.9"), 1)
    plugin(lab, dict(env, CNI_IFNAME="a/b"), GOOD, 4)
    plugin(lab, dict(env, CNI_IFNAME="sixteen-letters-x"), GOOD, 4)
    plugin(lab, dict(env, CNI_CONTAINERID="../x"), GOOD, 4)
    plugin(lab, env, json.dumps({"cniVersion": "1.0.0", "type": "selvage"}), 7)
    plugin(lab, dict(env, CNI_COMMAND="FROB"), GOOD, 4)


@case
def cni_without_daemon(lab):
    """felix away: ADD is code 11 (try again) and names the socket."""
    lab.add_ns("podx")
    env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0",
           "CNI_NETNS": f"/run/netns/{lab.space('podx')}"}
    conf = json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "selvage",
                       "run": lab.path("nothing")})
    answer = plugin(lab, env, conf, 11)
    expect(lab.path("nothing") in answer["msg"] + answer.get("details", ""), str(answer))


if __name__ == "__main__":
    the_lab = Lab("slvbad")
    the_lab.add_ns("n1")
    the_lab.add_ns("tor")
    the_lab.link("n1", "eth0", "tor", "n1", ["10.7.0.2/24", "fd00:7::2/64"], ["10.7.0.1/24"])
    the_lab.write("resources.d/a.yaml", POOLS + "---\n" + BGPCONF + "---\n" + node_doc("n1"))
    main(the_lab)
