noinst_LIBRARIES += nodectl/libnodectl.a
nodectl_libnodectl_a_SOURCES =
nodectl_libnodectl_a_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
bin_PROGRAMS += nodectl/nodectl
nodectl_nodectl_SOURCES = nodectl/main.c
nodectl_nodectl_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
nodectl_nodectl_LDADD = nodectl/libnodectl.a $(LIB_BASE) $(JSON_LIBS)
