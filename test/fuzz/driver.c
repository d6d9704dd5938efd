/* The main() of a fuzz target that is built without libFuzzer: replays the files of its corpus,
 * then runs a fixed number of mutations of them. The same seed gives the same inputs, so a failure
 * repeats.
 *
 *   fuzz_X [-n MUTATIONS] [-s SEED] [CORPUS_DIRECTORY]
 *
 * Without a directory, FUZZ_CORPUS/X is taken. What made the target fail is left in crash-fuzz_X in
 * the working directory; "fuzz_X -n 0 DIRECTORY" replays it alone.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = 64 * 1024, RUNS_DEFAULT = 200000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

struct seed {
	uint8_t *data;
	size_t len;
};

/* Kept for the handler of a crash. */
static struct {
	const char *name;
	const uint8_t *data;
	size_t len;
	long run;
} now;

static uint64_t rng;

/* xorshift64* (Marsaglia, Vigna). */
static uint32_t rnd(uint32_t below)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (uint32_t)((rng * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

static void save_input(void)
{
	static char path[256], said[512];
	int fd, n;

	snprintf(path, sizeof(path), "crash-%s", now.name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, now.data, now.len) != (ssize_t)now.len)
		path[0] = '\0';
	n = snprintf(said, sizeof(said), "%s: failed at input %ld of %zu bytes, kept in %s\n",
		     now.name, now.run, now.len, path[0] ? path : "no file");
	if (write(STDERR_FILENO, said, (size_t)n) < 0)
		_exit(1);
}

static void on_signal(int sig)
{
	save_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* A copy of exactly that size, so that a sanitizer or valgrind sees one byte too far. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	if (len)
		memcpy(copy, data, len);
	now.data = copy;
	now.len = len;
	now.run++;
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int read_seed(const char *dir, const char *name, struct seed *out)
{
	char path[4096];
	struct stat st;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -1;
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return -1;
	f = fopen(path, "rb");
	if (!f)
		return -1;
	out->data = malloc(INPUT_MAX);
	if (!out->data)
		abort();
	out->len = fread(out->data, 1, INPUT_MAX, f);
	fclose(f);
	return 0;
}

/* In the order of their names, so that every machine runs the same inputs. */
static struct seed *read_corpus(const char *dir, size_t *count)
{
	struct dirent **names;
	struct seed *seeds;
	int n = scandir(dir, &names, NULL, alphasort);

	*count = 0;
	if (n < 0)
		return NULL;
	seeds = calloc((size_t)n + 1, sizeof(*seeds));
	if (!seeds)
		abort();
	for (int i = 0; i < n; i++) {
		if (!read_seed(dir, names[i]->d_name, &seeds[*count]))
			++*count;
		free(names[i]);
	}
	free(names);
	return seeds;
}

static void put_number(uint8_t *at, size_t left)
{
	static const uint32_t values[] = { 0,	  1,	  2,	      0x7f,	  0x80,	     0xff,
					   0x100, 0x7fff, 0x8000,     0xffff,	  0x10000,   4,
					   16,	  19,	  0x7fffffff, 0x80000000, 0xffffffff };
	uint32_t v = values[rnd(sizeof(values) / sizeof(values[0]))];
	size_t n = (size_t)1 << rnd(3);

	for (; n > left; n /= 2)
		;
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static size_t cut_out(uint8_t *buf, size_t len, size_t at)
{
	size_t n = 1 + rnd((uint32_t)(len - at < 16 ? len - at : 16));

	memmove(buf + at, buf + at + n, len - at - n);
	return len - n;
}

static size_t put_in(uint8_t *buf, size_t len, size_t at, const struct seed *from)
{
	size_t n = 1 + rnd(32), pos;

	if (n > from->len || len + n > INPUT_MAX)
		return len;
	pos = rnd((uint32_t)(from->len - n + 1));
	memmove(buf + at + n, buf + at, len - at);
	memcpy(buf + at, from->data + pos, n);
	return len + n;
}

static size_t mutate(uint8_t *buf, size_t len, const struct seed *other)
{
	size_t at;

	if (!len)
		return put_in(buf, len, 0, other);
	/* Half of the changes near the start, where lengths and types stand. */
	at = rnd(2) ? rnd((uint32_t)len) : rnd((uint32_t)(len < 32 ? len : 32));
	switch (rnd(7)) {
	case 0:
		buf[at] ^= (uint8_t)(1u << rnd(8));
		break;
	case 1:
		buf[at] = (uint8_t)rnd(256);
		break;
	case 2:
		put_number(buf + at, len - at);
		break;
	case 3:
		return cut_out(buf, len, at);
	case 4:
		return put_in(buf, len, at, other);
	case 5:
		buf[at] = (uint8_t)(buf[at] + (rnd(2) ? 1 : -1));
		break;
	default:
		return at; /* a message that ends early */
	}
	return len;
}

static void mutate_all(const struct seed *seeds, size_t count, long runs)
{
	uint8_t *buf = malloc(INPUT_MAX);
	const struct seed *s;
	size_t len;

	if (!buf)
		abort();
	for (long i = 0; i < runs; i++) {
		s = &seeds[rnd((uint32_t)count)];
		len = s->len;
		memcpy(buf, s->data, len);
		for (uint32_t k = 1 + rnd(4); k; k--)
			len = mutate(buf, len, &seeds[rnd((uint32_t)count)]);
		run(buf, len);
	}
	free(buf);
}

static int usage(void)
{
	fprintf(stderr, "usage: %s [-n MUTATIONS] [-s SEED] [CORPUS_DIRECTORY]\n", now.name);
	return 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	static const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	long runs = RUNS_DEFAULT;
	char dir[4096];
	struct seed *seeds;
	size_t count;
	int opt;

	now.name = base_name(argv[0]);
	rng = 1;
	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		if (opt == 'n')
			runs = strtol(optarg, NULL, 10);
		else if (opt == 's')
			rng = strtoull(optarg, NULL, 10);
		else
			return usage();
	}
	if (!rng || runs < 0 || argc - optind > 1)
		return usage();
	snprintf(dir, sizeof(dir), "%s/%s", FUZZ_CORPUS,
		 strncmp(now.name, "fuzz_", 5) ? now.name : now.name + 5);
	if (optind < argc)
		snprintf(dir, sizeof(dir), "%s", argv[optind]);
	seeds = read_corpus(dir, &count);
	if (!seeds || !count) {
		fprintf(stderr,
			"%s: %s: no corpus there: give a directory with at least one file\n",
			now.name, dir);
		return 1;
	}
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], on_signal);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(save_input);
	for (size_t i = 0; i < count; i++)
		run(seeds[i].data, seeds[i].len);
	mutate_all(seeds, count, runs);
	for (size_t i = 0; i < count; i++)
		free(seeds[i].data);
	free(seeds);
	printf("%s: %zu files and %ld mutations, no failure\n", now.name, count, runs);
	return 0;
}
