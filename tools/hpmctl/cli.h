/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line: every command is a table of what it takes, from which it
 * is parsed and its help is printed.
 */
#ifndef HPMCTL_CLI_H
#define HPMCTL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_kind {
	OPT_FLAG,    /* bool */
	OPT_STRING,  /* const char * */
	OPT_SIZE,    /* uint64_t, bytes, not 0 */
	OPT_SIZE_0,  /* the same, or 0 */
	OPT_UINT,    /* uint64_t */
	OPT_COUNT,   /* the same, not 0 */
	OPT_SECONDS, /* double */
	OPT_LIST,    /* struct str_list */
};

#define STR_LIST_MAX 32
struct str_list {
	const char *item[STR_LIST_MAX];
	unsigned int nr;
};

struct opt {
	const char *name; /* NULL ends a table */
	char letter;	  /* 0: none */
	enum opt_kind kind;
	void *value;
	const char *meta; /* what the help calls the argument */
	const char *help;
};

struct cmd {
	const char *noun; /* NULL for commands of one word */
	const char *verb;
	const char *args; /* as the help shows them */
	const char *need; /* options that must be given, as it shows them */
	int min_args, max_args;
	const char *summary;
	const char *more; /* further paragraphs of the help, or NULL */
	const char *examples;
	const struct opt *opts;
	int (*run)(char **args, int nr);
	/* Which option the one argument too many may belong to, or NULL. */
	const char *(*option_for)(const char *arg);
};

extern bool want_json;

/*
 * Parses @argv (which begins with the command's last word) for @cmd and runs
 * it; returns the exit status.
 */
int cli_run(const struct cmd *cmd, int argc, char **argv);
/* Prints it, or what @list prints; with --json as a document.  -1: failed */
int cli_print_help(const struct cmd *cmd,
		   void (*list)(FILE *f, const char *noun), const char *noun);
/*
 * The end of every command: prints the document of --json and the error, if
 * there is one.  @ret: below 0 if the command failed; returns the exit status.
 */
int cli_finish(int ret);

/*
 * The return value of a command that has done its work and then showed it:
 * @ret, what showing it returned, is below 0 if that failed.  Such a command has
 * not failed, as nothing is undone; that is told as a note.
 */
int cli_shown(int ret);

/* All commands; the last has no verb. */
extern const struct cmd *const all_cmds[];

/* The tables of the nouns. */
extern const struct cmd pool_create_cmd, pool_activate_cmd, pool_remove_cmd,
	pool_status_cmd, pool_list_cmd, pool_grow_cmd, pool_checkpoint_cmd,
	pool_set_cmd;
extern const struct cmd volume_create_cmd, volume_snapshot_cmd,
	volume_activate_cmd, volume_deactivate_cmd, volume_remove_cmd,
	volume_list_cmd, volume_stat_cmd, volume_resize_cmd, volume_rename_cmd,
	volume_set_cmd;
extern const struct cmd import_cmd, top_cmd;

#endif /* HPMCTL_CLI_H */
