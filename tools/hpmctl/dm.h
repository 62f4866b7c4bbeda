/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device-mapper, through libdevmapper.
 *
 * Works with udev and without: every task that makes, renames or removes a
 * device carries a cookie and waits for it, so that /dev/mapper is up to date
 * when the function returns; where no udev runs (or DM_DISABLE_UDEV is set),
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

/* The description of a device to be made. */
struct dm_spec {
	const char *name;
	const char *uuid; /* NULL: none */
	bool read_only;
	bool hidden; /* udev rules must not look into it */
	unsigned int nr;
	struct dm_line line[32]; /* each begins where the last ended */
};

/* Finds out what exists under @name; that nothing exists is not a failure. */
int dm_state_of(const char *name, struct dm_state *state);
/*
 * Makes the device and loads its table; if this fails, nothing is left of it.
 */
int dm_create(const struct dm_spec *spec);
/*
 * Replaces the table of an existing device and makes the new one live; if this
 * fails, the old one stays.  @suspend: suspend the target first, without
 * freezing a file system above it.
 *
 * If the replacement fails, @undo (unless it is NULL) is called before the old
 * table is made live again: a target may look at the devices below it when it
 * is resumed.
 */
struct dm_undo {
	void (*fn)(void *ctx);
	void *ctx;
};
int dm_replace(const struct dm_spec *spec, bool suspend,
	       const struct dm_undo *undo);
/*
 * @deferred: the device is removed when its last user closes it.  If it has
 * been removed already, as udev does after a deferred removal, this is a
 * success.
 */
int dm_remove(const char *name, bool deferred);
/* Removes a device that was just made; if it stays, a note says so. */
void dm_unmake(const char *name);
int dm_rename(const char *name, const char *new_name);

/*
 * Returns the first line of the live table, or of the status.  @flush: the
 * target may first write what it holds in memory.  The caller frees
 * line->params.
 */
int dm_table(const char *name, struct dm_line *line);
int dm_status(const char *name, bool flush, struct dm_line *line);
/*
 * Returns the lines of the live table, @max at most; returns their number, or
 * -1.
 */
int dm_table_lines(const char *name, struct dm_line *line, int max);
void dm_lines_free(struct dm_line *line, int nr);

/*
 * Sends a message to sector 0.  *@reply (unless @reply is NULL) is the target's
 * answer, "" if there is none; the caller frees it.
 */
int dm_message(const char *name, char **reply, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Calls @fn for every device until it returns non-zero; returns that value. */
struct dm_name {
	const char *name;
	uint32_t major, minor;
};
int dm_each(int (*fn)(const struct dm_name *dev, void *ctx), void *ctx);

/*
 * Makes sure that the kernel has the target, and loads our module if it does
 * not.
 */
int dm_need_target(const char *type);
/* Closes what libdevmapper holds open. */
void dm_done(void);

/*
 * The errno of the last task that failed, even if an earlier sentence stands.
 */
int dm_last_errno(void);

/* All that is needed to restore a device that is about to be removed. */
struct dm_saved {
	char name[DM_NAME_MAX];
	char uuid[DM_NAME_MAX + 1];
	bool read_only;
	struct dm_line line;
};

int dm_save(const char *name, struct dm_saved *saved);
/* Restores a device after a failure; reports no error of its own. */
void dm_restore(const struct dm_saved *saved);
void dm_saved_free(struct dm_saved *saved);

#endif /* HPMCTL_DM_H */
