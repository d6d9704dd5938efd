"""Network namespaces, processes and links for tests, the demo and the benchmarks.

Everything that a Lab makes carries its prefix, is remembered, and is taken away by close(), also
when a test fails or is interrupted. sweep() takes away what a killed run with the same prefix left.
"""
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Where the programs under test were built; the suite runs once over a sanitized build too.
BUILD = os.environ.get("SELVAGE_BUILD", TOP)


class LabError(Exception):
    pass


def binary(path):
    full = os.path.join(BUILD, path)
    if not os.access(full, os.X_OK):
        raise LabError(f"{full} is not built; run ./bootstrap build")
    return full


def run(argv, check=True, timeout=60, stdin=None, env=None):
    """Runs a command to its end; returns (status, stdout, stderr) as text."""
    p = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=env)
    if check and p.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit {p.returncode}: {(p.stderr or p.stdout).strip()}")
    return p.returncode, p.stdout, p.stderr


def wait_for(what, fn, timeout=30.0, interval=0.05):
    """Calls fn until it returns something true; that value, or LabError with what was last seen."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = fn()
            if value:
                return value
            last = value
        except (LabError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as e:
            last = e
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:.0f} s for {what}; last seen: {last}")
        time.sleep(interval)


class Lab:
    def __init__(self, prefix, keep=False):
        if not re.fullmatch(r"[a-z][a-z0-9]{1,7}", prefix):
            raise LabError(f"{prefix}: a lab's prefix is 2 to 8 small letters and digits")
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces: run it as root")
        self.prefix = prefix
        self.keep = keep
        self.procs = []
        self.spaces = []
        self.sweep(prefix)
        self.dir = tempfile.mkdtemp(prefix=f"{prefix}-")
        os.chmod(self.dir, 0o755)
        # With keep, the next run of this prefix finds here what to end.
        self.pidfile = self.state_file(prefix)
        with open(self.pidfile, "w") as f:
            f.write(self.dir + "\n")
        atexit.register(self.close)

    @staticmethod
    def state_file(prefix):
        return f"/run/{prefix}.lab"

    @staticmethod
    def sweep(prefix):
        """Ends and removes what an earlier lab of this prefix left. True if there was something."""
        found = False
        state = Lab.state_file(prefix)
        _, names, _ = run(["ip", "netns", "list"], check=False)
        spaces = [line.split()[0] for line in names.splitlines()
                  if line.startswith(prefix + "-")]
        for space in spaces:
            found = True
            Lab._end_pids(Lab._pids_in(space))
        for space in spaces:
            run(["ip", "netns", "del", space], check=False)
        if os.path.exists(state):
            found = True
            with open(state) as f:
                for line in f.read().split("\n"):
                    if line.startswith(tempfile.gettempdir() + f"/{prefix}-"):
                        shutil.rmtree(line, ignore_errors=True)
            os.unlink(state)
        return found

    @staticmethod
    def _pids_in(space):
        code, out, _ = run(["ip", "netns", "pids", space], check=False)
        return [int(p) for p in out.split()] if code == 0 else []

    @staticmethod
    def _end_pids(pids):
        for sig, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            alive = []
            for pid in pids:
                try:
                    os.kill(pid, sig)
                    alive.append(pid)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience
            while alive and time.monotonic() < end:
                alive = [p for p in alive if Lab._alive(p)]
                time.sleep(0.02)
            pids = alive
            if not pids:
                return

    @staticmethod
    def _alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def close(self):
        atexit.unregister(self.close)
        if self.keep:
            return
        for p in reversed(self.procs):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in reversed(self.procs):
            try:
                p.wait(timeout=6)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for space in self.spaces:
            self._end_pids(self._pids_in(space))
            run(["ip", "netns", "del", space], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        if os.path.exists(self.pidfile):
            os.unlink(self.pidfile)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # --- namespaces and links ---

    def space(self, name):
        return f"{self.prefix}-{name}"

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def mkdir(self, *parts, mode=0o755):
        p = self.path(*parts)
        os.makedirs(p, mode=mode, exist_ok=True)
        os.chmod(p, mode)
        return p

    def write(self, rel, text):
        p = self.path(rel)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        tmp = p + ".tmp"
        with open(tmp, "w") as f:
            f.write(text)
        os.chmod(tmp, 0o644)
        os.rename(tmp, p)
        return p

    def add_ns(self, name, forward=False):
        space = self.space(name)
        run(["ip", "netns", "add", space])
        self.spaces.append(space)
        self.ip(name, "link", "set", "lo", "up")
        if forward:
            for key in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                        "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"):
                self.exec(name, "sysctl", "-qw", key)
        return space

    def del_ns(self, name):
        space = self.space(name)
        self._end_pids(self._pids_in(space))
        run(["ip", "netns", "del", space])
        self.spaces.remove(space)

    def ip(self, name, *args):
        return run(["ip", "-n", self.space(name), *args])[1]

    def ip_json(self, name, *args):
        out = run(["ip", "-j", "-n", self.space(name), *args])[1]
        return json.loads(out) if out.strip() else []

    def link(self, a, ifa, b, ifb, addrs_a=(), addrs_b=()):
        """A veth pair from namespace a to namespace b, up, with addresses."""
        run(["ip", "link", "add", "name", ifa, "netns", self.space(a), "type", "veth",
             "peer", "name", ifb, "netns", self.space(b)])
        for name, dev, addrs in ((a, ifa, addrs_a), (b, ifb, addrs_b)):
            # Cables that have long been up: no link-local address is still under detection.
            self.exec(name, "sysctl", "-qw", f"net.ipv6.conf.{dev}.accept_dad=0")
            for addr in addrs:
                extra = ["nodad"] if ":" in addr else []
                self.ip(name, "addr", "add", addr, "dev", dev, *extra)
            self.ip(name, "link", "set", dev, "up")

    # --- processes ---

    def argv(self, name, *args):
        return ["ip", "netns", "exec", self.space(name), *args]

    def exec(self, name, *args, check=True, timeout=60, stdin=None, env=None):
        return run(self.argv(name, *args), check=check, timeout=timeout, stdin=stdin, env=env)

    def spawn(self, name, *args, log=None, env=None):
        """Starts a process in a namespace; its output goes to a log file of the lab."""
        log = self.path(log or f"{name}-{os.path.basename(args[0])}.log")
        with open(log, "ab") as out:
            p = subprocess.Popen(self.argv(name, *args), stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, env=env, start_new_session=True)
        p.log_path = log
        self.procs.append(p)
        return p

    def stop(self, p, sig=signal.SIGTERM, timeout=10):
        if p.poll() is None:
            p.send_signal(sig)
        p.wait(timeout=timeout)
        if p in self.procs:
            self.procs.remove(p)
        return p.returncode


def tail(path, lines=15):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError as e:
        return str(e)
