/* One program a module: UNIT_MAIN("name", tests...) makes main() of a list of START_TEST functions.
 * The last line it prints is check's "100%: Checks: N, Failures: 0, Errors: 0".
 */
#ifndef SELVAGE_TEST_UNIT_H
#define SELVAGE_TEST_UNIT_H

#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = { __VA_ARGS__ };                                      \
		Suite *s = suite_create(name);                                                     \
		TCase *tc = tcase_create(name);                                                    \
		tcase_set_timeout(tc, 60);                                                         \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                      \
			tcase_add_test(tc, tests[i]);                                              \
		suite_add_tcase(s, tc);                                                            \
		SRunner *sr = srunner_create(s);                                                   \
		srunner_run_all(sr, CK_NORMAL);                                                    \
		int failed = srunner_ntests_failed(sr);                                            \
		srunner_free(sr);                                                                  \
		return failed ? 1 : 0;                                                             \
	}

#endif
