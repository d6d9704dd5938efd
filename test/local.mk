# Unit tests are one small program a module (test/unit/test_*.c), each listed in the local.mk of its room's tests:
# test/unit/<room>.mk. Net tests and benchmarks are Python over real network namespaces.
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
EXTRA_DIST += test/unit/unit.h
