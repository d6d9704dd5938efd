check_PROGRAMS += test/unit/test_journal_format test/unit/test_journal test/unit/test_block \
	test/unit/test_blocks_compute test/unit/test_ipam
TESTS += test/unit/test_journal_format test/unit/test_journal test/unit/test_block \
	test/unit/test_blocks_compute test/unit/test_ipam
test_unit_test_journal_format_SOURCES = test/unit/test_journal_format.c
test_unit_test_journal_format_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_journal_format_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_journal_SOURCES = test/unit/test_journal.c test/unit/fault_disk.h
test_unit_test_journal_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_journal_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_block_SOURCES = test/unit/test_block.c
test_unit_test_block_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_block_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_blocks_compute_SOURCES = test/unit/test_blocks_compute.c
test_unit_test_blocks_compute_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_blocks_compute_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
test_unit_test_ipam_SOURCES = test/unit/test_ipam.c test/unit/fault_disk.h
test_unit_test_ipam_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_ipam_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
check_PROGRAMS += test/unit/test_ipam_want
TESTS += test/unit/test_ipam_want
test_unit_test_ipam_want_SOURCES = test/unit/test_ipam_want.c test/unit/fault_disk.h
test_unit_test_ipam_want_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_ipam_want_LDADD = ipam/libipam.a $(LIB_BASE) $(CHECK_LIBS)
