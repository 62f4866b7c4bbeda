// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "err.h"
#include "kmsg.h"
#include "run.h"
#include "text.h"

/* For devices that udev rules must not look into: they hold no file system. */
#define HIDDEN_FLAGS                            \
	(DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | \
	 DM_UDEV_DISABLE_DISK_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG)

/*----------------------------------------------------------------
 * Tasks
 *--------------------------------------------------------------*/

static char lib_error[256];
static int last_errno;

/* Without this function, the library writes to stderr. */
__attribute__((format(printf, 5, 6))) static void
lib_log(int level, const char *file, int line, int dm_errno, const char *fmt,
	...)
{
	va_list ap;

	(void)file;
	(void)line;
	(void)dm_errno;
	if ((level & 7) > 3) /* LOG_ERR and worse */
		return;
	va_start(ap, fmt);
	(void)vsnprintf(lib_error, sizeof(lib_error), fmt, ap);
	va_end(ap);
	note("libdevmapper: %s", lib_error);
}

static struct dm_task *task_new(int type, const char *name)
{
	struct dm_task *task;

	if (geteuid()) {
		(void)err_sys(EPERM, "device-mapper is for root only");
		return NULL;
	}
	dm_log_with_errno_init(lib_log);
	lib_error[0] = '\0';
	task = dm_task_create(type);
	if (!task || (name && !dm_task_set_name(task, name))) {
		(void)err_say(ST_FAILED, "cannot ask device-mapper: %s",
			      lib_error);
		if (task)
			dm_task_destroy(task);
		return NULL;
	}
	return task;
}

static int task_failed(struct dm_task *task, int mark, const char *what,
		       const char *name)
{
	char reason[512];
	int err = dm_task_get_errno(task);

	last_errno = err;
	if (err)
		(void)err_sys(err, "%s %s", what, name);
	else
		(void)err_say(ST_FAILED, "%s %s: %s", what, name, lib_error);
	if (kmsg_reason(mark, reason, sizeof(reason)))
		err_kernel(reason);
	return -1;
}

/* Runs the task; a failure is reported as "<what> <name>: <errno's text>". */
static int task_run(struct dm_task *task, const char *what, const char *name)
{
	int mark = kmsg_mark();
	int ret = 0;

	if (!dm_task_run(task))
		ret = task_failed(task, mark, what, name);
	kmsg_close(mark);
	return ret;
}

/* The same for tasks that make or remove nodes in /dev. */
static int task_run_wait(struct dm_task *task, bool hidden, const char *what,
			 const char *name)
{
	uint32_t cookie = 0;
	int ret;

	if (!dm_task_set_cookie(task, &cookie, hidden ? HIDDEN_FLAGS : 0))
		return err_say(ST_FAILED, "cannot prepare to wait for udev: %s",
			       lib_error);
	ret = task_run(task, what, name);
	/* Also after a failure, as this frees the semaphore. */
	if (!dm_udev_wait(cookie) && !ret)
		ret = err_say(ST_FAILED, "udev did not finish with %s", name);
	return ret;
}

int dm_last_errno(void)
{
	return last_errno;
}

void dm_done(void)
{
	dm_lib_exit();
}

/*----------------------------------------------------------------
 * Devices
 *--------------------------------------------------------------*/

int dm_state_of(const char *name, struct dm_state *state)
{
	struct dm_task *task = task_new(DM_DEVICE_INFO, name);
	struct dm_info info;
	const char *uuid;
	int ret = -1;

	memset(state, 0, sizeof(*state));
	if (!task)
		return -1;
	if (task_run(task, "cannot ask about the device", name))
		goto out;
	if (!dm_task_get_info(task, &info)) {
		(void)err_say(ST_FAILED, "no answer about the device %s", name);
		goto out;
	}
	ret = 0;
	state->exists = info.exists;
	if (!info.exists)
		goto out;
	state->major = info.major;
	state->minor = info.minor;
	state->open_count = info.open_count;
	state->suspended = info.suspended;
	state->read_only = info.read_only;
	state->live = info.live_table;
	uuid = dm_task_get_uuid(task);
	(void)snprintf(state->uuid, sizeof(state->uuid), "%s",
		       uuid ? uuid : "");
out:
	dm_task_destroy(task);
	return ret;
}

