noinst_LIBRARIES += ipam/libipam.a
ipam_libipam_a_SOURCES = ipam/ipam.h
