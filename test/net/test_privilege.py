#!/usr/bin/python3
"""What the daemons may do: capabilities, users, the chroot; and how noded looks after them."""
import os
import signal
import socket
import time

from nettest import case, expect, expect_eq, main
from lab import Lab, binary, run, tail, wait_for
from nodes import BGPCONF, POOLS, Node, Pod, node_doc

CAP_NET_ADMIN = 1 << 12


def proc_status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def caps(pid):
    s = proc_status(pid)
    return {k: int(s[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@case
def bgpd_has_no_capability(lab, node):
    """bgpd: every capability set is empty, no root uid or gid, no supplementary group."""
    pid = node.daemon_pid("bgpd")
    expect_eq(set(caps(pid).values()), {0}, f"capabilities {caps(pid)}")
    s = proc_status(pid)
    expect("0" not in s["Uid"].split() and "0" not in s["Gid"].split(), f"{s['Uid']} {s['Gid']}")
    expect_eq((s["Groups"].strip(), s["NoNewPrivs"]), ("", "1"), "groups, NoNewPrivs")


@case
def felix_has_net_admin_alone(lab, node):
    """felix: CAP_NET_ADMIN and nothing else, not even in the bounding set; another uid than bgpd."""
    pid = node.daemon_pid("felix")
    c = caps(pid)
    expect_eq((c["CapPrm"], c["CapEff"]), (CAP_NET_ADMIN, CAP_NET_ADMIN), "permitted, effective")
    expect(c["CapBnd"] | CAP_NET_ADMIN == CAP_NET_ADMIN, f"bounding {c['CapBnd']:x}")
    expect(c["CapInh"] | c["CapAmb"] | CAP_NET_ADMIN == CAP_NET_ADMIN, str(c))
    s = proc_status(pid)
    expect("0" not in s["Uid"].split(), s["Uid"])
    expect(s["Uid"] != proc_status(node.daemon_pid("bgpd"))["Uid"], "one uid for both")
    expect_eq(s["NoNewPrivs"], "1", "NoNewPrivs")


@case
def bgpd_is_in_an_empty_chroot(lab, node):
    """bgpd's root is an empty folder that it cannot write: it can open no file outside it."""
    pid = node.daemon_pid("bgpd")
    root = os.readlink(f"/proc/{pid}/root")
    expect(root != "/", "bgpd's root is /")
    expect_eq(os.listdir(f"/proc/{pid}/root/"), [], f"what lies in {root}")
    st = os.stat(f"/proc/{pid}/root/")
    expect_eq((st.st_uid, st.st_mode & 0o022), (0, 0), "owner and write bits")
    # No descriptor of bgpd leads out of it: only sockets and what the loop made.
    for fd in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        ok = target.startswith(("socket:", "anon_inode:", "pipe:", "/dev/null")) or fd in "012"
        expect(ok, f"descriptor {fd} of bgpd is {target}")


def restarts(node, name):
    return [d["restarts"] for d in node.ctl("status")["daemons"] if d["name"] == name][0]


@case
def one_crashes_the_other_goes_on(lab, node):
    """A crashed child comes back alone: the other keeps its pid."""
    for victim, other in (("bgpd", "felix"), ("felix", "bgpd")):
        pid, keep, count = node.daemon_pid(victim), node.daemon_pid(other), restarts(node, victim)
        os.kill(pid, signal.SIGSEGV)
        wait_for(f"a new {victim}", lambda: node.daemon_pid(victim) not in (0, None, pid), 10)
        expect_eq(node.daemon_pid(other), keep, f"pid of {other}")
        wait_for("the restart to be counted", lambda: restarts(node, victim) == count + 1, 5)
        node.wait_ready()


@case
def backoff_grows(lab, node):
    """A child that keeps crashing is restarted later each time, and nodectl says when."""
    times, last = [], None
    for _ in range(5):
        pid = wait_for("bgpd", lambda: node.daemon_pid("bgpd") or None, 20)
        now = time.monotonic()
        if last:
            times.append(now - last)
        os.kill(pid, signal.SIGKILL)
        last = now
        wait_for("its end to be seen", lambda: node.daemon_pid("bgpd") != pid, 20)
    expect(times[-1] > times[0] * 2, f"seconds between starts: {times}")
    wait_for("bgpd to be back", lambda: node.daemon_pid("bgpd"), 20)
    node.wait_ready()


@case
def children_end_with_noded(lab, node):
    """noded is killed (SIGKILL): both children end on their own; a new noded starts over it."""
    pids = [node.daemon_pid(n) for n in ("bgpd", "felix")]
    node.stop(signal.SIGKILL)
    wait_for("the children to end", lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), 5)
    node.start()


@case
def sd_notify(lab, node):
    """READY=1 comes when both children are up, STATUS in words, STOPPING=1 at the end."""
    node.stop()
    path = lab.path("notify.sock")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    os.chmod(path, 0o777)
    sock.settimeout(15)
    node.start(wait=False, env=dict(os.environ, NOTIFY_SOCKET=path))
    seen = ""
    while "READY=1" not in seen:
        seen += sock.recv(4096).decode() + "\n"
    node.wait_ready()
    expect("STATUS=" in seen, seen)
    pid = node.proc
    pid.send_signal(signal.SIGTERM)
    while "STOPPING=1" not in seen:
        seen += sock.recv(4096).decode() + "\n"
    expect_eq(pid.wait(timeout=10), 0, "exit status")
    sock.close()
    lab.procs.remove(pid)
    node.start()


@case
def clean_sigterm(lab, node):
    """SIGTERM: exit 0, no child left, no socket left."""
    pids = [node.daemon_pid(n) for n in ("bgpd", "felix")]
    expect_eq(node.stop(), 0, "exit status")
    expect(not any(os.path.exists(f"/proc/{p}") for p in pids), "a child is left")
    left = [f for f in os.listdir(node.run_dir) if f.endswith(".sock")]
    expect_eq(left, [], "sockets left")
    node.start()


@case
def sockets_are_root_only(lab, node):
    """ctl.sock and cni.sock: 0600 root; an unprivileged user is refused in words, exit 3."""
    for name in ("ctl.sock", "cni.sock"):
        st = os.stat(os.path.join(node.run_dir, name))
        expect_eq((st.st_uid, st.st_mode & 0o777), (0, 0o600), name)
    code, out, err = run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                          binary("nodectl/nodectl"), "-s", node.run_dir, "status"], check=False)
    expect_eq(code, 3, f"exit status; {err}")
    expect("ermission denied" in err and len(err.strip().splitlines()) == 1, err)


@case
def log_level_at_run_time(lab, node):
    """nodectl log debug takes effect in the daemons at once, and info takes it back."""
    code, _, err = run([binary("nodectl/nodectl"), "-s", node.run_dir, "log", "debug"], check=False)
    expect_eq(code, 0, err)
    pod = Pod(node, "logs")
    pod.add()
    wait_for("a debug line", lambda: "level=debug" in open(node.log).read(), 5)
    run([binary("nodectl/nodectl"), "-s", node.run_dir, "log", "info"])
    pod.delete()


if __name__ == "__main__":
    the_lab = Lab("slvprv")
    the_lab.add_ns("n1")
    the_lab.add_ns("tor")
    the_lab.link("n1", "eth0", "tor", "n1", ["10.7.0.2/24", "fd00:7::2/64"], ["10.7.0.1/24"])
    the_lab.write("resources.d/a.yaml", POOLS + "---\n" + BGPCONF + "---\n" + node_doc("n1"))
    the_node = Node(the_lab, "n1", 64512, ["10.7.0.2/24", "fd00:7::2/64"],
                    the_lab.path("resources.d"))
    try:
        the_node.start()
    except BaseException:
        print(tail(the_node.log, 30))
        the_lab.close()
        raise
    main(the_lab, the_node)
