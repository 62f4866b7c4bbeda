// SPDX-License-Identifier: GPL-2.0-only
/* hpmctl: pools and volumes of dm-hpmapper, for people and for scripts. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "dm.h"
#include "err.h"
#include "ondisk.h"
#include "out.h"

const struct cmd *const all_cmds[] = {
	&pool_create_cmd,
	&pool_activate_cmd,
	&pool_status_cmd,
	&pool_list_cmd,
	&pool_grow_cmd,
	&pool_checkpoint_cmd,
	&pool_set_cmd,
	&pool_remove_cmd,
	&volume_create_cmd,
	&volume_snapshot_cmd,
	&volume_activate_cmd,
	&volume_deactivate_cmd,
	&volume_list_cmd,
	&volume_stat_cmd,
	&volume_resize_cmd,
	&volume_rename_cmd,
	&volume_set_cmd,
	&volume_remove_cmd,
	&import_cmd,
	&top_cmd,
	NULL,
};

static void print_list(const char *noun)
{
	const struct cmd *const *c;
	char name[64];

	for (c = all_cmds; *c; c++) {
		if (noun && (!(*c)->noun || strcmp((*c)->noun, noun)))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s",
			       (*c)->noun ? (*c)->noun : "",
			       (*c)->noun ? " " : "", (*c)->verb);
		printf("  %-20s %s\n", name, (*c)->summary);
	}
}

static void print_usage(const char *noun)
{
	printf("usage: hpmctl [--json] %s ...\n\nCommands:\n",
	       noun ? noun : "COMMAND");
	print_list(noun);
	printf("\n\"hpmctl COMMAND --help\" tells more, with examples; hpmctl(8) tells all.\n"
	       "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found,\n"
	       "4 exists already or in use, 5 bad input, 130 interrupted.\n");
}

static const struct cmd *find_cmd(const char *first, const char *second,
				  int *words)
{
	const struct cmd *const *c;

	for (c = all_cmds; *c; c++) {
		*words = (*c)->noun ? 2 : 1;
		if (!(*c)->noun && !strcmp((*c)->verb, first))
			return *c;
		if ((*c)->noun && !strcmp((*c)->noun, first) && second &&
		    !strcmp((*c)->verb, second))
			return *c;
	}
	return NULL;
}

static bool is_noun(const char *word)
{
	const struct cmd *const *c;

	for (c = all_cmds; *c; c++)
		if ((*c)->noun && !strcmp((*c)->noun, word))
			return true;
	return false;
}

static int wrong_usage(const char *first, const char *second)
{
	if (!first)
		fprintf(stderr,
			"hpmctl: which command? (hpmctl --help tells)\n");
	else if (!is_noun(first))
		fprintf(stderr,
			"hpmctl: there is no command %s (hpmctl --help tells those there are)\n",
			first);
	else if (!second)
		fprintf(stderr, "hpmctl: %s what? (hpmctl %s --help tells)\n",
			first, first);
	else
		fprintf(stderr,
			"hpmctl: there is no command %s %s (hpmctl %s --help tells those there are)\n",
			first, second, first);
	return ST_USAGE;
}

static bool is_help(const char *word)
{
	return word && (!strcmp(word, "--help") || !strcmp(word, "-h") ||
			!strcmp(word, "help"));
}

static int print_version(void)
{
	printf("hpmctl %s (on-disk format %u)\n", HPMCTL_VERSION,
	       HPM_FORMAT_VERSION);
	return out_flush() ? ST_FAILED : ST_OK;
}

/* "hpmctl help pool create" is "hpmctl pool create --help". */
static int help_on(char **words, int nr)
{
	const struct cmd *cmd = NULL;
	int used;

	if (nr > 0)
		cmd = find_cmd(words[0], nr > 1 ? words[1] : NULL, &used);
	if (cmd)
		cli_help(cmd);
	else if (nr > 0 && !is_noun(words[0]))
		return wrong_usage(words[0], NULL);
	else
		print_usage(nr > 0 ? words[0] : NULL);
	return out_flush() ? ST_FAILED : ST_OK;
}

static int run(int argc, char **argv)
{
	const struct cmd *cmd;
	int words;

	/* Options that every command knows may come first, too. */
	for (; argc > 1 && argv[1][0] == '-'; argv++, argc--) {
		if (!strcmp(argv[1], "--json"))
			want_json = true;
		else if (!strcmp(argv[1], "-v") ||
			 !strcmp(argv[1], "--verbose"))
			verbose = true;
		else
			break;
	}
	if (argc < 2)
		return wrong_usage(NULL, NULL);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return print_version();
	if (is_help(argv[1]))
		return help_on(argv + 2, argc - 2);
	if (argc > 2 && is_noun(argv[1]) && is_help(argv[2]))
		return help_on(argv + 1, 1);
	cmd = find_cmd(argv[1], argc > 2 ? argv[2] : NULL, &words);
	if (!cmd)
		return wrong_usage(argv[1], argc > 2 ? argv[2] : NULL);
	return cli_run(cmd, argc - words, argv + words);
}

int main(int argc, char **argv)
{
	int status;

	/* Names in archives are UTF-8 whatever the user's locale is. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");
	status = run(argc, argv);
	dm_done();
	return status;
}
