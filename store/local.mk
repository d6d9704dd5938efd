noinst_LIBRARIES += store/libstore.a
store_libstore_a_SOURCES = store/store.h store/model.c store/model.h store/model_kinds.c store/model_core.c store/table.c \
	store/table.h store/file.c store/file.h store/directory.c store/check.c
store_libstore_a_SOURCES += store/kube_http.c store/kube_http.h store/kube_http_impl.h \
	store/kube_http_curl.c store/kube_http_servers.c store/kube_http_error.c \
	store/kube_http_error.h store/kube_path.c \
	store/kube_path.h store/backoff.c store/backoff.h
store_libstore_a_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS) $(CURL_CFLAGS)
store_libstore_a_SOURCES += store/store.c store/store_impl.h store/ipam_api.h store/pods.c \
	store/pods.h store/json_split.c store/json_split.h store/reflector.c store/reflector.h \
	store/kube.c store/kube_impl.h store/kube_stream.c store/kube_stream.h store/kube_feed.c \
	store/kube_discovery.c store/kube_decode.c store/kube_decode.h store/kube_write.c \
	store/kube_write.h store/kube_ipam.c store/kube_pods.c store/ipamobj_json.c store/ipamobj_json.h
