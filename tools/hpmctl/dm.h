/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device-mapper, through libdevmapper.
 *
 * Works with udev and without: every task that makes, renames or removes a
 * device carries a cookie and waits for it, so that /dev/mapper is as it must
 * be when the function returns; where no udev runs (or DM_DISABLE_UDEV is set),
 * the library makes the nodes itself.
 */
#ifndef HPMCTL_DM_H
#define HPMCTL_DM_H

#include <stdbool.h>
#include <stdint.h>

#define DM_NAME_MAX 128 /* with the terminating NUL */
#define DM_NUM_TEXT 24	/* "253:17" */

/* One line of a table, or of a status. */
struct dm_line {
	uint64_t length; /* sectors */
	char type[32];
	char *params;
};

struct dm_state {
	bool exists;
	uint32_t major, minor;
	int open_count;
	bool suspended;
	bool read_only;
	bool live; /* has a table */
	char uuid[DM_NAME_MAX + 1];
};

/* What a device shall be. */
struct dm_spec {
	const char *name;
	const char *uuid; /* NULL: none */
	bool read_only;
	bool hidden; /* udev rules must not look into it */
	unsigned int nr;
	struct dm_line line[32]; /* one behind the other */
};

/* What exists under @name; that nothing does is no failure. */
int dm_state_of(const char *name, struct dm_state *state);
/* Makes the device and loads its table; nothing stays if that fails. */
int dm_create(const struct dm_spec *spec);
/*
 * Puts another table under an existing device and makes it live; the old one
 * stays if that fails.  @suspend: the target is to be suspended before, without
 * a file system above it being frozen.
 *
 * @undo, which may be NULL, is called if that fails, before the old table is made
 * live again: a target may look at what is below it as it is resumed.
 */
struct dm_undo {
	void (*fn)(void *ctx);
	void *ctx;
};
int dm_replace(const struct dm_spec *spec, bool suspend,
	       const struct dm_undo *undo);
/*
 * @deferred: goes away when its last user does.  That somebody else has removed
 * it by now, as udev does after a deferred removal, is what was wanted.
 */
int dm_remove(const char *name, bool deferred);
/* Removes what was made a moment ago; that it stays is told as a note. */
void dm_unmake(const char *name);
int dm_rename(const char *name, const char *new_name);

/*
 * The first line of the live table or of the status.  @flush: the status may
 * make the target write what it holds first.  The caller frees line->params.
 */
int dm_table(const char *name, struct dm_line *line);
int dm_status(const char *name, bool flush, struct dm_line *line);
/* All lines of the live table, up to @max; returns how many, or -1. */
int dm_table_lines(const char *name, struct dm_line *line, int max);
void dm_lines_free(struct dm_line *line, int nr);

/*
 * Sends a message to sector 0.  *@reply (unless @reply is NULL) is what the
 * target answered, "" if nothing; the caller frees it.
 */
int dm_message(const char *name, char **reply, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Calls @fn for every device until it returns other than 0; returns that. */
struct dm_name {
	const char *name;
	uint32_t major, minor;
};
int dm_each(int (*fn)(const struct dm_name *dev, void *ctx), void *ctx);

/* The kernel has the target, perhaps after loading our module. */
int dm_need_target(const char *type);
/* Closes what libdevmapper holds open. */
void dm_done(void);

/* The errno of the task that failed last, whatever sentence was said first. */
int dm_last_errno(void);

/* All that is needed to make a device again that is about to be removed. */
struct dm_saved {
	char name[DM_NAME_MAX];
	char uuid[DM_NAME_MAX + 1];
	bool read_only;
	struct dm_line line;
};

int dm_save(const char *name, struct dm_saved *saved);
/* For the undoing of what failed: says nothing of its own. */
void dm_restore(const struct dm_saved *saved);
void dm_saved_free(struct dm_saved *saved);

#endif /* HPMCTL_DM_H */
