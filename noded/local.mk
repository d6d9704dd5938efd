noinst_LIBRARIES += noded/libnoded.a
noded_libnoded_a_SOURCES = noded/access.c noded/access.h noded/access_exec.c \
	noded/access_exec.h noded/check.c noded/check.h noded/children.c noded/children.h \
	noded/control.c noded/control.h noded/dirs.c noded/dirs.h noded/listeners.c \
	noded/listeners.h noded/noded.c noded/noded.h noded/notify.c noded/notify.h \
	noded/options.c noded/options.h noded/portowner.c noded/portowner.h noded/setup.c \
	noded/setup.h noded/spawn.c noded/spawn.h noded/supervise.c noded/supervise.h
sbin_PROGRAMS += noded/noded
noded_noded_SOURCES = noded/main.c
noded_noded_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
noded_noded_LDADD = noded/libnoded.a $(LIB_LOOP) $(YAML_LIBS) $(EV_LIBS)
