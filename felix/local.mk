noinst_LIBRARIES += felix/libfelix.a felix/libkernel.a
felix_libkernel_a_SOURCES = felix/plumb.h felix/routes.h felix/links.h
felix_libkernel_a_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
felix_libfelix_a_SOURCES =
felix_libfelix_a_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
pkglibexec_PROGRAMS += felix/felix
felix_felix_SOURCES = felix/main.c
felix_felix_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
felix_felix_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
felix_felix_LDADD = felix/libfelix.a felix/libkernel.a ipam/libipam.a store/libstore.a $(LIB_NL) \
	$(LIB_LOOP) $(YAML_LIBS) $(MNL_LIBS) $(CRYPTO_LIBS) $(EV_LIBS)