static bool add_lines(struct dm_task *task, const struct dm_spec *spec)
{
	uint64_t start = 0;
	unsigned int i;

	for (i = 0; i < spec->nr; i++) {
		const struct dm_line *l = &spec->line[i];

		if (!dm_task_add_target(task, start, l->length, l->type,
					l->params))
			return false;
		note("table of %s: %llu %llu %s %s", spec->name,
		     (unsigned long long)start, (unsigned long long)l->length,
		     l->type, l->params);
		start += l->length;
	}
	return !spec->read_only || dm_task_set_ro(task);
}

/* Makes an empty device; its node is made when it gets a table. */
static int make_empty(const struct dm_spec *spec)
{
	struct dm_task *task = task_new(DM_DEVICE_CREATE, spec->name);
	int ret = -1;

	if (!task)
		return -1;
	if ((spec->uuid && !dm_task_set_uuid(task, spec->uuid)) ||
	    !dm_task_set_add_node(task, DM_ADD_NODE_ON_RESUME))
		(void)err_nomem();
	else
		ret = task_run(task, "cannot make the device", spec->name);
	dm_task_destroy(task);
	return ret;
}

static int load(const struct dm_spec *spec, const char *what)
{
	struct dm_task *task = task_new(DM_DEVICE_RELOAD, spec->name);
	int ret = -1;

	if (!task)
		return -1;
	if (!add_lines(task, spec))
		(void)err_nomem();
	else
		ret = task_run(task, what, spec->name);
	dm_task_destroy(task);
	return ret;
}

static int resume(const char *name, bool hidden)
{
	struct dm_task *task = task_new(DM_DEVICE_RESUME, name);
	int ret;

	if (!task)
		return -1;
	ret = task_run_wait(task, hidden, "cannot resume", name);
	dm_task_destroy(task);
	return ret;
}

void dm_unmake(const char *name)
{
	struct err_state first;

	err_save(&first);
	if (dm_remove(name, false))
		warn("the device %s could not be removed: %s; remove it with \"dmsetup remove %s\"",
		     name, err_text(), name);
	err_restore(&first);
}

/*
 * Creates the device in three steps, like the library; but when the library
 * does all of them, it returns no errno.
 */
int dm_create(const struct dm_spec *spec)
{
	if (make_empty(spec))
		return -1;
	if (!load(spec, "cannot set up") && !resume(spec->name, spec->hidden))
		return 0;
	dm_unmake(spec->name);
	return -1;
}

/* Drops the new table, so that the live one stays. */
static void drop_new_table(const char *name)
{
	struct dm_task *task = task_new(DM_DEVICE_CLEAR, name);

	if (task)
		(void)task_run(task, "cannot drop the new table of", name);
	if (task)
		dm_task_destroy(task);
}

static int suspend(const char *name)
{
	struct dm_task *task = task_new(DM_DEVICE_SUSPEND, name);
	int ret = -1;

	if (!task)
		return -1;
	if (!dm_task_skip_lockfs(task))
		(void)err_nomem();
	else
		ret = task_run(task, "cannot suspend", name);
	dm_task_destroy(task);
	return ret;
}

#define LINES_MAX 32

static uint64_t lines_length(const struct dm_line *line, unsigned int nr)
{
	uint64_t length = 0;

	while (nr)
		length += line[--nr].length;
	return length;
}

/*
 * If a resume fails, the new table may already have replaced the old one; then
 * the old one is put back.
 */
static void put_back(const struct dm_spec *spec, const struct dm_line *old,
		     int nr, const struct dm_undo *undo)
{
	struct dm_spec back = *spec;
	struct dm_line now[LINES_MAX];
	int nr_now = dm_table_lines(spec->name, now, LINES_MAX);

	back.nr = (unsigned int)nr;
	memcpy(back.line, old, (size_t)nr * sizeof(*old));
	if (nr_now > 0 && lines_length(now, (unsigned int)nr_now) ==
				  lines_length(old, back.nr))
		drop_new_table(spec->name);
	else if (load(&back, "cannot load the old table for"))
		drop_new_table(spec->name);
	if (undo)
		undo->fn(undo->ctx);
	(void)resume(spec->name, spec->hidden);
	if (nr_now > 0)
		dm_lines_free(now, nr_now);
}

