#include "config.h"

#include "fault_disk.h"
#include "unit.h"

enum { SMALL = 2048 };

static struct jrec key_rec(uint8_t type, unsigned id, char *name)
{
	sprintf(name, "c%u", id);
	return (struct jrec){
		.type = type, .network = "n", .container_id = name, .ifname = "eth0", .time = id
	};
}

static bool append(struct journal *j, unsigned id)
{
	char name[16];
	struct jrec r = key_rec(JREC_RELEASE, id, name);

	return journal_append(j, &r);
}

struct state {
	struct journal *j;
	unsigned first, last; /* what a snapshot writes */
	unsigned n, ids[256]; /* what was read */
};

static void fill(void *arg)
{
	struct state *s = arg;

	for (unsigned i = s->first; i <= s->last; i++)
		append(s->j, i);
}

static int collect(void *arg, const struct jrec *r, struct err *err)
{
	struct state *s = arg;

	(void)err;
	s->ids[s->n++] = (unsigned)r->time;
	return 0;
}

static int load(struct disk *d, struct state *s, struct err *err)
{
	struct jhdr h;

	s->j = journal_new(d->dirfd, &d->ops, SMALL);
	s->n = 0;
	return journal_load(s->j, &h, collect, s, err);
}

/* A journal with ids first..last, all durable. */
static void create(struct disk *d, struct state *s, unsigned first, unsigned last)
{
	struct err err;
	struct jhdr h = { .boot_id = "boot" };

	ck_assert_int_eq(load(d, s, &err), 0);
	ck_assert(journal_needs_snapshot(s->j));
	s->first = first;
	s->last = last;
	ck_assert_int_eq(journal_snapshot(s->j, &h, fill, s, &err), 0);
	ck_assert(!journal_needs_snapshot(s->j));
}

static void check_ids(struct disk *d, unsigned first, unsigned last)
{
	struct state s;
	struct err err;

	ck_assert_int_eq(load(d, &s, &err), 1);
	ck_assert_uint_eq(s.n, last - first + 1);
	for (unsigned i = 0; i < s.n; i++)
		ck_assert_uint_eq(s.ids[i], first + i);
	journal_free(s.j);
}

START_TEST(append_write_load)
{
	struct disk d;
	struct state s;
	struct err err;

	disk_init(&d);
	create(&d, &s, 1, 3);
	ck_assert(!journal_pending(s.j, true));
	ck_assert(append(s.j, 4));
	ck_assert(append(s.j, 5));
	ck_assert(journal_pending(s.j, false));
	check_ids(&d, 1, 3);
	ck_assert_int_eq(journal_write(s.j, false, &err), 0);
	ck_assert(!journal_pending(s.j, false));
	ck_assert(journal_pending(s.j, true));
	check_ids(&d, 1, 5);
	ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	ck_assert(!journal_pending(s.j, true));
	journal_free(s.j);
	check_ids(&d, 1, 5);
	disk_free(&d);
}
END_TEST

START_TEST(a_full_file_asks_for_a_snapshot)
{
	struct disk d;
	struct state s;
	struct err err;
	struct jhdr h = { .boot_id = "boot" };
	unsigned id = 2;

	disk_init(&d);
	create(&d, &s, 1, 1);
	for (; append(s.j, id) && !journal_needs_snapshot(s.j); id++)
		ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	ck_assert_uint_gt(id, 10);
	ck_assert_int_eq(journal_write(s.j, true, &err), -1);
	s.first = id - 5;
	s.last = id;
	ck_assert_int_eq(journal_snapshot(s.j, &h, fill, &s, &err), 0);
	ck_assert(append(s.j, id + 1));
	ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	journal_free(s.j);
	check_ids(&d, id - 5, id + 1);
	disk_free(&d);
}
END_TEST

START_TEST(an_unfinished_write_is_cut_for_good)
{
	static uint8_t image[DISK_MAX];
	struct disk d;
	struct state s;
	struct err err;

	disk_init(&d);
	create(&d, &s, 1, 2);
	append(s.j, 3);
	append(s.j, 4);
	append(s.j, 5);
	ck_assert_int_eq(journal_write(s.j, false, &err), 0);
	journal_free(s.j);
	size_t len = disk_get(&d, image);
	/* Sector order of a power cut: the third record is gone, 4 and 5 are there. */
	uint8_t *c3 = memmem(image, len, "c3", 3);
	ck_assert_ptr_nonnull(c3);
	*c3 = 'x';
	disk_put(&d, image, len);
	check_ids(&d, 1, 2);

	ck_assert_int_eq(load(&d, &s, &err), 1);
	append(s.j, 3); /* as long as the one before: 4 would follow it if it were still there */
	ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	journal_free(s.j);
	check_ids(&d, 1, 3);
	disk_free(&d);
}
END_TEST

