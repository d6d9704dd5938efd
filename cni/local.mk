# The plugin is static: a dynamic one takes 10 times as long to start.
cnidir = $(libdir)/cni
noinst_LIBRARIES += cni/libcni.a
cni_libcni_a_SOURCES = cni/args.c cni/error.c cni/error.h cni/input.c cni/input.h cni/netns.c \
	cni/netns.h cni/plugin.c cni/plugin.h cni/result.c cni/result.h cni/spool.c cni/spool.h
cni_libcni_a_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
cni_PROGRAMS = cni/selvage
cni_selvage_SOURCES = cni/main.c
if SANITIZERS
cni_selvage_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
cni_selvage_LDADD = cni/libcni.a $(LIB_BASE) $(JSON_LIBS)
else
cni_selvage_LDFLAGS = $(AM_LDFLAGS) -static
cni_selvage_LDADD = cni/libcni.a $(LIB_BASE) -ljson-c
endif
