# libFuzzer targets; without --enable-fuzzers each is a program that replays and mutates its corpus (driver.c)
