// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes the parsing of table lines: the input is a line.  If the line is
 * accepted, all values must be in bounds, and printing them as the status does
 * and parsing the result must give the same values (except for adopt_data,
 * which is not printed, as it applies only once).
 */
#include "fuzz.h"
#include "parse.h"

static void same(const struct hpm_pool_line *a, const struct hpm_pool_line *b)
{
	must(a->large_shift == b->large_shift);
	must(a->low_water == b->low_water);
	must(a->features.discard == b->features.discard);
	must(a->features.discard_passdown == b->features.discard_passdown);
	must(a->features.error_if_no_space == b->features.error_if_no_space);
	must(a->features.read_only == b->features.read_only);
	must(a->features.adopt_data == b->features.adopt_data);
	must(a->features.share == b->features.share);
}

static void say_again(const struct hpm_pool_line *line)
{
	const struct hpm_features *f = &line->features;
	char sectors[16], low[32], nr[4], *argv[16] = { "m", "d" }, *why;
	struct hpm_pool_line again;
	unsigned int n = 5;

	snprintf(sectors, sizeof(sectors), "%u",
		 HPM_BLOCK_SECTORS << line->large_shift);
	snprintf(low, sizeof(low), "%llu", line->low_water);
	argv[2] = sectors;
	argv[3] = low;
	argv[4] = nr;
	if (!f->discard)
		argv[n++] = "ignore_discard";
	if (!f->discard_passdown)
		argv[n++] = "no_discard_passdown";
	if (!f->error_if_no_space)
		argv[n++] = "queue_if_no_space";
	if (f->read_only)
		argv[n++] = "read_only";
	if (f->adopt_data)
		argv[n++] = "adopt_data";
	if (!f->share)
		argv[n++] = "no_sharing";
	snprintf(nr, sizeof(nr), "%u", n - 5);
	must(!hpm_parse_pool_line(n, argv, &again, &why));
	same(line, &again);
}

static void pool_line(unsigned int argc, char **argv)
{
	struct hpm_pool_line line;
	char *why = NULL;

	if (hpm_parse_pool_line(argc, argv, &line, &why)) {
		must(why && *why);
		return;
	}
	must(argc >= 4);
	must(line.large_shift >= HPM_MIN_LARGE_SHIFT);
	must(line.large_shift <= HPM_MAX_LARGE_SHIFT);
	say_again(&line);
}

static void volume_line(unsigned int argc, char **argv, u64 sectors)
{
	char *why = NULL;
	u32 id;

	if (hpm_parse_volume_line(argc, argv, sectors, &id, &why))
		must(why && *why);
	else
		must(argc == 2 && id <= HPM_MAX_VOLUME_ID);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *argv[FUZZ_WORDS];
	struct fuzz_line line;
	unsigned int argc;

	fuzz_begin(&line, data, size);
	while (fuzz_next(&line)) {
		argc = fuzz_words(&line, argv);
		pool_line(argc, argv);
		volume_line(argc, argv, 1ull << (argc * 7 % 64));
	}
	fuzz_end(&line);
	return 0;
}
