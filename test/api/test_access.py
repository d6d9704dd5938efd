#!/usr/bin/python3
"""The way to the API: what noded reads for felix, what it says where that is wrong, and what happens
when credentials change under way. One node against the suite's own API server over TLS.
"""
import json
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "net")]
from apiserver import ApiServer  # noqa: E402
from nettest import case, expect, expect_eq, main  # noqa: E402
from lab import Lab, binary, run, wait_for  # noqa: E402
from nodes import Node  # noqa: E402

GROUPS = ["system:masters"]


class KubeNode(Node):
    """A node whose datastore is the API."""

    def __init__(self, lab, name, address, kubeconfig):
        super().__init__(lab, name, 64512, [address], None)
        self.kubeconfig, self.datastore = kubeconfig, {}

    def config(self):
        # JSON is YAML.
        return json.dumps({
            "node": {"name": self.name, "address": self.addresses},
            "datastore": {"kind": "kubernetes", "kubeconfig": self.kubeconfig, **self.datastore},
            "bgp": {"asn": self.asn},
            "state": {"dir": self.state_dir, "run": self.run_dir},
            "log": {"level": "debug"}}) + "\n"

    def start_again(self):
        """Also where a case before this one failed and left it running."""
        if self.proc:
            self.stop()
        self.start(wait=False)

    def reasons(self):
        return " / ".join(self.ctl("status")["reasons"])


def setup(lab):
    lab.add_ns("n1")
    lab.add_ns("tor")
    lab.link("n1", "eth0", "tor", "eth0", ["10.77.0.1/24"], ["10.77.0.2/24"])
    api = ApiServer(lab.mkdir("api"), prefix=lab.argv("n1"))
    api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    return api, KubeNode(lab, "n1", "10.77.0.1/24", lab.path("kubeconfig"))


def check(node):
    """noded -n: exit status and all that it says."""
    code, out, err = node.lab.exec("n1", binary("noded/noded"), "-n", "-c", node.write_config(),
                                   check=False)
    return code, (out + err).strip()


def served(api, user):
    return api.counts()["byUser"].get(user, 0)


def until_served(api, user, timeout=30):
    wait_for(f"a request of {user}", lambda: served(api, user) > 0, timeout)


