# Policies: reading them.
POLICY_TESTS = test/unit/test_policy_read test/unit/test_policy_calico
check_PROGRAMS += $(POLICY_TESTS)
TESTS += $(POLICY_TESTS)
POLICY_LIBS = felix/libpolicy.a store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(EV_LIBS)
test_unit_test_policy_read_SOURCES = test/unit/test_policy_read.c test/unit/policy_text.h
test_unit_test_policy_read_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_policy_read_LDADD = $(POLICY_LIBS) $(CHECK_LIBS)
test_unit_test_policy_calico_SOURCES = test/unit/test_policy_calico.c test/unit/policy_text.h
test_unit_test_policy_calico_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_policy_calico_LDADD = $(POLICY_LIBS) $(CHECK_LIBS)
# The calc graph against a naive evaluator; BENCH=1 test/unit/test_calc measures it.
check_PROGRAMS += test/unit/test_calc
TESTS += test/unit/test_calc
test_unit_test_calc_SOURCES = test/unit/test_calc.c test/unit/calc_world.c test/unit/calc_world.h \
	test/unit/calc_model.c test/unit/calc_model.h test/unit/calc_bench.c test/unit/calc_bench.h \
	test/unit/naive_policy.c test/unit/naive_policy.h
test_unit_test_calc_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_calc_LDADD = $(POLICY_LIBS) $(CHECK_LIBS)
