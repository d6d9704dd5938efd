noinst_LIBRARIES += nodectl/libnodectl.a
nodectl_libnodectl_a_SOURCES = nodectl/cli.c nodectl/nodectl.h nodectl/client.c nodectl/client.h \
	nodectl/rows.c nodectl/rows.h nodectl/json.c nodectl/json.h nodectl/table.c nodectl/table.h \
	nodectl/status.c nodectl/peers.c nodectl/routes.c nodectl/ipam.c nodectl/ipam_check.c nodectl/endpoints.c \
	nodectl/log.c nodectl/version.c
nodectl_libnodectl_a_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
bin_PROGRAMS += nodectl/nodectl
nodectl_nodectl_SOURCES = nodectl/main.c
nodectl_nodectl_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
nodectl_nodectl_LDADD = nodectl/libnodectl.a $(LIB_BASE) $(JSON_LIBS)
