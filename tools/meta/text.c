// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text form.
 *
 * It is a subset of XML: one element a line, attributes in double quotes,
 * numbers in decimal, special characters of names as &#xNN;.  The reader
 * accepts exactly this, in lines of bounded length.
 */
#include <ctype.h>

#include "sink.h"

/*----------------------------------------------------------------
 * Writing
 *--------------------------------------------------------------*/

static int wrote(FILE *f)
{
	return ferror(f) ? complain("cannot write: %s", strerror(errno)) : 0;
}

static FILE *out_file(void *ctx)
{
	const struct text_out *o = ctx;

	return o->f;
}

static void open_tree_text(void *ctx, const char *tree)
{
	struct text_out *o = ctx;

	o->tree = tree;
}

static int text_super(void *ctx, const struct sink_super *s)
{
	FILE *f = out_file(ctx);
	unsigned int i;

	fputs("<hpmapper version=\"1\" uuid=\"", f);
	for (i = 0; i < HPM_UUID_SIZE; i++)
		fprintf(f, "%02x", s->uuid[i]);
	fprintf(f,
		"\" large_block=\"%u\" data_blocks=\"%llu\" time=\"%u\" transaction=\"%llu\" next_serial=\"%llu\"",
		1u << s->large_shift, s->data_blocks, s->time,
		s->transaction_id, s->next_serial);
	if (s->data_used != U64_MAX)
		fprintf(f, " data_used=\"%llu\"", s->data_used);
	if (s->marked)
		fputs(" mark=\"1\"", f);
	fputs(">\n", f);
	return wrote(f);
}

static int text_def(void *ctx, u32 id, unsigned int level)
{
	open_tree_text(ctx, "def");
	fprintf(out_file(ctx), "  <def id=\"%u\" level=\"%u\">\n", id, level);
	return wrote(out_file(ctx));
}

static void put_name(FILE *f, const char *name)
{
	const unsigned char *p;

	for (p = (const unsigned char *)name; *p; p++) {
		if (*p < 0x21 || *p >= 0x7f || strchr("<>&\"'", *p))
			fprintf(f, "&#x%02x;", *p);
		else
			fputc(*p, f);
	}
}

static int text_volume(void *ctx, const struct sink_volume *v)
{
	FILE *f = out_file(ctx);

	open_tree_text(ctx, "volume");
	fprintf(f,
		"  <volume id=\"%u\" serial=\"%llu\" parent=\"%llu\" size=\"%llu\" snap_time=\"%u\" created=\"%llu\" flags=\"%u\"",
		v->id, v->serial, v->parent, v->size, v->snap_time, v->created,
		v->flags);
	if (v->mapped != U64_MAX)
		fprintf(f, " mapped=\"%llu\"", v->mapped);
	fputs(" name=\"", f);
	put_name(f, v->name);
	fputs("\">\n", f);
	return wrote(f);
}

static int text_dying(void *ctx, u64 serial)
{
	open_tree_text(ctx, "dying");
	fprintf(out_file(ctx), "  <dying serial=\"%llu\">\n", serial);
	return wrote(out_file(ctx));
}

static int text_tree_end(void *ctx)
{
	const struct text_out *o = ctx;

	fprintf(o->f, "  </%s>\n", o->tree);
	return wrote(out_file(ctx));
}

static int text_run(void *ctx, const struct run *r)
{
	static const char *const name[] = { "small", "large", "hole" };

	fprintf(out_file(ctx), "    <%s vbn=\"%llu\"", name[r->kind], r->vbn);
	if (r->kind != RUN_HOLE)
		fprintf(out_file(ctx), " pbn=\"%llu\"", r->pbn);
	fprintf(out_file(ctx), " blocks=\"%llu\" time=\"%u\"/>\n", r->nr,
		r->time);
	return wrote(out_file(ctx));
}

static int text_ref(void *ctx, u32 def)
{
	fprintf(out_file(ctx), "    <ref def=\"%u\"/>\n", def);
	return wrote(out_file(ctx));
}

static int text_held(void *ctx, u32 time)
{
	fprintf(out_file(ctx), "  <held time=\"%u\"/>\n", time);
	return wrote(out_file(ctx));
}

static int text_punched(void *ctx, u64 pbn, u64 nr)
{
	fprintf(out_file(ctx), "  <punched pbn=\"%llu\" blocks=\"%llu\"/>\n",
		pbn, nr);
	return wrote(out_file(ctx));
}

