# The HTTP client of the Kubernetes store: its pure parts here, the whole in test/api/test_http.py.
check_PROGRAMS += test/unit/test_kube_http
TESTS += test/unit/test_kube_http
test_unit_test_kube_http_SOURCES = test/unit/test_kube_http.c
test_unit_test_kube_http_CPPFLAGS = $(UNIT_CPPFLAGS) $(CURL_CFLAGS)
test_unit_test_kube_http_LDADD = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(EV_LIBS) $(CURL_LIBS) \
	$(CHECK_LIBS)
noinst_PROGRAMS += test/api/http_probe
test_api_http_probe_SOURCES = test/api/http_probe.c
test_api_http_probe_LDADD = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(JSON_LIBS) $(EV_LIBS) \
	$(CURL_LIBS)
EXTRA_DIST += test/api/test_http.py
