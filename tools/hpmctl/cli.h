/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line: a table describes the arguments of each command; the parser
 * and the help use it.
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
	const char *meta; /* the argument's name in the help */
	const char *help;
};

struct cmd {
	const char *noun; /* NULL for commands of one word */
	const char *verb;
	const char *args; /* as shown in the help */
	const char *need; /* required options, as shown in the help */
	int min_args, max_args;
	const char *summary;
	const char *more; /* further paragraphs of the help, or NULL */
	const char *examples;
	const struct opt *opts;
	int (*run)(char **args, int nr);
	/* Returns the option that a surplus argument may belong to, or NULL. */
	const char *(*option_for)(const char *arg);
};

extern bool want_json;

/*
 * Parses @argv (which begins with the command's last word) for @cmd and runs
 * it; returns the exit status.
 */
int cli_run(const struct cmd *cmd, int argc, char **argv);
/*
 * Prints the help, or what @list prints; with --json as a document.  -1: failed
 */
int cli_print_help(const struct cmd *cmd,
		   void (*list)(FILE *f, const char *noun), const char *noun);
/*
 * The last step of every command: prints the document of --json and the error,
 * if there is one.  @ret: below 0 if the command failed; returns the exit
 * status.
 */
int cli_finish(int ret);

/*
 * Returns the result of a command that has done its work and then tried to show
 * it.  @ret, the result of showing it, is below 0 if that failed.  This is
 * reported as a note only: the command itself has succeeded, and nothing is
 * undone.
 */
int cli_shown(int ret);

/* All commands; the last one has no verb. */
extern const struct cmd *const all_cmds[];

/* The commands of each noun. */
extern const struct cmd pool_create_cmd, pool_activate_cmd, pool_remove_cmd,
	pool_status_cmd, pool_list_cmd, pool_grow_cmd, pool_checkpoint_cmd,
	pool_set_cmd;
extern const struct cmd volume_create_cmd, volume_snapshot_cmd,
	volume_activate_cmd, volume_deactivate_cmd, volume_remove_cmd,
	volume_list_cmd, volume_stat_cmd, volume_resize_cmd, volume_rename_cmd,
	volume_set_cmd;
extern const struct cmd import_cmd, top_cmd;

#endif /* HPMCTL_CLI_H */
