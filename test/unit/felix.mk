# check_PROGRAMS += test/unit/test_X
# TESTS += test/unit/test_X
# test_unit_test_X_SOURCES = test/unit/test_X.c
# test_unit_test_X_CPPFLAGS = $(UNIT_CPPFLAGS)
# test_unit_test_X_LDADD = ... $(CHECK_LIBS)
check_PROGRAMS += test/unit/test_bgpconf
TESTS += test/unit/test_bgpconf
test_unit_test_bgpconf_SOURCES = test/unit/test_bgpconf.c test/unit/store_dir.h
test_unit_test_bgpconf_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_bgpconf_LDADD = felix/libfelix.a ipam/libipam.a store/libstore.a $(LIB_CONF) \
	$(YAML_LIBS) $(EV_LIBS) $(CHECK_LIBS)
check_PROGRAMS += test/unit/test_routes_core test/unit/test_routes_random \
	test/unit/test_routes_kernel test/unit/test_plumb test/unit/test_plumb_kernel
TESTS += test/unit/test_routes_core test/unit/test_routes_random test/unit/test_routes_kernel \
	test/unit/test_plumb test/unit/test_plumb_kernel
KERNEL_TEST_LIBS = felix/libkernel.a $(LIB_NL) $(LIB_BASE) $(MNL_LIBS) $(CRYPTO_LIBS) $(EV_LIBS) \
	$(CHECK_LIBS)
test_unit_test_routes_core_SOURCES = test/unit/test_routes_core.c test/unit/fake_kernel.h
test_unit_test_routes_core_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_routes_core_LDADD = $(KERNEL_TEST_LIBS)
test_unit_test_routes_random_SOURCES = test/unit/test_routes_random.c test/unit/fake_kernel.h
test_unit_test_routes_random_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_routes_random_LDADD = $(KERNEL_TEST_LIBS)
test_unit_test_routes_kernel_SOURCES = test/unit/test_routes_kernel.c test/unit/netns.h
test_unit_test_routes_kernel_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_routes_kernel_LDADD = $(KERNEL_TEST_LIBS)
test_unit_test_plumb_SOURCES = test/unit/test_plumb.c
test_unit_test_plumb_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_plumb_LDADD = $(KERNEL_TEST_LIBS)
test_unit_test_plumb_kernel_SOURCES = test/unit/test_plumb_kernel.c test/unit/netns.h
test_unit_test_plumb_kernel_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_plumb_kernel_LDADD = $(KERNEL_TEST_LIBS)
