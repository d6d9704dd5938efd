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
check_PROGRAMS += test/unit/test_sync test/unit/test_sync_model test/unit/test_sync_scale \
	test/unit/test_sync_check test/unit/test_sync_state test/unit/test_collect \
	test/unit/test_sync_follow
TESTS += test/unit/test_sync test/unit/test_sync_model test/unit/test_sync_scale \
	test/unit/test_sync_check test/unit/test_sync_state test/unit/test_collect \
	test/unit/test_sync_follow
SYNC_LIBS = ipam/libipam.a $(LIB_CONF) $(YAML_LIBS) $(CRYPTO_LIBS) $(CHECK_LIBS)
test_unit_test_sync_SOURCES = test/unit/test_sync.c test/unit/sync_rig.h test/unit/sim_api.c \
	test/unit/sim_api.h
test_unit_test_sync_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_LDADD = $(SYNC_LIBS)
test_unit_test_sync_model_SOURCES = test/unit/test_sync_model.c test/unit/sync_world.c \
	test/unit/sync_world_check.c test/unit/sync_world_calico.c test/unit/sync_world.h \
	test/unit/sim_api.c test/unit/sim_api.h
test_unit_test_sync_model_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_model_LDADD = $(SYNC_LIBS)
test_unit_test_sync_scale_SOURCES = test/unit/test_sync_scale.c test/unit/sim_api.c \
	test/unit/sim_api.h
test_unit_test_sync_scale_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_scale_LDADD = $(SYNC_LIBS)
test_unit_test_sync_check_SOURCES = test/unit/test_sync_check.c
test_unit_test_sync_check_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_check_LDADD = $(SYNC_LIBS)
test_unit_test_sync_state_SOURCES = test/unit/test_sync_state.c
test_unit_test_sync_state_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_state_LDADD = $(SYNC_LIBS)
test_unit_test_collect_SOURCES = test/unit/test_collect.c test/unit/sync_rig.h test/unit/sim_api.c \
	test/unit/sim_api.h
test_unit_test_collect_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_collect_LDADD = $(SYNC_LIBS)
test_unit_test_sync_follow_SOURCES = test/unit/test_sync_follow.c test/unit/sync_rig.h \
	test/unit/sim_api.c test/unit/sim_api.h
test_unit_test_sync_follow_CPPFLAGS = $(UNIT_CPPFLAGS)
test_unit_test_sync_follow_LDADD = $(SYNC_LIBS)
