CONF_TESTS = test/unit/test_yaml test/unit/test_schema test/unit/test_nodeconf test/unit/test_selector \
	test/unit/test_kubeconfig
check_PROGRAMS += $(CONF_TESTS)
TESTS += $(CONF_TESTS)
test_unit_test_yaml_SOURCES = test/unit/test_yaml.c
test_unit_test_yaml_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_yaml_LDADD = $(LIB_CONF) $(YAML_LIBS) $(CHECK_LIBS)
test_unit_test_schema_SOURCES = test/unit/test_schema.c
test_unit_test_schema_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_schema_LDADD = $(LIB_CONF) $(YAML_LIBS) $(CHECK_LIBS)
test_unit_test_nodeconf_SOURCES = test/unit/test_nodeconf.c
test_unit_test_nodeconf_CPPFLAGS = $(UNIT_CPPFLAGS) -DMANDIR='"$(abs_top_srcdir)/man"'
test_unit_test_nodeconf_LDADD = $(LIB_CONF) $(YAML_LIBS) $(CHECK_LIBS)
test_unit_test_selector_SOURCES = test/unit/test_selector.c
test_unit_test_selector_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_selector_LDADD = $(LIB_CONF) $(YAML_LIBS) $(CHECK_LIBS)
test_unit_test_kubeconfig_SOURCES = test/unit/test_kubeconfig.c
test_unit_test_kubeconfig_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_kubeconfig_LDADD = $(LIB_CONF) $(YAML_LIBS) $(CHECK_LIBS)
