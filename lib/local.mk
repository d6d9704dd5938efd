# libbase: no loop, no library; what even the static plugin links.
noinst_LIBRARIES += lib/libbase.a lib/libloop.a lib/libconf.a lib/libnl.a lib/libsandbox.a
lib_libbase_a_SOURCES = lib/err.c lib/err.h lib/log.c lib/log.h lib/bytes.h lib/prefix.c \
	lib/prefix.h lib/arena.c lib/arena.h lib/msg.c lib/msg_table.c lib/msg_def.h lib/msg.h \
	lib/ipc_sync.c lib/ipc_packet.h lib/ipc.h lib/utf8.h
lib_libloop_a_SOURCES = lib/ipc.c lib/child.c lib/child.h
lib_libconf_a_SOURCES = lib/node.h lib/yaml.c lib/schema.c lib/schema.h lib/nodeconf.c \
	lib/nodeconf_fields.c lib/nodeconf.h lib/selector.c lib/selector.h \
	lib/kubeconfig.c lib/kubeconfig.h lib/kube_access.c lib/kube_impl.h \
	lib/ipamobj.c lib/ipamobj_copy.c lib/ipamobj.h
lib_libconf_a_CPPFLAGS = $(AM_CPPFLAGS) $(YAML_CFLAGS)
lib_libnl_a_SOURCES = lib/nl.c lib/nl_batch.c lib/nl_events.c lib/nl.h lib/nl_impl.h
lib_libnl_a_CPPFLAGS = $(AM_CPPFLAGS) $(MNL_CFLAGS)
lib_libsandbox_a_SOURCES = lib/sandbox.c lib/sandbox.h

LIB_BASE = lib/libbase.a
LIB_CONF = lib/libconf.a $(LIB_BASE)
LIB_LOOP = lib/libloop.a lib/libsandbox.a $(LIB_CONF)
LIB_NL = lib/libnl.a
