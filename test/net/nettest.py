"""A small runner for tests over network namespaces.

A module makes its labs in @case functions and ends with main(). Each case prints a line; the last
line is "N passed, N failed". With arguments, only the cases named.

Where KUBE_APISERVER names a real kube-apiserver, cases that need the suite's own are named and left
out.
"""
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from lab import LabError, tail  # noqa: E402

CASES = []


def case(fn):
    """Marks a test. Its docstring, one line, says what must hold."""
    CASES.append(fn)
    return fn


def in_tree(fn):
    """Marks a case that needs the suite's own API server: it injects faults, or counts requests."""
    fn.in_tree = True
    return fn


def expect(ok, what):
    if not ok:
        raise AssertionError(what)


def expect_eq(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def main(lab, *shared):
    """Runs the cases with the lab and what the module set up; takes the lab away at the end."""
    only = [a for a in sys.argv[1:] if not a.startswith("-")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    passed, failed, left = 0, [], []
    try:
        for fn in CASES:
            if only and fn.__name__ not in only:
                continue
            if os.environ.get("KUBE_APISERVER") and getattr(fn, "in_tree", False):
                left.append(fn.__name__)
                continue
            start = time.monotonic()
            try:
                fn(lab, *shared)
                passed += 1
                print(f"ok      {fn.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            except (AssertionError, LabError, OSError, KeyError, ValueError, TypeError,
                    IndexError, SystemExit) as e:
                failed.append(fn.__name__)
                print(f"FAILED  {fn.__name__}: {(fn.__doc__ or '').strip().splitlines()[0]}\n"
                      f"        {type(e).__name__}: {e}", flush=True)
                traceback.print_exc()
                for p in lab.procs:
                    print(f"--- end of {p.log_path}\n{tail(p.log_path, 12)}", flush=True)
    finally:
        lab.close()
    if left:
        print(f"not run, {len(left)} cases need the in-tree server: {', '.join(left)}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