START_TEST(damage_names_file_place_and_mend)
{
	static uint8_t image[DISK_MAX];
	struct disk d;
	struct state s;
	struct err err;

	disk_init(&d);
	create(&d, &s, 1, 2);
	for (unsigned id = 3; id < 6; id++) {
		append(s.j, id);
		ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	}
	journal_free(s.j);
	size_t len = disk_get(&d, image);
	uint8_t *c3 = memmem(image, len, "c3", 3);
	*c3 = 'x';
	disk_put(&d, image, len);
	ck_assert_int_eq(load(&d, &s, &err), -1);
	journal_free(s.j);
	ck_assert_ptr_nonnull(strstr(err.text, "ipam.journal: offset "));
	ck_assert_ptr_nonnull(strstr(err.text, "record 3 is damaged"));
	ck_assert_ptr_nonnull(strstr(err.text, "move the file out of state.dir"));
	/* Nothing was touched: a person can still look. */
	static uint8_t after[DISK_MAX];
	ck_assert_uint_eq(disk_get(&d, after), len);
	ck_assert_mem_eq(image, after, len);
	disk_free(&d);
}
END_TEST

START_TEST(what_is_no_journal)
{
	static uint8_t image[SMALL];
	struct jhdr h = { 99, 1, 0, "boot" };
	struct disk d;
	struct state s;
	struct err err;

	disk_init(&d);
	disk_put(&d, image, 0);
	ck_assert_int_eq(load(&d, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "ipam.journal: the file is empty"));
	journal_free(s.j);

	disk_put(&d, image, sizeof(image));
	ck_assert_int_eq(load(&d, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "header"));
	journal_free(s.j);

	jhdr_encode(&h, image);
	disk_put(&d, image, sizeof(image));
	ck_assert_int_eq(load(&d, &s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "version 99"));
	journal_free(s.j);
	disk_free(&d);
}
END_TEST

START_TEST(after_a_failed_sync_only_a_new_file_will_do)
{
	struct disk d;
	struct state s;
	struct err err;
	struct jhdr h = { .boot_id = "boot" };

	disk_init(&d);
	create(&d, &s, 1, 2);
	append(s.j, 3);
	d.cut = CUT_FAIL;
	d.errnum = EIO;
	d.cut_at = 1; /* the write succeeds, fdatasync does not */
	ck_assert_int_eq(journal_write(s.j, true, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "fdatasync"));
	ck_assert(journal_needs_snapshot(s.j));
	d.errnum = ENOSPC;
	s.last = 3;
	ck_assert_int_eq(journal_snapshot(s.j, &h, fill, &s, &err), -1);
	ck_assert_int_eq(err.code, ENOSPC);
	ck_assert(journal_needs_snapshot(s.j));
	d.cut = CUT_NEVER;
	ck_assert_int_eq(journal_snapshot(s.j, &h, fill, &s, &err), 0);
	ck_assert(!journal_needs_snapshot(s.j));
	append(s.j, 4);
	ck_assert_int_eq(journal_write(s.j, true, &err), 0);
	journal_free(s.j);
	check_ids(&d, 1, 4);
	disk_free(&d);
}
END_TEST

START_TEST(a_snapshot_that_fails_anywhere_leaves_one_whole_journal)
{
	struct err err;
	struct jhdr h = { .boot_id = "boot" };

	/* Steps: write, fsync, rename, fsync of the folder. */
	for (long step = 0; step < 4; step++) {
		for (unsigned part = 0; part <= 4; part++) {
			struct disk d;
			struct state s;

			disk_init(&d);
			create(&d, &s, 1, 2);
			d.cut = CUT_FAIL;
			d.errnum = EIO;
			d.cut_at = d.step + step;
			d.part = part;
			s.first = 2;
			s.last = 9;
			ck_assert_int_eq(journal_snapshot(s.j, &h, fill, &s, &err), -1);
			journal_free(s.j);
			d.cut = CUT_NEVER;
			if (step < 3)
				check_ids(&d, 1, 2);
			else
				check_ids(&d, 2, 9);
			disk_free(&d);
		}
	}
}
END_TEST

UNIT_MAIN("journal", append_write_load, a_full_file_asks_for_a_snapshot,
	  an_unfinished_write_is_cut_for_good, damage_names_file_place_and_mend, what_is_no_journal,
	  after_a_failed_sync_only_a_new_file_will_do,
	  a_snapshot_that_fails_anywhere_leaves_one_whole_journal)
