// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "err.h"
#include "out.h"
#include "text.h"

#define MAX_OPTS    32
#define LETTER_BASE 256 /* getopt's values for options without a letter */

bool want_json;
static bool want_help;

static const struct opt common_opts[] = {
	{ "json", 0, OPT_FLAG, &want_json, NULL, "print a JSON document" },
	{ "verbose", 'v', OPT_FLAG, &verbose, NULL, "say what is being done" },
	{ "help", 'h', OPT_FLAG, &want_help, NULL, "print this" },
	{ 0 },
};

/* The command's own options and the common ones, as getopt wants them. */
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

static int opt_set(const struct opt *o, const char *arg)
{
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->value = true;
		return 0;
	case OPT_STRING:
		*(const char **)o->value = arg;
		return 0;
	case OPT_SIZE:
		return parse_size(arg, o->value);
	case OPT_UINT:
		return parse_uint(arg, UINT32_MAX, o->value);
	case OPT_SECONDS:
		return parse_seconds(arg, o->value);
	case OPT_LIST:
		return list_add(o->value, arg);
	}
	return -1;
}

static void print_name(const struct cmd *cmd)
{
	printf("hpmctl %s%s%s", cmd->noun ? cmd->noun : "",
	       cmd->noun ? " " : "", cmd->verb);
}

static void print_opts(const struct opt *o)
{
	for (; o && o->name; o++) {
		char left[64];

		if (o->letter)
			printf("  -%c, ", o->letter);
		else
			printf("      ");
		(void)snprintf(left, sizeof(left), "--%s%s%s", o->name,
			       o->meta ? " " : "", o->meta ? o->meta : "");
		printf("%-26s %s\n", left, o->help);
	}
}

void cli_help(const struct cmd *cmd)
{
	printf("usage: ");
	print_name(cmd);
	printf(" [options]%s%s\n\n%s\n", *cmd->args ? " " : "", cmd->args,
	       cmd->summary);
	if (cmd->more)
		printf("\n%s", cmd->more);
	printf("\nOptions:\n");
	print_opts(cmd->opts);
	print_opts(common_opts);
	printf("\nExamples:\n%s", cmd->examples);
}

static int check_count(const struct cmd *cmd, int nr)
{
	if (nr >= cmd->min_args && nr <= cmd->max_args)
		return 0;
	return err_say(ST_USAGE, "%s arguments; usage: hpmctl %s%s%s %s",
		       nr < cmd->min_args ? "missing" : "too many",
		       cmd->noun ? cmd->noun : "", cmd->noun ? " " : "",
		       cmd->verb, cmd->args);
}

/* getopt has stepped over what it could not use, unless it is one letter. */
static int bad_option(int value, char **argv)
{
	char letter[3] = { '-', (char)optopt, '\0' };
	const char *text =
		optopt > 0 && optopt < LETTER_BASE ? letter : argv[optind - 1];

	if (value == ':')
		return err_say(ST_USAGE, "%s needs an argument", text);
	return err_say(
		ST_USAGE,
		"there is no option %s here (--help tells those there are)",
		text);
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
			return bad_option(value, argv);
		if (opt_set(parser_find(&p, value), optarg))
			return -1;
	}
}

static int finish(int ret)
{
	if (ret >= 0 && !err_pending())
		return out_flush() ? ST_FAILED : ret;
	if (want_json)
		out_json(err_json());
	(void)out_flush();
	fprintf(stderr, "hpmctl: %s\n", err_text());
	if (err_reason())
		fprintf(stderr, "hpmctl: the kernel says: %s\n", err_reason());
	return (int)err_status();
}

int cli_run(const struct cmd *cmd, int argc, char **argv)
{
	if (parse(cmd, argc, argv))
		return finish(-1);
	if (want_help) {
		cli_help(cmd);
		return finish(0);
	}
	if (check_count(cmd, argc - optind))
		return finish(-1);
	return finish(cmd->run(argv + optind, argc - optind));
}
