noinst_LIBRARIES += store/libstore.a
store_libstore_a_SOURCES = store/store.h store/model.c store/model.h store/model_kinds.c store/table.c \
	store/table.h store/file.c store/file.h store/directory.c store/check.c
