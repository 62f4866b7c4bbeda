// SPDX-License-Identifier: GPL-2.0-only
/* hpmctl: pools and volumes of dm-hpmapper, for people and for scripts. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "dm.h"
#include "err.h"
#include "ondisk.h"
#include "out.h"
#include "suggest.h"

static void print_list(FILE *f, const char *noun)
{
	const struct cmd *const *c;
	char name[64];

	for (c = all_cmds; *c; c++) {
		if (noun && (!(*c)->noun || strcmp((*c)->noun, noun)))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s",
			       (*c)->noun ? (*c)->noun : "",
			       (*c)->noun ? " " : "", (*c)->verb);
		(void)fprintf(f, "  %-20s %s\n", name, (*c)->summary);
	}
}

static void print_usage(FILE *f, const char *noun)
{
	(void)fprintf(f, "usage: hpmctl [--json] %s ...\n\nCommands:\n",
		      noun ? noun : "COMMAND");
	print_list(f, noun);
	(void)fprintf(
		f,
		"\n\"hpmctl COMMAND --help\" prints details and examples; see also hpmctl(8).\n"
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
	char hint[256];

	if (!first)
		return err_say(
			ST_USAGE,
			"a command is missing (hpmctl --help lists them)");
	if (first[0] == '-')
		return err_say(
			ST_USAGE,
			"there is no option %s before a command (hpmctl --help lists the options)",
			first);
	if (is_noun(first) && !second)
		return err_say(
			ST_USAGE,
			"%s needs a command (hpmctl %s --help lists them)",
			first, first);
	suggest_command(first, second, hint, sizeof(hint));
	if (is_noun(first))
		return err_say(
			ST_USAGE,
			"there is no command %s %s (%s%shpmctl %s --help lists the commands)",
			first, second, hint, *hint ? " " : "", first);
	return err_say(
		ST_USAGE,
		"there is no command %s (%s%shpmctl --help lists the commands)",
		first, hint, *hint ? " " : "");
}

static bool is_help(const char *word)
{
	return word && (!strcmp(word, "--help") || !strcmp(word, "-h") ||
			!strcmp(word, "help"));
}

static int print_version(void)
{
	if (want_json)
		return out_json(json_pack("{s:s, s:i}", "version",
					  HPMCTL_VERSION, "on_disk_format",
					  HPM_FORMAT_VERSION));
	printf("hpmctl %s (on-disk format %u)\n", HPMCTL_VERSION,
	       HPM_FORMAT_VERSION);
	return 0;
}

/* "hpmctl help pool create" is "hpmctl pool create --help". */
static int help_on(char **words, int nr)
{
	const struct cmd *cmd = NULL;
	int used;

	/* "help --json" */
	while (nr > 0 && words[nr - 1][0] == '-')
		nr--;
	if (nr > 0)
		cmd = find_cmd(words[0], nr > 1 ? words[1] : NULL, &used);
	if (!cmd && nr > 0 && (!is_noun(words[0]) || nr > 1))
		return wrong_usage(words[0], nr > 1 ? words[1] : NULL);
	return cli_print_help(cmd, print_usage, nr > 0 ? words[0] : NULL);
}

/*
 * Whether --json is among the arguments: an error may be found before the
 * option is parsed.  getopt accepts abbreviations of it as well.
 */
static bool asks_for_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strncmp(argv[i], "--json=", 7) ||
		    (strlen(argv[i]) > 3 &&
		     !strncmp(argv[i], "--json", strlen(argv[i]))))
			return true;
	return false;
}

static int run(int argc, char **argv)
{
	const struct cmd *cmd;
	const char *second;
	int words;

	want_json = asks_for_json(argc, argv);
	/* The common options may also come first. */
	for (; argc > 1 && argv[1][0] == '-'; argv++, argc--) {
		if (!strcmp(argv[1], "-v") || !strcmp(argv[1], "--verbose"))
			verbose = true;
		else if (strcmp(argv[1], "--json") != 0)
			break;
	}
	if (argc < 2)
		return cli_finish(wrong_usage(NULL, NULL));
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return cli_finish(print_version());
	if (is_help(argv[1]))
		return cli_finish(help_on(argv + 2, argc - 2));
	if (argc > 2 && is_noun(argv[1]) && is_help(argv[2]))
		return cli_finish(help_on(argv + 1, 1));
	second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
	cmd = find_cmd(argv[1], second, &words);
	if (!cmd)
		return cli_finish(wrong_usage(argv[1], second));
	return cli_run(cmd, argc - words, argv + words);
}

/*
 * If one of these is closed, a device that is opened would get its number, and
 * output would be written to the device.  What is opened here cannot be written
 * to, so output to a closed file still fails.
 */
static bool open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd >= 0 && !close(fd);
}

int main(int argc, char **argv)
{
	int status;

	if (!open_standard_files())
		return ST_FAILED;
	/*
	 * A reader that closes the pipe must not interrupt a half-finished
	 * command.
	 */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Names in archives are UTF-8 whatever the user's locale is. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");
	/* The arguments of a command come before its options. */
	(void)unsetenv("POSIXLY_CORRECT");
	status = run(argc, argv);
	dm_done();
	return status;
}
