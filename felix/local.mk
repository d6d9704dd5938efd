noinst_LIBRARIES += felix/libfelix.a felix/libkernel.a
felix_libkernel_a_SOURCES = felix/links.c felix/links_select.c felix/links.h felix/plumb.c felix/plumb_pod.c \
	felix/plumb_impl.h felix/plumb.h felix/sysctl.c felix/sysctl.h felix/routes.c felix/routes_nl.c \
	felix/routes_nl.h felix/routes_core.c felix/routes_nh.c felix/routes_core.h felix/routes_impl.h \
	felix/routes.h
felix_libkernel_a_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
felix_libfelix_a_SOURCES = felix/bgpconf.c felix/bgpconf_peers.c felix/bgpconf_secret.c felix/bgpconf_impl.h felix/bgpconf.h \
	felix/services.c felix/services.h \
	felix/blocks.c felix/blocks.h felix/ippools.c felix/ippools.h
felix_libfelix_a_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS) $(MICROHTTPD_CFLAGS)
pkglibexec_PROGRAMS += felix/felix
felix_felix_SOURCES = felix/main.c
felix_felix_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
felix_felix_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
felix_felix_LDADD = felix/libfelix.a felix/libkernel.a ipam/libipam.a store/libstore.a $(LIB_NL) \
	$(LIB_LOOP) $(YAML_LIBS) $(MNL_LIBS) $(CRYPTO_LIBS) $(MICROHTTPD_LIBS) $(CURL_LIBS) $(JSON_LIBS) \
	$(EV_LIBS)
felix_libfelix_a_SOURCES += felix/endpoints.c felix/endpoint_files.c felix/endpoints.h \
	felix/cni_server.c felix/cni_work.c felix/cni_spool.c felix/cni_impl.h felix/cni_server.h \
	felix/bgp_link.c felix/bgp_link.h felix/ctl.c felix/ctl.h felix/desired.c felix/desired.h \
	felix/rebuild.c felix/rebuild.h felix/felix.c felix/felix.h \
	felix/felix_impl.h felix/felix_ready.c felix/felix_store.c felix/felix_kernel.c felix/felix_ask.c \
	felix/metrics.c felix/metrics.h felix/felix_metrics.c \
	felix/felix_kube.c felix/claims.c felix/claims_node.c felix/claims_leases.c felix/claims_pods.c felix/claims_pools.c felix/claims.h \
	felix/claims_impl.h felix/pod_probe.c felix/pod_probe.h felix/ipam_report.c felix/ipam_report.h felix/state_file.c felix/state_file.h \
	felix/bgp_saved.c felix/bgp_saved.h
# Policies as they are read, pure.
noinst_LIBRARIES += felix/libpolicy.a
felix_libpolicy_a_SOURCES = felix/policy/policy.c felix/policy/policy.h felix/policy/read.c felix/policy/read_impl.h \
	felix/policy/read_parts.c felix/policy/read_calico.c felix/policy/read_kubernetes.c \
	felix/policy/read_cluster.c felix/policy/read_sets.c
# The calc graph, pure.
felix_libpolicy_a_SOURCES += felix/policy/calc.c felix/policy/calc.h felix/policy/calc_impl.h \
	felix/policy/calc_hash.c felix/policy/calc_hash.h felix/policy/calc_policies.c \
	felix/policy/calc_rules.c felix/policy/calc_class.c felix/policy/calc_table.c \
	felix/policy/calc_rows.c felix/policy/calc_flush.c felix/policy/calc_why.c \
	felix/policy/ident.c felix/policy/ident.h felix/policy/ident_sets.c \
	felix/policy/ident_trie.c felix/policy/flatten.c felix/policy/flatten.h
# The policy dataplane.
felix_libkernel_a_SOURCES += felix/nft.c felix/nft.h felix/nft_impl.h felix/nft_commit.c felix/nft_layout.c \
	felix/nft_map.c felix/nft_msg.c felix/nft_msg.h felix/nft_read.c felix/nft_sock.c felix/nft_sock.h