int dm_replace(const struct dm_spec *spec, bool suspend_first,
	       const struct dm_undo *undo)
{
	struct dm_line old[LINES_MAX];
	int ret = -1, nr = dm_table_lines(spec->name, old, LINES_MAX);

	if (nr < 1)
		return nr ? -1 :
			    err_say(ST_FAILED, "the device %s has no table",
				    spec->name);
	if (!load(spec, "cannot load a new table for")) {
		ret = (suspend_first && suspend(spec->name)) ||
				      resume(spec->name, spec->hidden) ?
			      -1 :
			      0;
		if (ret)
			put_back(spec, old, nr, undo);
	}
	dm_lines_free(old, nr);
	return ret;
}

int dm_remove(const char *name, bool deferred)
{
	struct dm_task *task = task_new(DM_DEVICE_REMOVE, name);
	bool pending = err_pending();
	int ret = -1;

	last_errno = 0;
	if (!task)
		return -1;
	/* A program like blkid may have it open for a moment. */
	if (!(deferred ? dm_task_deferred_remove(task) :
			 dm_task_retry_remove(task)))
		(void)err_nomem();
	else
		ret = task_run_wait(task, false, "cannot remove the device",
				    name);
	dm_task_destroy(task);
	if (!ret || last_errno != ENXIO)
		return ret;
	if (!pending)
		err_clear();
	return 0;
}

int dm_rename(const char *name, const char *new_name)
{
	struct dm_task *task = task_new(DM_DEVICE_RENAME, name);
	int ret = -1;

	if (!task)
		return -1;
	if (!dm_task_set_newname(task, new_name))
		(void)err_say(ST_USAGE, "%s cannot be a device's name",
			      new_name);
	else
		ret = task_run_wait(task, false, "cannot rename the device",
				    name);
	dm_task_destroy(task);
	return ret;
}

/*----------------------------------------------------------------
 * Tables, statuses, messages
 *--------------------------------------------------------------*/

void dm_lines_free(struct dm_line *line, int nr)
{
	while (nr-- > 0) {
		free(line[nr].params);
		line[nr].params = NULL;
	}
}

static int take_lines(struct dm_task *task, struct dm_line *line, int max)
{
	void *next = NULL;
	int nr = 0;

	do {
		uint64_t start, length;
		char *type = NULL, *params = NULL;

		next = dm_get_next_target(task, next, &start, &length, &type,
					  &params);
		if (!type)
			break;
		line[nr].length = length;
		(void)snprintf(line[nr].type, sizeof(line[nr].type), "%s",
			       type);
		line[nr].params = strdup(params ? params : "");
		if (!line[nr].params) {
			dm_lines_free(line, nr);
			return err_nomem();
		}
		nr++;
	} while (next && nr < max);
	return nr;
}

static int get_lines(int type, const char *name, bool flush,
		     struct dm_line *line, int max)
{
	struct dm_task *task = task_new(type, name);
	int nr = -1;

	if (!task)
		return -1;
	if (!flush && !dm_task_no_flush(task))
		(void)err_nomem();
	else if (!task_run(task, "cannot ask about the device", name))
		nr = take_lines(task, line, max);
	dm_task_destroy(task);
	return nr;
}

static int get_line(int type, const char *name, bool flush,
		    struct dm_line *line)
{
	int nr = get_lines(type, name, flush, line, 1);

	if (!nr)
		return err_say(ST_FAILED, "the device %s has no table", name);
	return nr < 0 ? -1 : 0;
}

int dm_table(const char *name, struct dm_line *line)
{
	return get_line(DM_DEVICE_TABLE, name, true, line);
}

int dm_table_lines(const char *name, struct dm_line *line, int max)
{
	return get_lines(DM_DEVICE_TABLE, name, true, line, max);
}

int dm_status(const char *name, bool flush, struct dm_line *line)
{
	return get_line(DM_DEVICE_STATUS, name, flush, line);
}

