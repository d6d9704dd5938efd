check_PROGRAMS += test/unit/test_supervise test/unit/test_sandbox test/unit/test_child \
	test/unit/test_noded test/unit/test_access
TESTS += test/unit/test_supervise test/unit/test_sandbox test/unit/test_child test/unit/test_noded \
	test/unit/test_access
test_unit_test_supervise_SOURCES = test/unit/test_supervise.c
test_unit_test_supervise_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_supervise_LDADD = noded/libnoded.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_sandbox_SOURCES = test/unit/test_sandbox.c
test_unit_test_sandbox_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sandbox_LDADD = lib/libsandbox.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_child_SOURCES = test/unit/test_child.c
test_unit_test_child_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_child_LDADD = $(LIB_LOOP) $(CHECK_LIBS) $(YAML_LIBS) $(EV_LIBS)
test_unit_test_noded_SOURCES = test/unit/test_noded.c
test_unit_test_noded_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_noded_LDADD = noded/libnoded.a $(LIB_LOOP) $(CHECK_LIBS) $(YAML_LIBS) $(EV_LIBS)
test_unit_test_access_SOURCES = test/unit/test_access.c
test_unit_test_access_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_access_LDADD = noded/libnoded.a $(LIB_LOOP) $(CHECK_LIBS) $(YAML_LIBS) $(EV_LIBS)
