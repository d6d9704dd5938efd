noinst_LIBRARIES += noded/libnoded.a
noded_libnoded_a_SOURCES =
sbin_PROGRAMS += noded/noded
noded_noded_SOURCES = noded/main.c
noded_noded_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
noded_noded_LDADD = noded/libnoded.a $(LIB_LOOP) $(YAML_LIBS) $(EV_LIBS)
