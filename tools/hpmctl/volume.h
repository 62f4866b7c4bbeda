/* SPDX-License-Identifier: GPL-2.0-only */
/* The volumes of a pool, as the pool lists them. */
#ifndef HPMCTL_VOLUME_H
#define HPMCTL_VOLUME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ondisk.h"
#include "pool.h"

#define NO_ID UINT32_MAX

struct volume {
	uint32_t id;
	uint64_t serial, parent; /* parent: a serial, 0: none */
	uint64_t bytes;		 /* 0: not set */
	uint64_t mapped;	 /* mapped bytes, shared or not */
	bool read_only, no_share, active;
	uint64_t created;	  /* in the pool's time */
	char name[HPM_NAME_SIZE]; /* "" if it has none */
	/* filled by volumes_find_devices() */
	char device[DM_NAME_MAX]; /* "" if not known */
	char num[DM_NUM_TEXT];
};

struct volumes {
	struct volume *v;
	size_t nr, room;
};

int volumes_read(const struct pool *pool, struct volumes *vols);
void volumes_free(struct volumes *vols);
/* Parses one line of a "list" or "info" answer; false: it is malformed. */
bool volume_parse(char *line, struct volume *v);
/* Adds the lines of an answer; *@last is the last id in it. */
int volumes_parse(char *text, struct volumes *vols, uint32_t *last);

/* Finds a volume by name or id; NULL without a sentence if there is none. */
struct volume *volume_find(const struct volumes *vols, const char *name);
struct volume *volume_by_serial(const struct volumes *vols, uint64_t serial);
uint32_t volumes_free_id(const struct volumes *vols);
/* The name of a volume, or its id if it has no name. */
const char *volume_label(const struct volume *v, char out[HPM_NAME_SIZE]);

/* Reads the pool's list and copies the volume that @name names. */
int volume_get(const struct pool *pool, const char *name, struct volume *v);
/* Finds the device of an active volume, whatever its name is. */
int volume_find_device(const struct pool *pool, struct volume *v);
int volumes_find_devices(const struct pool *pool, struct volumes *vols);

/*
 * Messages.  The id NO_ID becomes the lowest free one.  *@v is the volume after
 * the change.
 */
int volume_create(const struct pool *pool, const char *name, uint32_t id,
		  uint64_t bytes, struct volume *v);
int volume_snapshot(const struct pool *pool, const struct volume *origin,
		    const char *name, uint32_t id, uint64_t bytes,
		    struct volume *v);
/* A volume that another program has deleted meanwhile is no failure. */
int volume_delete(const struct pool *pool, struct volume *v);
int volume_set_read_only(const struct pool *pool, const struct volume *v,
			 bool on);

/* The name that the device gets: POOL-NAME, or POOL-ID. */
int volume_device_name(const struct pool *pool, const struct volume *v,
		       char out[DM_NAME_MAX]);
/*
 * Makes the device.  @bytes: its size, 0 for the size of the volume; @hidden:
 * for our own use, so udev rules ignore it.  Fills in v->device and v->num.
 */
int volume_activate(const struct pool *pool, struct volume *v, uint64_t bytes,
		    bool read_only, bool hidden);
/*
 * Refuses the volume if another device has the name that its device would get.
 */
int volume_check_device_name(const struct pool *pool, const struct volume *v);
/*
 * If the device is gone by now, after a deferred removal, this is no failure.
 */
int volume_deactivate(const struct pool *pool, struct volume *v, bool deferred);
/* Refuses a volume that is active and in use, before anything is done. */
int volume_check_unused(const struct volume *v);

/* Devices that were removed, to be restored if a later step fails. */
struct removed {
	struct dm_saved *dev;
	size_t nr;
};

/* Like volume_deactivate(), but removed_restore() can undo it. */
int volume_deactivate_saved(const struct pool *pool, struct volume *v,
			    struct removed *removed);
void removed_restore(const struct removed *removed);
void removed_free(struct removed *removed);
/*
 * For a pool that is to be removed: refuses if a volume is active, or (@force)
 * deactivates all volumes; if one fails, none is.
 */
int volumes_deactivate_all(const struct pool *pool, bool force,
			   struct removed *removed);

json_t *volume_json(const struct pool *pool, const struct volumes *vols,
		    const struct volume *v);

#endif /* HPMCTL_VOLUME_H */
