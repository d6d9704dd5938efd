noinst_LIBRARIES += ipam/libipam.a
ipam_libipam_a_SOURCES = ipam/ipam.h ipam/ipam.c ipam/lease.c ipam/lease.h ipam/block.c \
	ipam/block.h ipam/blocks_compute.c ipam/journal.c ipam/journal.h ipam/journal_format.c \
	ipam/journal_format.h
