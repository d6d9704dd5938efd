# Unit tests are one small program a module (test/unit/test_*.c), each listed in test/unit/<room>.mk;
# net tests and benchmarks are Python over real network namespaces (test/run.py runs everything).
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -DTESTDATA='"$(abs_top_srcdir)/test"'
include test/unit/lib.mk
include test/unit/conf.mk
include test/unit/nl.mk
include test/unit/proc.mk
include test/unit/wire.mk
include test/unit/rib.mk
include test/unit/bgpd.mk
include test/unit/felix.mk
include test/unit/ipam.mk
include test/unit/store.mk
include test/unit/cni.mk
include test/unit/nodectl.mk
include test/fuzz/local.mk

# The rules of the house: who may include whom, what stays pure.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = /usr/bin/python3
TESTS += test/house.py
EXTRA_DIST += test/unit/unit.h test/house.py test/run.py test/lab/lab.py test/lab/peers.py \
	test/lab/nodes.py test/lab/demo.py test/lab/transfer.py test/lab/rawbgp.py \
	test/net/nettest.py test/net/test_fabric.py test/net/test_interop.py \
	test/net/test_privilege.py test/net/test_bad_input.py test/net/test_malformed.py \
	test/net/test_cni.py test/bench/bench.py .ci/run
