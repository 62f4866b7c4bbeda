// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "err.h"
#include "out.h"
#include "suggest.h"
#include "text.h"

#define MAX_OPTS    32
#define LETTER_BASE 256 /* getopt's values for options without a letter */

bool want_json;
static bool want_help;

static const struct opt common_opts[] = {
	{ "json", 0, OPT_FLAG, &want_json, NULL, "print a JSON document" },
	{ "verbose", 'v', OPT_FLAG, &verbose, NULL,
	  "print what is being done" },
	{ "help", 'h', OPT_FLAG, &want_help, NULL, "print this" },
	{ 0 },
};

/* The options of the command and the common ones, in getopt's format. */
struct parser {
	const struct opt *opt[MAX_OPTS];
	struct option longopt[MAX_OPTS + 1];
	char letters[3 * MAX_OPTS + 3];
	int nr;
};

static void parser_add(struct parser *p, const struct opt *o)
{
	char *l;

	for (; o && o->name && p->nr < MAX_OPTS; o++, p->nr++) {
		p->opt[p->nr] = o;
		p->longopt[p->nr] = (struct option){
			.name = o->name,
			.has_arg = o->kind == OPT_FLAG ? no_argument :
							 required_argument,
			.val = LETTER_BASE + p->nr,
		};
		if (!o->letter)
			continue;
		l = p->letters + strlen(p->letters);
		*l++ = o->letter;
		if (o->kind != OPT_FLAG)
			*l++ = ':';
		*l = '\0';
	}
}

static const struct opt *parser_find(const struct parser *p, int value)
{
	int i;

	if (value >= LETTER_BASE)
		return p->opt[value - LETTER_BASE];
	for (i = 0; i < p->nr; i++)
		if (p->opt[i]->letter == value)
			return p->opt[i];
	return NULL;
}

static int list_add(struct str_list *list, const char *item)
{
	if (list->nr == STR_LIST_MAX)
		return err_say(ST_USAGE, "an option is given too often");
	list->item[list->nr++] = item;
	return 0;
}

static int set_size(const struct opt *o, const char *arg)
{
	uint64_t bytes;

	if (parse_size(arg, &bytes))
		return -1;
	if (!bytes && o->kind == OPT_SIZE)
		return err_say(ST_USAGE, "--%s is %s, but a size must not be 0",
			       o->name, arg);
	*(uint64_t *)o->value = bytes;
	return 0;
}

static int set_number(const struct opt *o, const char *arg)
{
	uint64_t n;

	if (parse_uint(arg, UINT32_MAX, &n))
		return -1;
	if (!n && o->kind == OPT_COUNT)
		return err_say(ST_USAGE, "--%s must be at least 1, not %s",
			       o->name, arg);
	*(uint64_t *)o->value = n;
	return 0;
}

/* An empty argument is usually a variable of a script that is not set. */
static int set_string(const struct opt *o, const char *arg)
{
	if (!*arg)
		return err_say(ST_USAGE, "--%s must not be empty: give %s %s",
			       o->name, strchr("AEIOU", *o->meta) ? "an" : "a",
			       o->meta);
	if (o->kind == OPT_LIST)
		return list_add(o->value, arg);
	*(const char **)o->value = arg;
	return 0;
}

static int opt_set(const struct opt *o, const char *arg)
{
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->value = true;
		return 0;
	case OPT_STRING:
	case OPT_LIST:
		return set_string(o, arg);
	case OPT_SIZE:
	case OPT_SIZE_0:
		return set_size(o, arg);
	case OPT_UINT:
	case OPT_COUNT:
		return set_number(o, arg);
	case OPT_SECONDS:
		return parse_seconds(arg, o->value);
	}
	return -1;
}

static void print_opts(FILE *f, const struct opt *o)
{
	for (; o && o->name; o++) {
		char left[64];

		if (o->letter)
			(void)fprintf(f, "  -%c, ", o->letter);
		else
			(void)fprintf(f, "      ");
		(void)snprintf(left, sizeof(left), "--%s%s%s", o->name,
			       o->meta ? " " : "", o->meta ? o->meta : "");
		(void)fprintf(f, "%-26s %s\n", left, o->help);
	}
}

/* "hpmctl pool create [options] NAME {--disk DEV | ...}" */
static void usage_text(const struct cmd *cmd, const char *options, char *out,
		       size_t size)
{
	(void)snprintf(out, size, "hpmctl %s%s%s%s%s%s%s%s",
		       cmd->noun ? cmd->noun : "", cmd->noun ? " " : "",
		       cmd->verb, options, *cmd->args ? " " : "", cmd->args,
		       cmd->need ? " " : "", cmd->need ? cmd->need : "");
}

static void cli_help(FILE *f, const struct cmd *cmd)
{
	char usage[256];

	usage_text(cmd, " [options]", usage, sizeof(usage));
	(void)fprintf(f, "usage: %s\n\n%s\n", usage, cmd->summary);
	if (cmd->more)
		(void)fprintf(f, "\n%s", cmd->more);
	(void)fprintf(f, "\nOptions:\n");
	print_opts(f, cmd->opts);
	print_opts(f, common_opts);
	(void)fprintf(f, "\nExamples:\n%s", cmd->examples);
}

/*
 * Reports the argument that is too many, and the option that it may belong to:
 * a device's path behind a pool's name is usually meant for --disk.
 */
