// SPDX-License-Identifier: GPL-2.0-only
/* hpmctl top: what pools and volumes do, second by second. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "err.h"
#include "iostat.h"
#include "out.h"
#include "progress.h"
#include "run.h"
#include "text.h"
#include "volume.h"

static struct {
	uint64_t count;
	double delay;
} want = { .delay = 1 };

static const struct opt top_opts[] = {
	{ "iterations", 'n', OPT_COUNT, &want.count, "N",
	  "stop after N updates (default: do not stop)" },
	{ "delay", 'd', OPT_SECONDS, &want.delay, "SECONDS",
	  "time between two updates (default: 1)" },
	{ 0 },
};

/* What a pool's cache has served so far. */
struct served {
	uint64_t hits, bytes;
};

/* A volume's or a pool's data device's counters at one moment. */
struct sample {
	char key[DM_NAME_MAX + 8];
	char num[DM_NUM_TEXT];
	struct iostat io;
	struct served served; /* pools only */
};

struct samples {
	struct sample *s;
	size_t nr, room;
	struct timespec when;
};

struct top {
	const char *pool; /* only this one, or NULL */
	struct samples old, now;
	json_t *pools;
	unsigned int shown;
};

/*----------------------------------------------------------------
 * Rates
 *--------------------------------------------------------------*/

struct rates {
	double reads, read_bytes, writes, written_bytes, discarded_bytes;
	double hits, saved_bytes;
};

static double per_second(uint64_t now, uint64_t then, double seconds)
{
	return now > then && seconds > 0 ? (double)(now - then) / seconds : 0;
}

static void get_rates(const struct iostat *now, const struct iostat *then,
		      double seconds, struct rates *r)
{
	r->reads = per_second(now->reads, then->reads, seconds);
	r->read_bytes = per_second(now->read_bytes, then->read_bytes, seconds);
	r->writes = per_second(now->writes, then->writes, seconds);
	r->written_bytes =
		per_second(now->written_bytes, then->written_bytes, seconds);
	r->discarded_bytes = per_second(now->discarded_bytes,
					then->discarded_bytes, seconds);
}

static const struct sample *find_sample(const struct samples *s,
					const char *key, const char *num)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (!strcmp(s->s[i].key, key) && !strcmp(s->s[i].num, num))
			return &s->s[i];
	return NULL;
}

static struct sample *add_sample(struct samples *s)
{
	if (s->nr == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct sample *more = reallocarray(s->s, room, sizeof(*more));

		if (!more) {
			(void)err_nomem();
			return NULL;
		}
		s->s = more;
		s->room = room;
	}
	return &s->s[s->nr++];
}

/*
 * Rates since the last sample; zero for a device that was not there then.
 * @served is NULL for devices without a cache.
 */
static int take_sample(struct top *t, const char *key, const char *num,
		       const struct served *served, struct rates *r)
{
	double seconds = seconds_between(&t->old.when, &t->now.when);
	struct sample *s = add_sample(&t->now);
	const struct sample *then;

	memset(r, 0, sizeof(*r));
	if (!s)
		return -1;
	(void)snprintf(s->key, sizeof(s->key), "%s", key);
	(void)snprintf(s->num, sizeof(s->num), "%s", num);
	s->served = served ? *served : (struct served){ 0 };
	if (iostat_read(num, &s->io)) {
		err_clear(); /* it was removed meanwhile */
		t->now.nr--;
		return 0;
	}
	then = find_sample(&t->old, key, num);
	if (!then)
		return 0;
	get_rates(&s->io, &then->io, seconds, r);
	r->hits = per_second(s->served.hits, then->served.hits, seconds);
	r->saved_bytes =
		per_second(s->served.bytes, then->served.bytes, seconds);
	return 0;
}

static json_t *rates_json(const struct rates *r)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "reads_per_s", r->reads,
			 "read_bytes_per_s", r->read_bytes, "writes_per_s",
			 r->writes, "written_bytes_per_s", r->written_bytes,
			 "discarded_bytes_per_s", r->discarded_bytes);
}

/*----------------------------------------------------------------
 * One screen
 *--------------------------------------------------------------*/

static const char *rate_text(double bytes, char out[SIZE_TEXT])
{
	(void)snprintf(out, SIZE_TEXT, "%.1f", bytes / 1e6);
	return out;
}

