noinst_LIBRARIES += bgpd/libbgpd.a bgpd/librib.a bgpd/libwire.a
bgpd_libwire_a_SOURCES = bgpd/wire/wire.h bgpd/wire/attr.h bgpd/wire/header.c bgpd/wire/error.c \
	bgpd/wire/open.c bgpd/wire/notify.c bgpd/wire/attr_table.c bgpd/wire/nlri.c \
	bgpd/wire/update_decode.c bgpd/wire/update_encode.c bgpd/wire/as_path.c \
	bgpd/wire/community.c
bgpd_librib_a_SOURCES = bgpd/rib/rib.h bgpd/rib/internal.h bgpd/rib/rib.c bgpd/rib/slab.c \
	bgpd/rib/slab.h bgpd/rib/bits.c bgpd/rib/bits.h bgpd/rib/hidx.c bgpd/rib/hidx.h \
	bgpd/rib/table.c bgpd/rib/table.h bgpd/rib/attr.c bgpd/rib/attr.h bgpd/rib/nexthop.c \
	bgpd/rib/nexthop.h bgpd/rib/decision.c bgpd/rib/decision.h bgpd/rib/outlog.c \
	bgpd/rib/outlog.h bgpd/rib/peer.c bgpd/rib/import.c bgpd/rib/select.c bgpd/rib/export.c \
	bgpd/rib/encode.c bgpd/rib/group.c bgpd/rib/member.c bgpd/rib/install.c bgpd/rib/query.c
bgpd_libbgpd_a_SOURCES = bgpd/bgpd.c bgpd/bgpd.h bgpd/conf.c bgpd/conf.h bgpd/ctl.c bgpd/ctl.h \
	bgpd/felix_link.c bgpd/felix_link.h bgpd/fsm.c bgpd/fsm.h bgpd/ifaces.c bgpd/ifaces.h \
	bgpd/linger.c bgpd/linger.h bgpd/listener.c bgpd/listener.h bgpd/peer.c bgpd/peer.h \
	bgpd/receive.c bgpd/receive.h bgpd/session.c bgpd/session.h bgpd/sockopt.c bgpd/sockopt.h \
	bgpd/transmit.c bgpd/transmit.h
pkglibexec_PROGRAMS += bgpd/bgpd
bgpd_bgpd_SOURCES = bgpd/main.c
bgpd_bgpd_LDFLAGS = $(AM_LDFLAGS) $(SEL_PIE_LDFLAGS)
bgpd_bgpd_LDADD = bgpd/libbgpd.a bgpd/librib.a bgpd/libwire.a $(LIB_LOOP) $(YAML_LIBS) $(EV_LIBS)
