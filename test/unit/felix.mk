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
check_PROGRAMS += test/unit/test_endpoints test/unit/test_desired test/unit/test_cni_server \
	test/unit/test_bgp_link
TESTS += test/unit/test_endpoints test/unit/test_desired test/unit/test_cni_server \
	test/unit/test_bgp_link
FELIX_TEST_LIBS = felix/libfelix.a felix/libkernel.a ipam/libipam.a store/libstore.a $(LIB_NL) \
	$(LIB_LOOP) $(YAML_LIBS) $(MNL_LIBS) $(CRYPTO_LIBS) $(EV_LIBS) $(CHECK_LIBS)
test_unit_test_endpoints_SOURCES = test/unit/test_endpoints.c
test_unit_test_endpoints_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_endpoints_LDADD = $(FELIX_TEST_LIBS)
test_unit_test_desired_SOURCES = test/unit/test_desired.c test/unit/store_dir.h
test_unit_test_desired_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_desired_LDADD = $(FELIX_TEST_LIBS)
test_unit_test_cni_server_SOURCES = test/unit/test_cni_server.c test/unit/cni_world.h
test_unit_test_cni_server_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_cni_server_LDADD = $(FELIX_TEST_LIBS)
test_unit_test_bgp_link_SOURCES = test/unit/test_bgp_link.c test/unit/netns.h
test_unit_test_bgp_link_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_bgp_link_LDADD = $(FELIX_TEST_LIBS)
check_PROGRAMS += test/unit/test_services test/unit/test_bgpconf_peers
TESTS += test/unit/test_services test/unit/test_bgpconf_peers
test_unit_test_services_SOURCES = test/unit/test_services.c test/unit/store_dir.h
test_unit_test_services_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_services_LDADD = $(test_unit_test_bgpconf_LDADD)
test_unit_test_bgpconf_peers_SOURCES = test/unit/test_bgpconf_peers.c test/unit/store_dir.h
test_unit_test_bgpconf_peers_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_bgpconf_peers_LDADD = $(test_unit_test_bgpconf_LDADD)
check_PROGRAMS += test/unit/test_cni_wait test/unit/test_ippools
TESTS += test/unit/test_cni_wait test/unit/test_ippools
test_unit_test_cni_wait_SOURCES = test/unit/test_cni_wait.c test/unit/cni_world.h
test_unit_test_cni_wait_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_cni_wait_LDADD = $(FELIX_TEST_LIBS)
test_unit_test_ippools_SOURCES = test/unit/test_ippools.c test/unit/store_dir.h
test_unit_test_ippools_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_ippools_LDADD = $(FELIX_TEST_LIBS)
check_PROGRAMS += test/unit/test_metrics test/unit/test_state_file
TESTS += test/unit/test_metrics test/unit/test_state_file
test_unit_test_metrics_SOURCES = test/unit/test_metrics.c
test_unit_test_metrics_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_metrics_LDADD = felix/libfelix.a $(LIB_BASE) $(MICROHTTPD_LIBS) $(EV_LIBS) \
	$(CHECK_LIBS)
test_unit_test_state_file_SOURCES = test/unit/test_state_file.c
test_unit_test_state_file_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_state_file_LDADD = felix/libfelix.a $(LIB_BASE) $(CHECK_LIBS)
check_PROGRAMS += test/unit/test_bgp_saved
TESTS += test/unit/test_bgp_saved
test_unit_test_bgp_saved_SOURCES = test/unit/test_bgp_saved.c
test_unit_test_bgp_saved_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_bgp_saved_LDADD = $(FELIX_TEST_LIBS)
check_PROGRAMS += test/unit/test_nft test/unit/test_nft_kernel
TESTS += test/unit/test_nft test/unit/test_nft_kernel
test_unit_test_nft_SOURCES = test/unit/test_nft.c
test_unit_test_nft_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_nft_LDADD = $(KERNEL_TEST_LIBS)
test_unit_test_nft_kernel_SOURCES = test/unit/test_nft_kernel.c test/unit/nft_lab.h test/unit/netns.h
test_unit_test_nft_kernel_CPPFLAGS = $(UNIT_CPPFLAGS) $(MNL_CFLAGS)
test_unit_test_nft_kernel_LDADD = $(KERNEL_TEST_LIBS)