static int text_end(void *ctx)
{
	FILE *f = out_file(ctx);

	fputs("</hpmapper>\n", f);
	return fflush(f) ? complain("cannot write: %s", strerror(errno)) :
			   wrote(f);
}

const struct sink text_sink = {
	.super = text_super,
	.def_begin = text_def,
	.volume_begin = text_volume,
	.dying_begin = text_dying,
	.tree_end = text_tree_end,
	.run = text_run,
	.ref = text_ref,
	.held = text_held,
	.punched = text_punched,
	.end = text_end,
};

/*----------------------------------------------------------------
 * Reading: a line
 *--------------------------------------------------------------*/

#define MAX_LINE  1024
#define MAX_ATTRS 12

struct attr {
	const char *key;
	char *value;
	bool used;
};

struct text {
	FILE *f;
	const char *name;
	const struct sink *sink;
	void *ctx;
	u64 line;
	char buf[MAX_LINE];
	/* the element of this line */
	const char *element;
	bool closing, open; /* </x>; <x ...> in contrast to <x .../> */
	struct attr attr[MAX_ATTRS];
	unsigned int nr_attrs;
	/* the reader's state */
	bool began, ended;
	const char *tree; /* the open element, or NULL */
};

static int bad(const struct text *t, const char *what)
{
	complain("%s, line %llu: %s", t->name, t->line, what);
	return -1;
}

static char *skip_name(char *p)
{
	while (isalpha((unsigned char)*p) || *p == '_')
		p++;
	return p;
}