def replace(path, text, mode=0o600):
    with open(path + ".new", "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)
    os.rename(path + ".new", path)


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


# What stands in a kubeconfig, what is put in its place, and what noded says.
FAULTS = (
    ("current-context: ", "current-context: none # ", 'context "none" does not exist; contexts: '),
    ("https://", "http://", "is not encrypted"),
    ("server:", "insecure-skip-tls-verify: true\n    server:", "insecure-skip-tls-verify"),
    ("token:", "token: a\n    tokenFile: /none # ", "the file /none cannot be read"),
    ("certificate-authority-data: ", "certificate-authority-data: '!' # ", "is not base64"),
)


@case
def a_broken_kubeconfig_is_named_before_anything_starts(lab, api, node):
    """noded -n and a first start say the same one line, which names the file; exit status 1."""
    whole = text_of(api.kubeconfig(node.kubeconfig, user="first", groups=GROUPS, auth="token"))
    expect_eq(check(node), (0, f"{node.config_path}: ok"), "a good one")
    for old, new, want in FAULTS:
        expect(old in whole, f"the test's kubeconfig has no {old}")
        replace(node.kubeconfig, whole.replace(old, new, 1))
        code, said = check(node)
        expect(code == 1 and want in said and node.kubeconfig in said and "\n" not in said,
               f"{new}: exit {code}: {said}")
        code, out, err = lab.exec("n1", binary("noded/noded"), "-c", node.config_path,
                                  check=False, timeout=20)
        expect_eq((code, [line for line in err.splitlines() if line.startswith("noded: ")]),
                  (1, [said]), f"first start: {out} {err}")
    os.unlink(node.kubeconfig)
    code, said = check(node)
    expect(code == 1 and "does not exist; put one there" in said, f"missing: {code}: {said}")


@case
def felix_reaches_the_api_with_what_only_root_may_read(lab, api, node):
    """The kubeconfig is root's alone; felix uses it, under its own uid, also after a crash."""
    api.kubeconfig(node.kubeconfig, user="first", groups=GROUPS, auth="tokenFile")
    node.start_again()
    until_served(api, "first")
    pid = node.daemon_pid("felix")
    uids = next(line for line in text_of(f"/proc/{pid}/status").splitlines()
                if line.startswith("Uid:")).split()[1:]
    expect("0" not in uids, f"felix is root: {uids}")
    expect_eq(os.stat(node.kubeconfig + ".token").st_mode & 0o077, 0, "mode of the token file")
    api.reset()
    os.kill(pid, signal.SIGKILL)
    until_served(api, "first")


@case
def the_token_is_nowhere_to_be_seen(lab, api, node):
    """No token in a command line, an environment, a log or a file that a daemon wrote."""
    token = text_of(node.kubeconfig + ".token").strip()

    def three():
        pids = [d["pid"] for d in node.ctl("status")["daemons"] if d["pid"]]
        return len(pids) == 3 and pids
    pids = wait_for("felix to be back", three, 15)
    for pid in pids:
        for name in ("cmdline", "environ"):
            expect(token not in text_of(f"/proc/{pid}/{name}"), f"{name} of {pid}")
    expect(token not in text_of(node.log), "the token is in the log")
    for folder, _, files in os.walk(node.dir):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                expect(token not in text_of(path), f"the token is in {path}")


@case
def a_rotated_token_is_used_when_the_old_one_is_refused(lab, api, node):
    """401: felix asks, noded reads the token file again, felix goes on as the new user."""
    old = text_of(node.kubeconfig + ".token").strip()
    replace(node.kubeconfig + ".token", api.token("second", GROUPS))
    api.revoke(old)
    api.close_connections()
    until_served(api, "second", 40)


@case
def a_kubeconfig_that_breaks_is_in_the_status(lab, api, node):
    """nodectl status names file, context and contexts; when it is mended, all goes on."""
    whole = text_of(node.kubeconfig)
    current = next(line.split(": ", 1)[1].strip('"') for line in whole.splitlines()
                   if line.startswith("current-context: "))
    replace(node.kubeconfig, whole.replace("current-context: ", "current-context: none # ", 1))
    api.revoke(text_of(node.kubeconfig + ".token").strip())
    api.close_connections()
    want = (f'kubeconfig {node.kubeconfig}: context "none" does not exist; contexts: '
            f'{current}')
    wait_for("the reason in nodectl status", lambda: want in node.reasons(), 70)
    code, text, _ = run([binary("nodectl/nodectl"), "-s", node.run_dir, "status"], check=False)
    expect(code == 1 and want in text, f"nodectl status: exit {code}: {text}")
    replace(node.kubeconfig + ".token", api.token("third", GROUPS))
    replace(node.kubeconfig, whole)
    until_served(api, "third", 70)
    wait_for("the reason to go", lambda: "kubeconfig" not in node.reasons(), 10)
    node.stop()


@case
def a_plugin_is_asked_at_the_start_and_when_its_token_is_refused(lab, api, node):
    """exec: one run at the start; a second one after 401; its token never in the log."""
    api.kubeconfig(node.kubeconfig, user="fourth", groups=GROUPS, auth="exec",
                   expires=time.time() + 3600)
    node.start_again()
    until_served(api, "fourth")
    runs = node.kubeconfig + ".runs"
    expect_eq(text_of(runs).count("run"), 1, "runs at the start")
    old = text_of(node.kubeconfig + ".token").strip()
    new = api.token("fifth", GROUPS)
    replace(node.kubeconfig + ".token", new)
    api.revoke(old)
    api.close_connections()
    until_served(api, "fifth", 40)
    expect(2 <= text_of(runs).count("run") <= 3, f"runs: {text_of(runs).count('run')}")
    expect(old not in text_of(node.log) and new not in text_of(node.log), "a token in the log")
    node.stop()


@case
def a_plugin_that_fails_at_first_does_not_stop_the_start(lab, api, node):
    """noded starts, says why there is no access, and goes on when the plugin has an answer."""
    api.kubeconfig(node.kubeconfig, user="sixth", groups=GROUPS, auth="exec")
    good = text_of(node.kubeconfig + ".exec")
    replace(node.kubeconfig + ".exec", "#!/bin/sh\necho >&2 no session\nexit 7\n", 0o700)
    node.start_again()
    wait_for("nodectl", lambda: os.path.exists(node.run_dir + "/ctl.sock"), 10)
    wait_for("the reason", lambda: "ended with exit status 7" in node.reasons(), 20)
    expect("exec plugin says: no session" in text_of(node.log), "its words are not in the log")
    replace(node.kubeconfig + ".exec", good, 0o700)
    until_served(api, "sixth", 40)
    wait_for("the reason to go", lambda: "exit status 7" not in node.reasons(), 10)
    node.stop()


if __name__ == "__main__":
    the_lab = Lab("acc")
    main(the_lab, *setup(the_lab))
