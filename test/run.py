#!/usr/bin/python3
"""Runs every suite and ends with one line over all: "N passed, N failed".

    test/run.py [SUITE...]     unit fuzz clang asan net api net-asan distcheck

With no name, all of them. A suite that cannot run counts as failed; nothing passes unseen.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = f"-j{os.cpu_count()}"
ASAN_OPTIONS = "abort_on_error=1:detect_leaks=0"


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []

    def add(self, suite, passed, failed, note=""):
        passed, failed = int(passed), int(failed)
        self.passed += passed
        self.failed += failed
        print(f"    {suite}: {passed} passed, {failed} failed {note}".rstrip(), flush=True)

    def fail(self, suite, why):
        self.failures.append(f"{suite}: {why}")
        print(f"    FAILED {suite}: {why}", flush=True)


def call(argv, log, cwd=TOP, env=None, timeout=1800):
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as out:
        try:
            return subprocess.run(argv, cwd=cwd, stdout=out, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, env=env, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            return f"over {timeout} s"


def text_of(path):
    with open(path, errors="replace") as f:
        return f.read()


def log_of(name):
    return os.path.join(TOP, "build-check", "logs", name + ".log")


def step(tally, suite, argv, **kw):
    """A build step: nothing on success, one failed test with the log's end otherwise."""
    log = log_of(suite.replace(" ", "-"))
    code = call(argv, log, **kw)
    if code != 0:
        print("\n".join(text_of(log).splitlines()[-25:]))
        tally.fail(suite, f"{' '.join(argv)} gave {code} (log: {log})")
        tally.add(suite, 0, 1)
    return code == 0


