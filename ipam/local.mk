noinst_LIBRARIES += ipam/libipam.a
ipam_libipam_a_SOURCES = ipam/ipam.h ipam/ipam_impl.h ipam/ipam.c ipam/assign.c ipam/lease.c ipam/lease.h ipam/block.c \
	ipam/block.h ipam/blocks_compute.c ipam/journal.c ipam/journal.h ipam/journal_format.c \
	ipam/journal_format.h ipam/sync.c ipam/sync.h ipam/sync_input.c ipam/sync_status.c \
	ipam/sync_impl.h ipam/sync_block.c ipam/sync_follow.c ipam/sync_handle.c ipam/sync_claim.c \
	ipam/sync_gate.c ipam/sync_gate.h ipam/sync_obj.c ipam/sync_obj.h ipam/sync_state.c \
	ipam/sync_state.h ipam/sync_check.c ipam/sync_check.h ipam/collect.c ipam/collect.h \
	ipam/collect_job.c ipam/collect_impl.h
