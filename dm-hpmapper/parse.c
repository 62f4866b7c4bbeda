// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parses table lines and messages.
 */
#include "metadata-pool.h"
#include "parse.h"

/*
 *----------------------------------------------------------------
 * Table lines
 *--------------------------------------------------------------
 */

#define MAX_FEATURE_ARGS	8

/* Which of the words were given that exclude each other. */
struct said {
	bool error, queue, share, no_share;
};

static int parse_feature(struct hpm_features *f, const char *word,
			 struct said *said)
{
	if (!strcasecmp(word, "ignore_discard"))
		f->discard = false;
	else if (!strcasecmp(word, "no_discard_passdown"))
		f->discard_passdown = false;
	else if (!strcasecmp(word, "read_only"))
		f->read_only = true;
	else if (!strcasecmp(word, "adopt_data"))
		f->adopt_data = true;
	else if (!strcasecmp(word, "error_if_no_space"))
		said->error = true;
	else if (!strcasecmp(word, "queue_if_no_space"))
		said->queue = true;
	else if (!strcasecmp(word, "sharing"))
		said->share = true;
	else if (!strcasecmp(word, "no_sharing"))
		said->no_share = true;
	else if (strcasecmp(word, "skip_block_zeroing"))
		/* skip_block_zeroing has no effect: no block is ever zeroed. */
		return -EINVAL;

	return 0;
}

static int parse_features(unsigned int argc, char **argv,
			  struct hpm_features *f, char **why)
{
	unsigned int nr = 0, i;
	struct said said = {};

	*f = (struct hpm_features) {
		.discard = true,
		.discard_passdown = true,
	};

	*why = "Invalid number of pool feature arguments";
	if (argc && (kstrtouint(argv[0], 10, &nr) || nr > MAX_FEATURE_ARGS ||
		     nr > argc - 1))
		return -EINVAL;

	*why = "Unrecognised pool feature requested";
	for (i = 1; i <= nr; i++)
		if (parse_feature(f, argv[i], &said))
			return -EINVAL;

	*why = "Arguments left over behind the pool features";
	if (argc && nr < argc - 1)
		return -EINVAL;

	*why = "error_if_no_space and queue_if_no_space exclude each other";
	if (said.error && said.queue)
		return -EINVAL;
	f->error_if_no_space = !said.queue;

	*why = "sharing and no_sharing exclude each other";
	if (said.share && said.no_share)
		return -EINVAL;
	f->share = !said.no_share;

	return 0;
}

int hpm_parse_pool_line(unsigned int argc, char **argv,
			struct hpm_pool_line *line, char **why)
{
	unsigned int sectors;
	int r;

	*why = "Invalid argument count";
	if (argc < 4)
		return -EINVAL;

	r = parse_features(argc - 4, argv + 4, &line->features, why);
	if (r)
		return r;

	*why = "The large block size must be a power of two from 128 to 4096 sectors";
	if (kstrtouint(argv[2], 10, &sectors) || !is_power_of_2(sectors) ||
	    sectors < HPM_BLOCK_SECTORS << HPM_MIN_LARGE_SHIFT ||
	    sectors > HPM_BLOCK_SECTORS << HPM_MAX_LARGE_SHIFT)
		return -EINVAL;
	line->large_shift = ilog2(sectors / HPM_BLOCK_SECTORS);

	*why = "Invalid low water mark";
	if (kstrtou64(argv[3], 10, &line->low_water))
		return -EINVAL;

	*why = NULL;
	return 0;
}

int hpm_parse_volume_line(unsigned int argc, char **argv, u64 sectors, u32 *id,
			  char **why)
{
	*why = "Expected <pool dev> <volume id>";
	if (argc != 2)
		return -EINVAL;

	*why = "Invalid volume id: it goes from 0 to 16777215";
	if (kstrtou32(argv[1], 10, id) || *id > HPM_MAX_VOLUME_ID)
		return -EINVAL;

	*why = "The table is longer than a volume can be";
	if (sectors > (u64)HPM_BLOCK_SECTORS << HPM_VBN_BITS)
		return -EINVAL;

	*why = NULL;
	return 0;
}

/*
 *----------------------------------------------------------------
 * The words of messages
 *--------------------------------------------------------------
 */

struct parser {
	struct hpm_message *m;
	char *why;
};