static void rates_row(struct table *t, const char *name, const char *size,
		      const char *mapped, const struct rates *r)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], d[SIZE_TEXT];

	(void)snprintf(a, sizeof(a), "%.0f", r->reads);
	(void)snprintf(c, sizeof(c), "%.0f", r->writes);
	table_row(t, name, size, mapped, a, rate_text(r->read_bytes, b), c,
		  rate_text(r->written_bytes, d));
}

static void print_head(const struct pool *pool, const struct pool_status *st)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], d[SIZE_TEXT];
	static const char *const keys[] = { "volumes", "cow_blocks", "hops",
					    "commits", "checkpoints" };
	size_t i;

	printf("%s  %s%s  data %s of %s  metadata %s of %s", pool->name,
	       st->mode, st->needs_check ? " needs check" : "",
	       size_text(st->data_used, a), size_text(st->data_total, b),
	       size_text(st->meta_used, c), size_text(st->meta_total, d));
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		printf("  %s %llu", keys[i],
		       (unsigned long long)pool_status_value(st, keys[i]));
	putchar('\n');
}

static void served_by(const struct pool_status *st, struct served *served)
{
	served->hits = pool_status_value(st, "hits");
	served->bytes = pool_status_value(st, "not_read");
}

/*
 * Prints what is cached and what that saves; prints nothing if the pool does
 * not share.
 */
static void print_cache(const struct pool_status *st, const struct rates *r)
{
	char rate[SIZE_TEXT], saved[SIZE_TEXT];

	if (!pool_status_value(st, "entered"))
		return;
	printf("cache  %llu copies of %llu blocks  %llu evicted  %llu hits (%.0f/s)  %s not read (%s MB/s)\n",
	       (unsigned long long)pool_status_value(st, "copies"),
	       (unsigned long long)pool_status_value(st, "blocks"),
	       (unsigned long long)pool_status_value(st, "evicted"),
	       (unsigned long long)pool_status_value(st, "hits"), r->hits,
	       size_text(pool_status_value(st, "not_read"), saved),
	       rate_text(r->saved_bytes, rate));
}

static json_t *pool_rates_json(const struct rates *r)
{
	json_t *o = rates_json(r);

	(void)json_object_set_new(o, "cache_hits_per_s", json_real(r->hits));
	(void)json_object_set_new(o, "cache_bytes_per_s",
				  json_real(r->saved_bytes));
	return o;
}

static int volume_rates(struct top *t, const struct pool *pool,
			const struct volumes *vols, struct table *table,
			json_t *array)
{
	char label[HPM_NAME_SIZE], size[SIZE_TEXT], mapped[SIZE_TEXT];
	struct rates r;
	size_t i;

	for (i = 0; i < vols->nr; i++) {
		const struct volume *v = &vols->v[i];
		json_t *o;

		if (!v->device[0])
			continue;
		if (take_sample(t, v->device, v->num, NULL, &r))
			return -1;
		rates_row(table, volume_label(v, label),
			  size_text(v->bytes, size),
			  size_text(v->mapped, mapped), &r);
		if (!array)
			continue;
		o = volume_json(pool, vols, v);
		(void)json_object_set_new(o, "rates", rates_json(&r));
		(void)json_array_append_new(array, o);
	}
	return 0;
}

static int pool_screen(struct top *t, const struct pool *pool,
		       const struct pool_status *st, struct volumes *vols)
{
	static const char *const header[] = { "VOLUME",	 ">SIZE", ">MAPPED",
					      ">READ/s", ">MB/s", ">WRITE/s",
					      ">MB/s" };
	struct table *table = table_new(header, 7);
	json_t *array = want_json ? json_array() : NULL, *o;
	struct served served;
	struct rates r;
	int ret = 0;

	served_by(st, &served);
	if (!table || take_sample(t, pool->name, pool->data, &served, &r) ||
	    volume_rates(t, pool, vols, table, array)) {
		ret = -1;
	} else if (array) {
		o = pool_json(pool, st);
		(void)json_object_set_new(o, "data_rates", pool_rates_json(&r));
		(void)json_object_set_new(o, "active_volumes",
					  json_incref(array));
		(void)json_array_append_new(t->pools, o);
	} else {
		print_head(pool, st);
		print_cache(st, &r);
		rates_row(table, "(data device)", "", "", &r);
		table_print(table, "");
	}
	json_decref(array);
	table_free(table);
	return ret;
}

