#ifndef SELVAGE_TEST_CALC_BENCH_H
#define SELVAGE_TEST_CALC_BENCH_H

/* Prints what the calc graph takes with 100,000 pods and 10,000 policies; asserts nothing. */
void calc_bench(void);

#endif
