noinst_LIBRARIES += bgpd/libbgpd.a bgpd/librib.a bgpd/libwire.a
bgpd_libwire_a_SOURCES = bgpd/wire/wire.h
bgpd_librib_a_SOURCES = bgpd/rib/rib.h
bgpd_libbgpd_a_SOURCES =
pkglibexec_PROGRAMS += bgpd/bgpd
bgpd_bgpd_SOURCES = bgpd/main.c
bgpd_bgpd_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
bgpd_bgpd_LDADD = bgpd/libbgpd.a bgpd/librib.a bgpd/libwire.a $(LIB_LOOP) $(YAML_LIBS) $(EV_LIBS)
