# Many nodes in one process against the suite's API server: test/api/test_scale.py drives it.
noinst_PROGRAMS += test/api/many_nodes
test_api_many_nodes_SOURCES = test/api/many_nodes.c
test_api_many_nodes_LDADD = ipam/libipam.a store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(JSON_LIBS) \
	$(CURL_LIBS) $(CRYPTO_LIBS) $(EV_LIBS)
EXTRA_DIST += test/api/test_scale.py test/bench/bench_kube.py