static char *skip_blanks(char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* Splits key="value" in place; NULL: malformed. */
static char *cut_attr(struct text *t, char *p)
{
	struct attr *a = &t->attr[t->nr_attrs];
	char *end = skip_name(p);

	if (t->nr_attrs == MAX_ATTRS || end == p || end[0] != '=' ||
	    end[1] != '"')
		return NULL;
	a->key = p;
	a->used = false;
	*end = 0;
	a->value = end + 2;
	end = strchr(a->value, '"');
	if (!end)
		return NULL;
	*end = 0;
	t->nr_attrs++;
	return end + 1;
}

static bool has_twice(const struct text *t)
{
	unsigned int i, j;

	for (i = 0; i < t->nr_attrs; i++)
		for (j = 0; j < i; j++)
			if (!strcmp(t->attr[i].key, t->attr[j].key))
				return true;
	return false;
}

static int cut_element(struct text *t, char *p)
{
	char *end, after;

	t->nr_attrs = 0;
	t->closing = p[1] == '/';
	p += 1 + t->closing;
	end = skip_name(p);
	if (end == p)
		return bad(t, "an element was expected");
	t->element = p;
	after = *end;
	*end = 0;
	p = end;
	if (after == ' ') {
		p = skip_blanks(p + 1);
		while (*p != '/' && *p != '>') {
			p = cut_attr(t, p);
			if (!p)
				return bad(t, "an attribute was expected");
			p = skip_blanks(p);
		}
		after = *p;
		if (has_twice(t))
			return bad(t, "an attribute is given twice");
	}
	t->open = after == '>' && !t->closing;
	if (after == '/')
		after = *++p;
	if (after != '>' || *skip_blanks(p + 1))
		return bad(t, "the element does not end here");
	return 0;
}

/* 1: an element, 0: the end of the text, -1: error */
static int next_element(struct text *t)
{
	size_t n;
	char *p;

	for (;;) {
		t->line++;
		if (!fgets(t->buf, sizeof(t->buf), t->f))
			return ferror(t->f) ? bad(t, strerror(errno)) : 0;
		n = strcspn(t->buf, "\r\n");
		if (!t->buf[n] && (n == sizeof(t->buf) - 1 || !feof(t->f)))
			return bad(t, "the line is too long, or not text");
		t->buf[n] = 0;
		p = skip_blanks(t->buf);
		if (!*p)
			continue;
		if (*p != '<')
			return bad(t, "an element was expected");
		return cut_element(t, p) ? -1 : 1;
	}
}

/*----------------------------------------------------------------
 * Reading: attributes
 *--------------------------------------------------------------*/

static const char *get_attr(struct text *t, const char *key)
{
	unsigned int i;

	for (i = 0; i < t->nr_attrs; i++) {
		if (strcmp(t->attr[i].key, key) != 0)
			continue;
		t->attr[i].used = true;
		return t->attr[i].value;
	}
	return NULL;
}

struct number {
	const char *key;
	u64 max;
	u64 *value;
	bool optional;
};

static int get_numbers(struct text *t, const struct number *n)
{
	const char *s;
	char *end;

	for (; n->key; n++) {
		s = get_attr(t, n->key);
		if (!s && n->optional)
			continue;
		if (!s || !isdigit((unsigned char)*s)) {
			complain("%s, line %llu: <%s> needs a number '%s'",
				 t->name, t->line, t->element, n->key);
			return -1;
		}
		errno = 0;
		*n->value = strtoull(s, &end, 10);
		if (*end || errno || *n->value > n->max)
			return complain(
				"%s, line %llu: %s=\"%s\" is not possible",
				t->name, t->line, n->key, s);
	}
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_byte(const char *s)
{
	int high = hex_digit(s[0]), low = high < 0 ? -1 : hex_digit(s[1]);

	return low < 0 ? -1 : high << 4 | low;
}

static int get_uuid(struct text *t, u8 *uuid)
{
	const char *s = get_attr(t, "uuid");
	unsigned int i;
	int b;

	if (!s || strlen(s) != (size_t)2 * HPM_UUID_SIZE)
		return bad(t, "a uuid of 32 hexadecimal digits is needed");
	for (i = 0; i < HPM_UUID_SIZE; i++) {
		b = hex_byte(s + (size_t)2 * i);
		if (b < 0)
			return bad(t, "the uuid is not hexadecimal");
		uuid[i] = b;
	}
	return 0;
}

static int get_name(struct text *t, char *name)
{
	const char *s = get_attr(t, "name");
	unsigned int n = 0;
	int c;

	while (s && *s) {
		c = (unsigned char)*s++;
		if (c == '&') {
			c = !strncmp(s, "#x", 2) ? hex_byte(s + 2) : -1;
			if (c <= 0 || s[4] != ';')
				return bad(t, "the name is not one");
			s += 5;
		}
		if (n == HPM_NAME_SIZE - 1)
			return bad(t, "the name is too long");
		name[n++] = c;
	}
	name[n] = 0;
	return 0;
}

/*----------------------------------------------------------------
 * Reading: elements
 *--------------------------------------------------------------*/

static int read_super(struct text *t)
{
	struct sink_super s = { .data_used = U64_MAX };
	u64 version = 0, large = 0, time = 0, mark = 0;
	const struct number n[] = {
		{ "version", 1, &version, false },
		{ "large_block", 1 << HPM_MAX_LARGE_SHIFT, &large, false },
		{ "data_blocks", HPM_PBN_HOLE, &s.data_blocks, false },
		{ "time", HPM_MAX_TIME, &time, false },
		{ "transaction", U64_MAX, &s.transaction_id, false },
		{ "next_serial", U64_MAX, &s.next_serial, false },
		{ "data_used", HPM_PBN_HOLE, &s.data_used, true },
		{ "mark", 1, &mark, true },
		{ 0 },
	};

	if (get_numbers(t, n) || get_uuid(t, s.uuid))
		return -1;
	if (version != 1 || !is_power_of_2(large) ||
	    large < 1 << HPM_MIN_LARGE_SHIFT)
		return bad(t, "the version or the large block is not possible");
	s.large_shift = ilog2(large);
	s.time = time;
	s.marked = mark;
	t->began = true;
	return t->sink->super(t->ctx, &s);
}

static int read_def(struct text *t)
{
	u64 id, level;
	const struct number n[] = {
		{ "id", U32_MAX, &id, false },
		{ "level", MAX_HEIGHT - 1, &level, false },
		{ 0 },
	};

	return get_numbers(t, n) ? -1 : t->sink->def_begin(t->ctx, id, level);
}

static int read_volume(struct text *t)
{
	struct sink_volume v = { .mapped = U64_MAX };
	u64 id, snap_time, flags;
	const struct number n[] = {
		{ "id", HPM_MAX_VOLUME_ID, &id, false },
		{ "serial", U64_MAX, &v.serial, false },
		{ "parent", U64_MAX, &v.parent, false },
		{ "size", 1ull << HPM_VBN_BITS, &v.size, false },
		{ "snap_time", HPM_MAX_TIME, &snap_time, false },
		{ "created", U64_MAX, &v.created, false },
		{ "flags", U32_MAX, &flags, false },
		{ "mapped", U64_MAX, &v.mapped, true },
		{ 0 },
	};

	if (get_numbers(t, n) || get_name(t, v.name))
		return -1;
	v.id = id;
	v.snap_time = snap_time;
	v.flags = flags;
	return t->sink->volume_begin(t->ctx, &v);
}

static int read_dying(struct text *t)
{
	u64 serial = 0;
	const struct number n[] = { { "serial", U64_MAX, &serial, false },
				    { 0 } };

	return get_numbers(t, n) ? -1 : t->sink->dying_begin(t->ctx, serial);
}

static int read_run(struct text *t, enum run_kind kind)
{
	struct run r = { .kind = kind };
	u64 time = 0;
	const struct number n[] = {
		{ "vbn", (1ull << HPM_VBN_BITS) - 1, &r.vbn, false },
		{ "pbn", HPM_PBN_HOLE - 1, &r.pbn, kind == RUN_HOLE },
		{ "blocks", 1ull << HPM_VBN_BITS, &r.nr, false },
		{ "time", HPM_MAX_TIME, &time, false },
		{ 0 },
	};

	if (get_numbers(t, n))
		return -1;
	if (!r.nr || r.nr > (1ull << HPM_VBN_BITS) - r.vbn)
		return bad(t, "the run is empty or too long");
	r.time = time;
	return t->sink->run(t->ctx, &r);
}

static int read_ref(struct text *t)
{
	u64 def;
	const struct number n[] = { { "def", U32_MAX, &def, false }, { 0 } };

	return get_numbers(t, n) ? -1 : t->sink->ref(t->ctx, def);
}

static int read_held(struct text *t)
{
	u64 time = 0;
	const struct number n[] = { { "time", HPM_MAX_TIME, &time, false },
				    { 0 } };

	return get_numbers(t, n) ? -1 : t->sink->held(t->ctx, time);
}

static int read_punched(struct text *t)
{
	u64 pbn = 0, nr = 0;
	const struct number n[] = {
		{ "pbn", HPM_PBN_HOLE - 1, &pbn, false },
		{ "blocks", HPM_PBN_HOLE, &nr, false },
		{ 0 },
	};

	return get_numbers(t, n) ? -1 : t->sink->punched(t->ctx, pbn, nr);
}

static bool is(const struct text *t, const char *element)
{
	return !strcmp(t->element, element);
}

static int read_in_tree(struct text *t)
{
	if (t->closing) {
		if (!is(t, t->tree))
			return bad(t, "another element was to be closed");
		t->tree = NULL;
		return t->sink->tree_end(t->ctx);
	}
	if (t->open)
		return bad(t, "an element must end on its line here");
	if (is(t, "small"))
		return read_run(t, RUN_SMALL);
	if (is(t, "large"))
		return read_run(t, RUN_LARGE);
	if (is(t, "hole"))
		return read_run(t, RUN_HOLE);
	if (is(t, "ref"))
		return read_ref(t);
	return bad(t, "small, large, hole or ref was expected");
}

static int open_tree(struct text *t, const char *tree,
		     int (*read)(struct text *t))
{
	if (!t->open)
		return bad(t, "the element must stay open");
	t->tree = tree;
	return read(t);
}

static int read_top(struct text *t)
{
	if (t->closing) {
		if (!is(t, "hpmapper"))
			return bad(t, "another element was to be closed");
		t->ended = true;
		return t->sink->end(t->ctx);
	}
	if (is(t, "def"))
		return open_tree(t, "def", read_def);
	if (is(t, "volume"))
		return open_tree(t, "volume", read_volume);
	if (is(t, "dying"))
		return open_tree(t, "dying", read_dying);
	if (is(t, "held") && !t->open)
		return read_held(t);
	if (is(t, "punched") && !t->open)
		return read_punched(t);
	return bad(t, "def, volume, dying, held or punched was expected");
}

static int read_element(struct text *t)
{
	if (t->ended)
		return bad(t, "there is something behind the end");
	if (t->began)
		return t->tree ? read_in_tree(t) : read_top(t);
	if (!is(t, "hpmapper") || !t->open)
		return bad(t, "<hpmapper ...> was expected");
	return read_super(t);
}

/* An attribute that is not understood would be lost. */
static int check_used(const struct text *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_attrs; i++)
		if (!t->attr[i].used)
			return complain("%s, line %llu: <%s> has no '%s'",
					t->name, t->line, t->element,
					t->attr[i].key);
	return 0;
}

int text_read(FILE *f, const char *name, const struct sink *sink, void *ctx)
{
	struct text *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return complain("out of memory");
	t->f = f;
	t->name = name;
	t->sink = sink;
	t->ctx = ctx;
	while ((r = next_element(t)) > 0) {
		r = read_element(t);
		if (!r)
			r = check_used(t);
		if (r)
			break;
	}
	if (!r && !t->ended)
		r = bad(t, "the text ends too early");
	free(t);
	return r;
}
