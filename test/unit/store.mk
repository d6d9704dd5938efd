STORE_TESTS = test/unit/test_store_model test/unit/test_store_core test/unit/test_store_directory test/unit/test_store_check
check_PROGRAMS += $(STORE_TESTS)
TESTS += $(STORE_TESTS)
STORE_TEST_LIBS = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(EV_LIBS) $(CHECK_LIBS)
test_unit_test_store_model_SOURCES = test/unit/test_store_model.c test/unit/store_dir.h
test_unit_test_store_model_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_store_model_LDADD = $(STORE_TEST_LIBS)
test_unit_test_store_directory_SOURCES = test/unit/test_store_directory.c test/unit/store_dir.h
test_unit_test_store_directory_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_store_directory_LDADD = $(STORE_TEST_LIBS)
test_unit_test_store_check_SOURCES = test/unit/test_store_check.c test/unit/store_dir.h
test_unit_test_store_check_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_store_check_LDADD = $(STORE_TEST_LIBS)
test_unit_test_store_core_SOURCES = test/unit/test_store_core.c
test_unit_test_store_core_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_store_core_LDADD = $(STORE_TEST_LIBS)

# The Kubernetes maker: its pure parts here, the whole in test/api/test_store.py.
KUBE_TESTS = test/unit/test_json_split test/unit/test_reflector test/unit/test_pods \
	test/unit/test_ipamobj
check_PROGRAMS += $(KUBE_TESTS)
TESTS += $(KUBE_TESTS)
KUBE_LIBS = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(JSON_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) \
	$(EV_LIBS)
test_unit_test_json_split_SOURCES = test/unit/test_json_split.c
test_unit_test_json_split_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_json_split_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)
test_unit_test_reflector_SOURCES = test/unit/test_reflector.c
test_unit_test_reflector_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_reflector_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)
test_unit_test_pods_SOURCES = test/unit/test_pods.c
test_unit_test_pods_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_pods_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)
test_unit_test_ipamobj_SOURCES = test/unit/test_ipamobj.c
test_unit_test_ipamobj_CPPFLAGS = $(UNIT_CPPFLAGS) $(JSON_CFLAGS)
test_unit_test_ipamobj_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)
noinst_PROGRAMS += test/api/store_probe
test_api_store_probe_SOURCES = test/api/store_probe.c
test_api_store_probe_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
test_api_store_probe_LDADD = $(KUBE_LIBS)
EXTRA_DIST += test/api/test_store.py