def count_check(tally, suite, build):
    """Counts what automake's test programs said: check's line where there is one, else 1 a program."""
    passed = failed = 0
    for trs in sorted(glob.glob(os.path.join(build, "test", "**", "*.trs"), recursive=True)):
        log = text_of(trs[:-4] + ".log")
        name = os.path.relpath(trs[:-4], os.path.join(build, "test"))
        ok = ":test-result: PASS" in text_of(trs)
        m = re.search(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", log, re.M)
        if m:
            checks, bad = int(m.group(1)), int(m.group(2)) + int(m.group(3))
            bad = bad or (0 if ok else 1)
            passed, failed = passed + checks - bad, failed + bad
        else:
            passed, failed = passed + ok, failed + (not ok)
        if not ok:
            print("\n".join(log.splitlines()[-20:]))
            tally.fail(suite, name)
    if not passed and not failed:
        tally.fail(suite, "no test program ran")
        failed = 1
    tally.add(suite, passed, failed)


def make_check(tally, suite, build, env=None):
    for old in glob.glob(os.path.join(build, "test", "**", "*.trs"), recursive=True):
        os.unlink(old)
    log = log_of(suite)
    code = call(["make", JOBS, "-k", "check"], log, cwd=build, env=env)
    before = tally.failed
    count_check(tally, suite, build)
    if code != 0 and tally.failed == before:
        print("\n".join(text_of(log).splitlines()[-25:]))
        tally.fail(suite, f"make check gave {code} (log: {log})")
        tally.add(suite, 0, 1)


def copied(tally, suite, name, configure, env=None):
    """A copy of the distributed files in build-check/<name>, configured and built; its path."""
    build = os.path.join(TOP, "build-check", name)
    src = os.path.join(build, "src")
    os.makedirs(build, exist_ok=True)
    shutil.rmtree(src, ignore_errors=True)
    if not step(tally, f"{suite} copy", ["make", "distdir", f"distdir={os.path.relpath(src, TOP)}"]):
        return None
    # Automake's distdir takes the write permission of nothing; the stamps need it.
    if not step(tally, f"{suite} configure", ["./configure", "--enable-werror", *configure], cwd=src,
                env=env):
        return None
    if not step(tally, f"{suite} build", ["make", JOBS], cwd=src, env=env):
        return None
    return src


def suite_unit(tally):
    make_check(tally, "unit", TOP)


def suite_fuzz(tally):
    """The libFuzzer targets for a short while each, from their corpora, under ASan and UBSan."""
    src = copied(tally, "fuzz", "fuzz", ["CC=clang", "--enable-sanitizers", "--enable-fuzzers"])
    if not src:
        return
    targets = sorted(re.findall(r"test/fuzz/(fuzz_\w+)\.c", " ".join(
        glob.glob("test/fuzz/fuzz_*.c", root_dir=TOP))))
    if not step(tally, "fuzz targets", ["make", JOBS, *[f"test/fuzz/{t}" for t in targets]], cwd=src):
        return
    seconds = int(os.environ.get("FUZZ_SECONDS", "20"))
    for t in targets:
        corpus = os.path.join(TOP, "test", "fuzz", "corpus", t[len("fuzz_"):])
        work = os.path.join(TOP, "build-check", "fuzz", "work-" + t)
        os.makedirs(work, exist_ok=True)
        log = log_of(t)
        code = call([os.path.join(src, "test", "fuzz", t), f"-max_total_time={seconds}",
                     "-timeout=10", "-print_final_stats=1", f"-artifact_prefix={work}/crash-",
                     work, corpus], log, timeout=seconds * 5 + 60)
        runs = re.search(r"stat::number_of_executed_units: (\d+)", text_of(log))
        if code != 0 or not runs:
            print("\n".join(text_of(log).splitlines()[-25:]))
            tally.fail("fuzz", f"{t} gave {code}")
        ok = code == 0 and bool(runs)
        tally.add(t, ok, not ok, f"({runs.group(1)} inputs in {seconds} s)" if runs else "")


def suite_clang(tally):
    if copied(tally, "clang", "clang", ["CC=clang"]):
        tally.add("clang", 1, 0, "(builds without a warning)")


def asan_env():
    return dict(os.environ, ASAN_OPTIONS=ASAN_OPTIONS,
                CK_TIMEOUT_MULTIPLIER="5")


def suite_asan(tally):
    src = copied(tally, "asan", "asan", ["--enable-sanitizers"])
    if src:
        make_check(tally, "asan", src, env=asan_env())


def failed_cases(out, lines=60):
    """What a suite said of each case that failed: its line and what follows it, and their names."""
    text, names = [], re.findall(r"^FAILED  (\w+):", out, re.M)
    for block in re.split(r"^(?=FAILED  |ok      )", out, flags=re.M):
        if block.startswith("FAILED  "):
            text += block.splitlines()[:lines]
    return text or out.splitlines()[-lines:], names


def run_net(tally, suite, env, folder="net", only=None):
    for path in sorted(glob.glob(os.path.join(TOP, "test", folder, "test_*.py"))):
        name = os.path.basename(path)[:-3]
        if only and name not in only:
            continue
        log = log_of(f"{suite}-{name}")
        start = time.monotonic()
        code = call([sys.executable, path], log, env=env, timeout=900)
        out = text_of(log)
        m = re.search(r"^(\d+) passed, (\d+) failed$", out, re.M)
        passed, failed = (int(m.group(1)), int(m.group(2))) if m else (0, 1)
        if code != 0 and not failed:
            failed = 1
        if failed:
            text, names = failed_cases(out)
            print("\n".join(text))
            tally.fail(suite, f"{name}: {', '.join(names) or 'ended early'} (log: {log})")
        tally.add(f"{suite} {name}", passed, failed, f"({time.monotonic() - start:.0f} s)")


def suite_net(tally):
    run_net(tally, "net", dict(os.environ))


def suite_api(tally):
    """The Kubernetes store; with KUBE_APISERVER=/path also against that real server."""
    run_net(tally, "api", dict(os.environ), "api")


# Under the sanitizers the fabric runs once from end to end; the rest would only take longer.
ASAN_NET = ("test_fabric", "test_interop")
ASAN_API = ("test_node", "test_store")


def suite_net_asan(tally):
    src = os.path.join(TOP, "build-check", "asan", "src")
    if not os.path.exists(os.path.join(src, "noded", "noded")):
        src = copied(tally, "net-asan", "asan", ["--enable-sanitizers"])
    if src:
        env = dict(asan_env(), SELVAGE_BUILD=src)
        run_net(tally, "net-asan", env, only=ASAN_NET)
        run_net(tally, "net-asan", env, "api", only=ASAN_API)


def suite_distcheck(tally):
    if step(tally, "distcheck", ["make", JOBS, "distcheck", "DISTCHECK_CONFIGURE_FLAGS="]):
        tally.add("distcheck", 1, 0)


SUITES = {"unit": suite_unit, "fuzz": suite_fuzz, "clang": suite_clang,
          "asan": suite_asan, "net": suite_net, "api": suite_api, "net-asan": suite_net_asan,
          "distcheck": suite_distcheck}


def main():
    names = sys.argv[1:] or list(SUITES)
    unknown = [n for n in names if n not in SUITES]
    if unknown:
        print(f"no such suite: {', '.join(unknown)}; there are: {', '.join(SUITES)}")
        return 2
    tally = Tally()
    for name in names:
        start = time.monotonic()
        print(f"==> {name}", flush=True)
        SUITES[name](tally)
        print(f"    ({time.monotonic() - start:.0f} s)", flush=True)
    for f in tally.failures:
        print(f"failed: {f}")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
