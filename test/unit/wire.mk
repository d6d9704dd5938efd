WIRE_TESTS = test/unit/test_wire_header test/unit/test_wire_open test/unit/test_wire_notification \
	test/unit/test_wire_update test/unit/test_wire_encode test/unit/test_wire_as_path \
	test/unit/test_wire_community
check_PROGRAMS += $(WIRE_TESTS)
TESTS += $(WIRE_TESTS)
WIRE_LDADD = bgpd/libwire.a $(LIB_BASE) $(CHECK_LIBS)
EXTRA_DIST += test/unit/wire_util.h
test_unit_test_wire_header_SOURCES = test/unit/test_wire_header.c
test_unit_test_wire_header_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_header_LDADD = $(WIRE_LDADD)
test_unit_test_wire_open_SOURCES = test/unit/test_wire_open.c
test_unit_test_wire_open_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_open_LDADD = $(WIRE_LDADD)
test_unit_test_wire_notification_SOURCES = test/unit/test_wire_notification.c
test_unit_test_wire_notification_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_notification_LDADD = $(WIRE_LDADD)
test_unit_test_wire_update_SOURCES = test/unit/test_wire_update.c
test_unit_test_wire_update_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_update_LDADD = $(WIRE_LDADD)
test_unit_test_wire_encode_SOURCES = test/unit/test_wire_encode.c
test_unit_test_wire_encode_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_encode_LDADD = $(WIRE_LDADD)
test_unit_test_wire_as_path_SOURCES = test/unit/test_wire_as_path.c
test_unit_test_wire_as_path_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_as_path_LDADD = $(WIRE_LDADD)
test_unit_test_wire_community_SOURCES = test/unit/test_wire_community.c
test_unit_test_wire_community_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_wire_community_LDADD = $(WIRE_LDADD)
