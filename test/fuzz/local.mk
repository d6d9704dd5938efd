# Fuzz targets: test/fuzz/fuzz_X.c defines LLVMFuzzerTestOneInput(); its seeds are the files of
# test/fuzz/corpus/X/. In an ordinary build each is a test program: driver.c replays the seeds and then a fixed
# number of mutations of them with a fixed seed. With --enable-fuzzers (clang) it is a libFuzzer
# program, which is run by hand: test/fuzz/fuzz_X test/fuzz/corpus/X
#
# A new target: one name in FUZZ_TARGETS, four lines like fuzz_msg's, and a corpus.
FUZZ_TARGETS = test/fuzz/fuzz_msg test/fuzz/fuzz_update
FUZZ_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_CORPUS='"$(abs_top_srcdir)/test/fuzz/corpus"'
check_PROGRAMS += $(FUZZ_TARGETS)
if FUZZERS
FUZZ_DRIVER =
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
FUZZ_DRIVER = test/fuzz/driver.c
FUZZ_LINK = $(AM_LDFLAGS)
TESTS += $(FUZZ_TARGETS)
endif
EXTRA_DIST += test/fuzz/corpus

test_fuzz_fuzz_msg_SOURCES = test/fuzz/fuzz_msg.c $(FUZZ_DRIVER)
test_fuzz_fuzz_msg_CPPFLAGS = $(FUZZ_CPPFLAGS)
test_fuzz_fuzz_msg_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_msg_LDADD = $(LIB_BASE)

test_fuzz_fuzz_update_SOURCES = test/fuzz/fuzz_update.c $(FUZZ_DRIVER)
test_fuzz_fuzz_update_CPPFLAGS = $(FUZZ_CPPFLAGS)
test_fuzz_fuzz_update_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_update_LDADD = bgpd/libwire.a $(LIB_BASE)

FUZZ_TARGETS += test/fuzz/fuzz_conf
test_fuzz_fuzz_conf_SOURCES = test/fuzz/fuzz_conf.c $(FUZZ_DRIVER)
test_fuzz_fuzz_conf_CPPFLAGS = $(FUZZ_CPPFLAGS)
test_fuzz_fuzz_conf_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_conf_LDADD = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(EV_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_kubeconfig
test_fuzz_fuzz_kubeconfig_SOURCES = test/fuzz/fuzz_kubeconfig.c $(FUZZ_DRIVER)
test_fuzz_fuzz_kubeconfig_CPPFLAGS = $(FUZZ_CPPFLAGS)
test_fuzz_fuzz_kubeconfig_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_kubeconfig_LDADD = $(LIB_CONF) $(YAML_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_kube
test_fuzz_fuzz_kube_SOURCES = test/fuzz/fuzz_kube.c $(FUZZ_DRIVER)
test_fuzz_fuzz_kube_CPPFLAGS = $(FUZZ_CPPFLAGS) $(JSON_CFLAGS)
test_fuzz_fuzz_kube_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_kube_LDADD = store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(JSON_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) \
	$(EV_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_policy
test_fuzz_fuzz_policy_SOURCES = test/fuzz/fuzz_policy.c $(FUZZ_DRIVER)
test_fuzz_fuzz_policy_CPPFLAGS = $(FUZZ_CPPFLAGS)
test_fuzz_fuzz_policy_LDFLAGS = $(FUZZ_LINK)
test_fuzz_fuzz_policy_LDADD = felix/libpolicy.a store/libstore.a $(LIB_CONF) $(YAML_LIBS) $(EV_LIBS)
