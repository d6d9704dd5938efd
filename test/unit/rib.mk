RIB_LIBS = bgpd/librib.a bgpd/libwire.a $(LIB_BASE) $(CHECK_LIBS)
RIB_SIM = test/unit/rib_sim.c test/unit/rib_sim.h test/unit/rib_model.c

check_PROGRAMS += test/unit/test_slab test/unit/test_attr test/unit/test_table \
	test/unit/test_decision test/unit/test_export test/unit/test_group \
	test/unit/test_install test/unit/test_rib
TESTS += test/unit/test_slab test/unit/test_attr test/unit/test_table test/unit/test_decision \
	test/unit/test_export test/unit/test_group test/unit/test_install test/unit/test_rib

test_unit_test_slab_SOURCES = test/unit/test_slab.c
test_unit_test_slab_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_slab_LDADD = $(RIB_LIBS)
test_unit_test_attr_SOURCES = test/unit/test_attr.c
test_unit_test_attr_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_attr_LDADD = $(RIB_LIBS)
test_unit_test_table_SOURCES = test/unit/test_table.c
test_unit_test_table_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_table_LDADD = $(RIB_LIBS)
test_unit_test_decision_SOURCES = test/unit/test_decision.c
test_unit_test_decision_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_decision_LDADD = $(RIB_LIBS)
test_unit_test_export_SOURCES = test/unit/test_export.c $(RIB_SIM)
test_unit_test_export_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_export_LDADD = $(RIB_LIBS)
test_unit_test_group_SOURCES = test/unit/test_group.c $(RIB_SIM)
test_unit_test_group_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_group_LDADD = $(RIB_LIBS)
test_unit_test_install_SOURCES = test/unit/test_install.c $(RIB_SIM)
test_unit_test_install_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_install_LDADD = $(RIB_LIBS)
test_unit_test_rib_SOURCES = test/unit/test_rib.c $(RIB_SIM)
test_unit_test_rib_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_rib_LDADD = $(RIB_LIBS)

# Figures, not a test: `make test/bench/rib_bench && test/bench/rib_bench`.
EXTRA_PROGRAMS = test/bench/rib_bench
test_bench_rib_bench_SOURCES = test/bench/rib_bench.c
test_bench_rib_bench_LDADD = bgpd/librib.a bgpd/libwire.a $(LIB_BASE)
CLEANFILES += test/bench/rib_bench
