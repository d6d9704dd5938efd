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
include test/unit/kube_http.mk
include test/unit/scale.mk
include test/unit/cni.mk
include test/unit/nodectl.mk
include test/unit/policy.mk
include test/fuzz/local.mk

# The rules of the house: who may include whom, what stays pure.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = /usr/bin/python3
TESTS += test/house.py
EXTRA_DIST += test/unit/unit.h test/house.py test/run.py test/lab/lab.py test/lab/peers.py \
	test/lab/nodes.py test/lab/demo.py test/lab/transfer.py test/lab/rawbgp.py \
	test/net/nettest.py test/net/test_fabric.py test/net/test_interop.py \
	test/net/test_privilege.py test/net/test_bad_input.py test/net/test_malformed.py \
	test/lab/cluster.py test/api/test_node.py test/net/test_cni.py test/net/test_services.py test/bench/bench.py .ci/run
EXTRA_DIST += test/api/manifests.py test/api/realapi.py test/api/replay.py test/api/replay_rows.py \
	test/api/test_manifests.py
# The suite's Kubernetes API server, and the tests that prove it.
EXTRA_DIST += test/api/apiserver.py test/api/apiserver_auth.py test/api/apiserver_control.py \
	test/api/apiserver_discovery.py test/api/apiserver_fault.py test/api/apiserver_generate.py \
	test/api/apiserver_http.py test/api/apiserver_kinds.py test/api/apiserver_list.py \
	test/api/apiserver_main.py test/api/apiserver_patch.py test/api/apiserver_rest.py \
	test/api/apiserver_schema.py test/api/apiserver_select.py test/api/apiserver_store.py \
	test/api/pki.py test/api/apiclient.py test/api/apitest.py test/api/test_apiserver.py \
	test/api/test_apiserver_users.py test/api/test_apiserver_faults.py
EXTRA_DIST += test/api/test_access.py test/api/test_node_more.py
