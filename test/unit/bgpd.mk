BGPD_TEST_LIBS = bgpd/libbgpd.a bgpd/librib.a bgpd/libwire.a $(LIB_LOOP)
check_PROGRAMS += test/unit/test_fsm test/unit/test_collision test/unit/test_ifaces \
	test/unit/test_session test/unit/test_bgpd_pair
TESTS += test/unit/test_fsm test/unit/test_collision test/unit/test_ifaces \
	test/unit/test_session test/unit/test_bgpd_pair
test_unit_test_fsm_SOURCES = test/unit/test_fsm.c
test_unit_test_fsm_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_fsm_LDADD = bgpd/libbgpd.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_collision_SOURCES = test/unit/test_collision.c
test_unit_test_collision_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_collision_LDADD = bgpd/libbgpd.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_ifaces_SOURCES = test/unit/test_ifaces.c
test_unit_test_ifaces_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_ifaces_LDADD = bgpd/libbgpd.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_session_SOURCES = test/unit/test_session.c test/unit/bgpd_lab.c test/unit/bgpd_lab.h
test_unit_test_session_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_session_LDADD = $(BGPD_TEST_LIBS) $(YAML_LIBS) $(EV_LIBS) $(CHECK_LIBS)
test_unit_test_bgpd_pair_SOURCES = test/unit/test_bgpd_pair.c test/unit/bgpd_lab.c \
	test/unit/bgpd_lab.h
test_unit_test_bgpd_pair_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_bgpd_pair_LDADD = $(BGPD_TEST_LIBS) $(YAML_LIBS) $(EV_LIBS) $(CHECK_LIBS)
