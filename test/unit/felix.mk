# check_PROGRAMS += test/unit/test_X
# TESTS += test/unit/test_X
# test_unit_test_X_SOURCES = test/unit/test_X.c
# test_unit_test_X_CPPFLAGS = $(UNIT_CPPFLAGS)
# test_unit_test_X_LDADD = ... $(CHECK_LIBS)