static int too_many(const struct cmd *cmd, const char *arg)
{
	const char *option = cmd->option_for ? cmd->option_for(arg) : NULL;
	char usage[256];

	usage_text(cmd, "", usage, sizeof(usage));
	if (option)
		return err_say(
			ST_USAGE,
			"too many arguments: did you mean %s %s? usage: %s",
			option, arg, usage);
	return err_say(ST_USAGE,
		       "too many arguments: \"%s\" is not expected; usage: %s",
		       arg, usage);
}

static int check_count(const struct cmd *cmd, char **args, int nr)
{
	char usage[256];

	if (nr > cmd->max_args)
		return too_many(cmd, args[cmd->max_args]);
	if (nr >= cmd->min_args)
		return 0;
	usage_text(cmd, "", usage, sizeof(usage));
	return err_say(ST_USAGE, "missing arguments; usage: %s", usage);
}

/*
 * "--sizee" may be a typing error, "--s" may be ambiguous, "--json=yes" has an
 * argument too many.
 */
static int bad_long(const struct parser *p, const char *text)
{
	size_t len = strcspn(text + 2, "=");
	const char *names[MAX_OPTS], *near;
	char word[64], several[256] = "";
	int i, nr = 0;

	(void)snprintf(word, sizeof(word), "%.*s", (int)len, text + 2);
	for (i = 0; i < p->nr; i++) {
		size_t at = strlen(several);

		names[i] = p->opt[i]->name;
		if (!strcmp(names[i], word))
			return err_say(ST_USAGE, "--%s takes no argument",
				       word);
		if (len && !strncmp(names[i], word, strlen(word)) &&
		    at < sizeof(several))
			(void)snprintf(several + at, sizeof(several) - at,
				       "%s--%s", nr++ ? ", or " : "", names[i]);
	}
	if (nr)
		return err_say(ST_USAGE, "%s is ambiguous: it may be %s", text,
			       several);
	near = suggest_word(word, names, (size_t)p->nr);
	return err_say(
		ST_USAGE,
		"there is no option %s here (%s%s%s--help lists the options)",
		text, near ? "did you mean --" : "", near ? near : "",
		near ? "? " : "");
}

/*
 * getopt has advanced over the bad option, unless it is one letter of a word.
 */
static int bad_option(const struct parser *p, int value, char **argv)
{
	char letter[3] = { '-', (char)optopt, '\0' };
	const char *word = argv[optind - 1];
	bool is_letter = optopt > 0 && optopt < LETTER_BASE;

	if (value == ':')
		return err_say(ST_USAGE, "%s needs an argument",
			       is_letter ? letter : word);
	if (is_letter && isdigit((unsigned char)optopt)) {
		/* In the middle of a word, getopt has not advanced. */
		if (word[0] != '-' || word[1] != optopt)
			word = argv[optind];
		return err_say(
			ST_USAGE,
			"\"%s\" is not an option, and sizes and numbers are not negative: to make something smaller, give its new size",
			word ? word : letter);
	}
	if (is_letter)
		return err_say(
			ST_USAGE,
			"there is no option %s here (--help lists the options)",
			letter);
	return bad_long(p, word);
}

static int parse(const struct cmd *cmd, int argc, char **argv)
{
	struct parser p = { .nr = 0 };
	int value;

	strcpy(p.letters, ":");
	parser_add(&p, cmd->opts);
	parser_add(&p, common_opts);
	optind = 1;
	opterr = 0;
	for (;;) {
		value = getopt_long(argc, argv, p.letters, p.longopt, NULL);
		if (value == -1)
			return 0;
		if (value == ':' || value == '?')
			return bad_option(&p, value, argv);
		if (opt_set(parser_find(&p, value), optarg))
			return -1;
	}
}

/* With --json, the help is a document, too. */
int cli_print_help(const struct cmd *cmd,
		   void (*list)(FILE *f, const char *noun), const char *noun)
{
	char *text = NULL;
	size_t size;
	FILE *f = want_json ? open_memstream(&text, &size) : stdout;
	int ret;

	if (!f)
		return err_nomem();
	if (cmd)
		cli_help(f, cmd);
	else
		list(f, noun);
	if (!want_json)
		return 0;
	ret = fclose(f) ? err_nomem() :
			  out_json(json_pack("{s:s}", "help", text));
	free(text);
	return ret;
}

/* There may be no memory for the error's document. */
static void add_error(void)
{
	json_t *doc = err_json();

	if (doc && !out_json(doc))
		return;
	(void)puts("{\"error\":{\"message\":\"out of memory\",\"status\":1}}");
}

int cli_finish(int ret)
{
	bool failed = ret < 0 || err_pending();

	if (want_json) {
		if (failed)
			add_error();
		if (out_document())
			failed = true;
	}
	if (out_flush())
		failed = true;
	if (!failed)
		return ret;
	(void)fprintf(stderr, "hpmctl: %s\n", err_text());
	if (err_reason())
		(void)fprintf(stderr, "hpmctl: the kernel says: %s\n",
			      err_reason());
	return (int)err_status();
}

int cli_shown(int ret)
{
	char text[1100];

	if (ret >= 0)
		return ret;
	(void)snprintf(text, sizeof(text),
		       "it is done, but cannot be shown: %s", err_text());
	err_clear();
	warn("%s", text);
	return want_json ? out_json(json_pack("{s:s}", "note", text)) : 0;
}

int cli_run(const struct cmd *cmd, int argc, char **argv)
{
	if (parse(cmd, argc, argv))
		return cli_finish(-1);
	if (want_help)
		return cli_finish(cli_print_help(cmd, NULL, NULL));
	if (check_count(cmd, argv + optind, argc - optind))
		return cli_finish(-1);
	return cli_finish(cmd->run(argv + optind, argc - optind));
}
