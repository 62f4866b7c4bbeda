// SPDX-License-Identifier: GPL-2.0-only
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "suggest.h"

#define WORD_MAX 24 /* no command has a longer word */
#define FAR	 100

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int word_distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > WORD_MAX || lb > WORD_MAX)
		return FAR;
	for (j = 0; j <= lb; j++)
		row[0][j] = (unsigned int)j;
	for (i = 1; i <= la; i++) {
		unsigned int *now = row[i % 3];
		const unsigned int *above = row[(i - 1) % 3];

		now[0] = (unsigned int)i;
		for (j = 1; j <= lb; j++) {
			now[j] = least(least(above[j], now[j - 1]) + 1,
				       above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j],
					       row[(i - 2) % 3][j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

/* Words of other tools for our commands. */
static const char *const synonyms[][2] = {
	{ "ls", "list" },	    { "show", "list" },
	{ "show", "stat" },	    { "show", "status" },
	{ "info", "stat" },	    { "info", "status" },
	{ "stat", "status" },	    { "status", "stat" },
	{ "rm", "remove" },	    { "del", "remove" },
	{ "delete", "remove" },	    { "destroy", "remove" },
	{ "new", "create" },	    { "add", "create" },
	{ "make", "create" },	    { "mk", "create" },
	{ "init", "create" },	    { "open", "activate" },
	{ "start", "activate" },    { "up", "activate" },
	{ "enable", "activate" },   { "attach", "activate" },
	{ "close", "deactivate" },  { "stop", "deactivate" },
	{ "down", "deactivate" },   { "disable", "deactivate" },
	{ "detach", "deactivate" }, { "deactivate", "remove" },
	{ "clone", "snapshot" },    { "snap", "snapshot" },
	{ "copy", "snapshot" },	    { "mv", "rename" },
	{ "extend", "grow" },	    { "expand", "grow" },
	{ "resize", "grow" },	    { "extend", "resize" },
	{ "expand", "resize" },	    { "grow", "resize" },
	{ "shrink", "resize" },	    { "reduce", "resize" },
	{ "sync", "checkpoint" },   { "load", "import" },
	{ "pull", "import" },	    { "volumes", "volume" },
	{ "vol", "volume" },	    { "vols", "volume" },
	{ "lv", "volume" },	    { "pools", "pool" },
	{ "vg", "pool" },	    { "monitor", "top" },
};

/* 0: the same, 1: a synonym, more: the number of different letters, or FAR */
static unsigned int cost(const char *typed, const char *word)
{
	unsigned int d;
	size_t i;

	if (!strcmp(typed, word))
		return 0;
	for (i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (!strcmp(typed, synonyms[i][0]) &&
		    !strcmp(word, synonyms[i][1]))
			return 1;
	d = word_distance(typed, word);
	return d <= least(2, (unsigned int)strlen(word) / 3) ? d + 1 : FAR;
}

/* "pool-list", "pool_list" */
static unsigned int joined_cost(const char *typed, const struct cmd *c)
{
	char word[64];
	unsigned int d;

	(void)snprintf(word, sizeof(word), "%s-%s", c->noun, c->verb);
	d = word_distance(typed, word);
	return d <= 1 ? d + 1 : FAR;
}

static unsigned int command_cost(const struct cmd *c, const char *first,
				 const char *second)
{
	unsigned int best;

	if (!c->noun)
		return cost(first, c->verb);
	best = least(joined_cost(first, c), cost(first, c->verb) + 4);
	if (!second)
		return best;
	best = least(best, cost(first, c->noun) + cost(second, c->verb));
	return least(best, cost(first, c->verb) + cost(second, c->noun) + 1);
}

static void add_command(const struct cmd *c, unsigned int nr, char *out,
			size_t size)
{
	size_t at = strlen(out);

	(void)snprintf(out + at, size - at, "%s\"%s%s%s\"",
		       nr ? ", or " : "did you mean ", c->noun ? c->noun : "",
		       c->noun ? " " : "", c->verb);
}

/* "pools" alone: the noun without a command. */
static void suggest_noun(const char *first, char *out, size_t size)
{
	const struct cmd *const *c;
	unsigned int d;

	for (c = all_cmds; *c; c++) {
		d = (*c)->noun ? cost(first, (*c)->noun) : FAR;
		if (d && d < FAR) {
			(void)snprintf(out, size, "did you mean \"%s\"?",
				       (*c)->noun);
			return;
		}
	}
}

void suggest_command(const char *first, const char *second, char *out,
		     size_t size)
{
	const struct cmd *const *c;
	unsigned int best = FAR - 1, nr = 0;

	out[0] = '\0';
	for (c = all_cmds; *c; c++)
		best = least(best, command_cost(*c, first, second));
	if (best == FAR - 1) {
		suggest_noun(first, out, size);
		return;
	}
	for (c = all_cmds; *c; c++)
		if (command_cost(*c, first, second) == best)
			add_command(*c, nr++, out, size);
	if (nr && strlen(out) + 1 < size)
		strcat(out, "?");
}

const char *suggest_word(const char *word, const char *const *words, size_t nr)
{
	const char *found = NULL;
	unsigned int best = FAR;
	size_t i;

	for (i = 0; i < nr; i++) {
		unsigned int d = cost(word, words[i]);

		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
