/* Logging: logfmt to stderr, one line an event, which journald or a terminal takes.
 *
 *   time=2026-01-31T09:00:00.123Z level=info proc=bgpd sub=session peer=tor1 msg="established"
 *
 * The level is one for the process and can be raised or lowered for one subsystem at run time.
 * Passwords, tokens and CNI's standard input are never logged.
 */
#ifndef SELVAGE_LIB_LOG_H
#define SELVAGE_LIB_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* proc is the process's name, kept by reference. Call once, before the first line. */
void log_init(const char *proc, enum log_level level);

/* sub NULL: the whole process. Unknown subsystems are remembered, up to 32. */
void log_set_level(const char *sub, enum log_level level);

/* "error", "warn", "info", "debug" -> level; -1 for any other text. */
int log_level_parse(const char *text);
const char *log_level_name(enum log_level level);

bool log_enabled(enum log_level level, const char *sub);

/* One line about no object in particular. */
void log_msg(enum log_level level, const char *sub, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* One line about an object: key=value stands before msg, quoted where needed. */
void log_obj(enum log_level level, const char *sub, const char *key, const char *value,
	     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#define log_error(sub, ...) log_msg(LOG_ERROR, sub, __VA_ARGS__)
#define log_warn(sub, ...) log_msg(LOG_WARN, sub, __VA_ARGS__)
#define log_info(sub, ...) log_msg(LOG_INFO, sub, __VA_ARGS__)
#define log_debug(sub, ...)                                                                        \
	do {                                                                                       \
		if (log_enabled(LOG_DEBUG, sub))                                                   \
			log_msg(LOG_DEBUG, sub, __VA_ARGS__);                                      \
	} while (0)

#endif