static int show_pool(struct pool *pool, void *ctx)
{
	struct top *t = ctx;
	struct pool_status st;
	struct volumes vols;
	int ret;

	if (t->pool && strcmp(t->pool, pool->name) != 0)
		return 0;
	if (pool_get_status(pool, false, &st))
		return -1;
	t->shown++;
	ret = volumes_read(pool, &vols);
	if (!ret) {
		ret = volumes_find_devices(pool, &vols) ||
		      pool_screen(t, pool, &st, &vols);
		volumes_free(&vols);
	}
	pool_status_free(&st);
	return ret ? -1 : 0;
}

static int show_all(struct top *t)
{
	t->shown = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &t->now.when);
	if (want_json)
		t->pools = json_array();
	else if (isatty(STDOUT_FILENO))
		printf("\033[H\033[J");
	if (pool_each(show_pool, t)) {
		json_decref(t->pools);
		return -1;
	}
	if (!t->shown && t->pool) {
		json_decref(t->pools);
		return err_say(ST_NOT_FOUND, "there is no active pool %s",
			       t->pool);
	}
	if (want_json &&
	    out_stream(json_pack("{s:f, s:o}", "time", (double)time(NULL),
				 "pools", t->pools)))
		return -1;
	if (!t->shown && !want_json)
		puts("There is no active pool.");
	return out_flush();
}

/* The new samples become the old ones. */
static void turn(struct top *t)
{
	struct samples old = t->old;

	t->old = t->now;
	t->now = old;
	t->now.nr = 0;
}

static void wait_a_while(void)
{
	struct timespec ts = {
		.tv_sec = (time_t)want.delay,
		.tv_nsec =
			(long)((want.delay - (double)(time_t)want.delay) * 1e9),
	};

	(void)nanosleep(&ts, NULL);
}

/*
 * The first screen has no rates.  So with -n, one set of samples is taken
 * before it without output: "top -n 1" shows the second that it takes.
 */
static int quiet_sample(struct pool *pool, void *ctx)
{
	struct top *t = ctx;
	struct served served;
	struct pool_status st;
	struct volumes vols;
	struct rates r;
	size_t i;
	int ret;

	if (t->pool && strcmp(t->pool, pool->name) != 0)
		return 0;
	if (pool_get_status(pool, false, &st))
		return -1;
	served_by(&st, &served);
	pool_status_free(&st);
	if (volumes_read(pool, &vols))
		return -1;
	ret = volumes_find_devices(pool, &vols) ||
	      take_sample(t, pool->name, pool->data, &served, &r);
	for (i = 0; !ret && i < vols.nr; i++)
		if (vols.v[i].device[0])
			ret = take_sample(t, vols.v[i].device, vols.v[i].num,
					  NULL, &r);
	volumes_free(&vols);
	return ret ? -1 : 0;
}

static int begin(struct top *t)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &t->now.when);
	if (pool_each(quiet_sample, t))
		return -1;
	turn(t);
	wait_a_while();
	return 0;
}

static int top(char **args, int nr)
{
	struct top t = { .pool = nr ? args[0] : NULL };
	uint64_t n;
	struct pool pool;
	int ret;

	catch_signals();
	ret = (t.pool && pool_get(t.pool, &pool)) || begin(&t) ? -1 : 0;
	for (n = 0; !ret && !interrupted(); n++) {
		ret = show_all(&t);
		turn(&t);
		if (want.count && n + 1 >= want.count)
			break;
		if (!ret)
			wait_a_while();
	}
	free(t.old.s);
	free(t.now.s);
	return ret;
}

const struct cmd top_cmd = {
	.verb = "top",
	.args = "[POOL]",
	.max_args = 1,
	.summary = "show live statistics of pools and active volumes",
	.more = "With --json, one document a line.  Ends with ^C.\n",
	.examples = "  hpmctl top\n"
		    "  hpmctl top fast -d 5\n"
		    "  hpmctl top fast -n 1 --json\n",
	.opts = top_opts,
	.run = top,
};