int dm_save(const char *name, struct dm_saved *saved)
{
	struct dm_state st;

	memset(saved, 0, sizeof(*saved));
	if (dm_state_of(name, &st) || dm_table(name, &saved->line))
		return -1;
	(void)snprintf(saved->name, sizeof(saved->name), "%s", name);
	memcpy(saved->uuid, st.uuid, sizeof(saved->uuid));
	saved->read_only = st.read_only;
	return 0;
}

void dm_restore(const struct dm_saved *saved)
{
	struct dm_spec spec = {
		.name = saved->name,
		.uuid = saved->uuid[0] ? saved->uuid : NULL,
		.read_only = saved->read_only,
		.nr = 1,
		.line[0] = saved->line,
	};

	note("restoring the device %s", saved->name);
	(void)dm_create(&spec);
}

void dm_saved_free(struct dm_saved *saved)
{
	dm_lines_free(&saved->line, 1);
}

static int send_message(const char *name, char **reply, const char *message)
{
	struct dm_task *task = task_new(DM_DEVICE_TARGET_MSG, name);
	const char *answer;
	int ret = -1;

	if (!task)
		return -1;
	note("message to %s: %s", name, message);
	if (!dm_task_set_sector(task, 0) || !dm_task_set_message(task, message))
		(void)err_nomem();
	else
		ret = task_run(task, "the pool refused the message", message);
	if (!ret && reply) {
		answer = dm_task_get_message_response(task);
		*reply = strdup(answer ? answer : "");
		if (!*reply)
			ret = err_nomem();
	}
	dm_task_destroy(task);
	return ret;
}

int dm_message(const char *name, char **reply, const char *fmt, ...)
{
	char message[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(message))
		return err_say(ST_USAGE, "the message is too long: %.60s...",
			       message);
	return send_message(name, reply, message);
}

/*----------------------------------------------------------------
 * All devices, all targets
 *--------------------------------------------------------------*/

static const struct dm_names *names_next(const struct dm_names *n)
{
	return n->next ? (const struct dm_names *)((const char *)n + n->next) :
			 NULL;
}

int dm_each(int (*fn)(const struct dm_name *dev, void *ctx), void *ctx)
{
	struct dm_task *task = task_new(DM_DEVICE_LIST, NULL);
	const struct dm_names *n;
	int ret = -1;

	if (!task)
		return -1;
	if (task_run(task, "cannot list", "the devices"))
		goto out;
	ret = 0;
	n = dm_task_get_names(task);
	for (; n && n->dev && !ret; n = names_next(n)) {
		struct dm_name dev = {
			.name = n->name,
			.major = (n->dev & 0xfff00) >> 8,
			.minor = (n->dev & 0xff) | ((n->dev >> 12) & 0xfff00),
		};

		ret = fn(&dev, ctx);
	}
out:
	dm_task_destroy(task);
	return ret;
}

static const struct dm_versions *versions_next(const struct dm_versions *v)
{
	return v->next ?
		       (const struct dm_versions *)((const char *)v + v->next) :
		       NULL;
}

/* 1: the kernel has the target, 0: it does not, -1: cannot tell */
static int has_target(const char *type)
{
	struct dm_task *task = task_new(DM_DEVICE_LIST_VERSIONS, NULL);
	const struct dm_versions *v;
	int ret = -1;

	if (!task)
		return -1;
	if (task_run(task, "cannot list", "the kernel's targets"))
		goto out;
	ret = 0;
	for (v = dm_task_get_versions(task); v && !ret; v = versions_next(v))
		ret = !strcmp(v->name, type);
out:
	dm_task_destroy(task);
	return ret;
}

int dm_need_target(const char *type)
{
	const char *const argv[] = { "modprobe", "-q", "dm-hpmapper", NULL };
	int has = has_target(type);

	if (!has) {
		note("loading the module dm-hpmapper");
		if (run_program(argv, NULL, 0) < 0)
			return -1;
		has = has_target(type);
	}
	if (!has)
		return err_say(
			ST_NOT_FOUND,
			"the kernel has no target %s, and the module dm-hpmapper could not be loaded",
			type);
	return has < 0 ? -1 : 0;
}