/* Writes to p->why why the message is refused, and returns @err. */
static int __printf(3, 4) refuse(struct parser *p, int err, const char *fmt,
				 ...)
{
	va_list args;
	int n;

	n = scnprintf(p->why, HPM_WHY_SIZE, "%s: ", p->m->word);
	va_start(args, fmt);
	vsnprintf(p->why + n, HPM_WHY_SIZE - n, fmt, args);
	va_end(args);
	return err;
}

static int read_an_id(struct parser *p, const char *arg, u32 *id)
{
	if (kstrtou32(arg, 10, id) || *id > HPM_MAX_VOLUME_ID)
		return refuse(p, -EINVAL, "\"%s\" is no volume id (0 to %u)",
			      arg, HPM_MAX_VOLUME_ID);
	return 0;
}

static int read_id(struct parser *p, const char *arg)
{
	return read_an_id(p, arg, &p->m->id);
}

static int read_origin(struct parser *p, const char *arg)
{
	return read_an_id(p, arg, &p->m->origin);
}

/* A size in sectors; "-": none. */
static int read_size(struct parser *p, const char *arg)
{
	u64 sectors;

	if (!strcmp(arg, "-"))
		return 0;

	if (kstrtou64(arg, 10, &sectors))
		return refuse(p, -EINVAL, "\"%s\" is no size", arg);
	if (sectors % HPM_BLOCK_SECTORS)
		return refuse(p, -EINVAL,
			      "%llu sectors are not whole blocks of %u",
			      sectors, HPM_BLOCK_SECTORS);
	if (sectors / HPM_BLOCK_SECTORS > 1ULL << HPM_VBN_BITS)
		return refuse(p, -EINVAL,
			      "%llu sectors are more than a volume can have",
			      sectors);

	p->m->blocks = sectors / HPM_BLOCK_SECTORS;
	return 0;
}

static int read_name(struct parser *p, const char *arg)
{
	size_t n;

	for (n = 0; arg[n]; n++)
		if (!hpm_name_char_ok(arg[n]))
			return refuse(p, -EINVAL,
				      "a name has letters, digits and ._-+:@=, only");

	if (!strcmp(arg, "-") || !strcmp(arg, ".") || !strcmp(arg, ".."))
		return refuse(p, -EINVAL, "\"%s\" is no name", arg);
	if (n >= HPM_NAME_SIZE)
		return refuse(p, -ENAMETOOLONG,
			      "a name has at most %u characters",
			      HPM_NAME_SIZE - 1);

	p->m->name = arg;
	return 0;
}

static int read_name_or_none(struct parser *p, const char *arg)
{
	return strcmp(arg, "-") ? read_name(p, arg) : 0;
}

static int read_switch(struct parser *p, const char *arg)
{
	p->m->on = !strcasecmp(arg, "on");
	if (!p->m->on && strcasecmp(arg, "off"))
		return refuse(p, -EINVAL, "on or off, not \"%s\"", arg);
	return 0;
}

static int read_a_tid(struct parser *p, const char *arg, u64 *tid)
{
	if (kstrtou64(arg, 10, tid))
		return refuse(p, -EINVAL, "\"%s\" is no transaction id", arg);
	return 0;
}

static int read_old_tid(struct parser *p, const char *arg)
{
	return read_a_tid(p, arg, &p->m->old_tid);
}

static int read_new_tid(struct parser *p, const char *arg)
{
	return read_a_tid(p, arg, &p->m->new_tid);
}

static int read_nodes(struct parser *p, const char *arg)
{
	if (kstrtou64(arg, 10, &p->m->number) || !p->m->number ||
	    p->m->number > ULONG_MAX)
		return refuse(p, -EINVAL, "\"%s\" is no number of nodes", arg);
	return 0;
}

#define CACHE_KEY(id, name, least, most) \
	[HPM_CACHE_##id] = { .word = #name, .min = least, .max = most },

static const struct {
	const char *word;
	u64 min, max;
} cache_keys[] = {
	HPM_CACHE_KEYS(CACHE_KEY)
};

/* hpm_parse_message() checks that a key has a value if it needs one. */
static int read_cache_key(struct parser *p, const char *arg)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cache_keys); i++) {
		if (!strcasecmp(arg, cache_keys[i].word)) {
			p->m->key = i;
			return 0;
		}
	}
	return refuse(p, -EINVAL, "there is nothing called \"%s\"", arg);
}

static int read_cache_value(struct parser *p, const char *arg)
{
	enum hpm_cache_key key = p->m->key;
	u64 nr;

	if (key == HPM_CACHE_SHARE)
		return read_switch(p, arg);
	if (key == HPM_CACHE_EVICT)
		return refuse(p, -EINVAL, "wrong number of arguments");
	if (kstrtou64(arg, 10, &nr) || nr < cache_keys[key].min ||
	    nr > cache_keys[key].max)
		return refuse(p, -EINVAL, "\"%s\" is not from %llu to %llu",
			      arg, cache_keys[key].min, cache_keys[key].max);
	p->m->number = nr;
	return 0;
}

static int no_such_action(struct parser *p)
{
	return refuse(p, -EINVAL,
		      "expected start [<limit KiB/s>], stop or status");
}

static int read_action(struct parser *p, const char *arg)
{
	if (!strcasecmp(arg, "start"))
		p->m->action = HPM_DEFRAG_START;
	else if (!strcasecmp(arg, "stop"))
		p->m->action = HPM_DEFRAG_STOP;
	else if (!strcasecmp(arg, "status"))
		p->m->action = HPM_DEFRAG_STATUS;
	else
		return no_such_action(p);
	return 0;
}

static int read_limit(struct parser *p, const char *arg)
{
	unsigned int limit;

	if (p->m->action != HPM_DEFRAG_START)
		return no_such_action(p);
	if (kstrtouint(arg, 10, &limit) || !limit)
		return refuse(p, -EINVAL, "\"%s\" is no limit in KiB/s", arg);
	p->m->number = limit;
	return 0;
}

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

#define MAX_WORDS	3

typedef int (*reader_fn)(struct parser *p, const char *arg);

struct form {
	const char *word;
	bool writes;
	unsigned int min, max;		/* words after the first */
	reader_fn read[MAX_WORDS];
};

#define NR_READERS(...)	(sizeof((reader_fn[]) { __VA_ARGS__ }) / sizeof(reader_fn))
#define FORM(id, name, does_write, least, ...)	\
	[HPM_MSG_##id] = {			\
		.word = #name,			\
		.writes = does_write,		\
		.min = least,			\
		.max = NR_READERS(__VA_ARGS__),	\
		.read = { __VA_ARGS__ },	\
	},

static const struct form forms[HPM_NR_MESSAGES] = {
	HPM_MESSAGES(FORM)
};

/* Each word that must or may follow has a function that reads it. */
#define MISFIT(id, name, does_write, least, ...) \
	(NR_READERS(__VA_ARGS__) > MAX_WORDS || (least) > NR_READERS(__VA_ARGS__)) +
static_assert(!(HPM_MESSAGES(MISFIT) 0), "a word that nothing reads");

static const struct form *find_form(const char *word)
{
	unsigned int i;

	for (i = 0; i < HPM_NR_MESSAGES; i++)
		if (!strcasecmp(word, forms[i].word))
			return &forms[i];
	return NULL;
}

/* Does the key need a value? */
static bool wants_value(const struct hpm_message *m)
{
	return m->type == HPM_MSG_CACHE && m->key != HPM_CACHE_EVICT;
}

int hpm_parse_message(unsigned int argc, char **argv, struct hpm_message *m,
		      char why[HPM_WHY_SIZE])
{
	struct parser p = { .m = m, .why = why };
	const struct form *f;
	unsigned int i;
	int r;

	memset(m, 0, sizeof(*m));
	f = argc ? find_form(argv[0]) : NULL;
	if (!f) {
		scnprintf(why, HPM_WHY_SIZE, "unknown message \"%s\"",
			  argc ? argv[0] : "");
		return -EINVAL;
	}
	m->type = f - forms;
	m->word = f->word;
	m->writes = f->writes;

	argc--;
	argv++;
	if (argc < f->min || argc > f->max)
		return refuse(&p, -EINVAL, "wrong number of arguments");
	m->about = argc ? argv[0] : NULL;
	for (i = 0; i < argc; i++) {
		r = f->read[i](&p, argv[i]);
		if (r)
			return r;
	}
	if (argc == 1 && wants_value(m))
		return refuse(&p, -EINVAL, "wrong number of arguments");
	return 0;
}
