/* SPDX-License-Identifier: GPL-2.0-only */
/* The volumes of a pool, as the pool tells of them. */
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
	uint64_t mapped;	 /* bytes that take space, shared or not */
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
/* One line of a "list" or "info" answer; false: it is not one. */
bool volume_parse(char *line, struct volume *v);
/* Adds the lines of an answer; *@last is the last id in it. */
int volumes_parse(char *text, struct volumes *vols, uint32_t *last);

/* By name, or by id; NULL without a sentence if there is none. */
struct volume *volume_find(const struct volumes *vols, const char *name);
struct volume *volume_by_serial(const struct volumes *vols, uint64_t serial);
uint32_t volumes_free_id(const struct volumes *vols);
/* The name, or the id of one that has none. */
const char *volume_label(const struct volume *v, char out[HPM_NAME_SIZE]);

/* Reads the pool's list and copies the volume that @name names. */
int volume_get(const struct pool *pool, const char *name, struct volume *v);
/* The device of an active volume, whatever it is called. */
int volume_find_device(const struct pool *pool, struct volume *v);
int volumes_find_devices(const struct pool *pool, struct volumes *vols);

/*
 * Messages.  An id that is NO_ID becomes the lowest that is free.  *@v is the
 * volume as it is then.
 */
int volume_create(const struct pool *pool, const char *name, uint32_t id,
		  uint64_t bytes, struct volume *v);
int volume_snapshot(const struct pool *pool, const struct volume *origin,
		    const char *name, uint32_t id, uint64_t bytes,
		    struct volume *v);
/* One that somebody else has deleted by now is no failure. */
int volume_delete(const struct pool *pool, struct volume *v);
int volume_set_read_only(const struct pool *pool, const struct volume *v,
			 bool on);

/* The name that the device gets: POOL-NAME, or POOL-ID. */
int volume_device_name(const struct pool *pool, const struct volume *v,
		       char out[DM_NAME_MAX]);
/*
 * Makes the device.  @bytes: its size, 0 for that of the volume; @hidden: for
 * our own use, udev rules leave it alone.  Fills v->device and v->num.
 */
int volume_activate(const struct pool *pool, struct volume *v, uint64_t bytes,
		    bool read_only, bool hidden);
/* Refuses if the name that the device would get is another device's. */
int volume_check_device_name(const struct pool *pool, const struct volume *v);
/* A volume whose device has gone by now, by a deferred removal, is no failure. */
int volume_deactivate(const struct pool *pool, struct volume *v, bool deferred);
/* Refuses one that is active and in use, before anything is done. */
int volume_check_unused(const struct volume *v);

/* Devices that were removed, should what follows fail. */
struct removed {
	struct dm_saved *dev;
	size_t nr;
};

/* As volume_deactivate(), and so that removed_restore() can undo it. */
int volume_deactivate_saved(const struct pool *pool, struct volume *v,
			    struct removed *removed);
void removed_restore(const struct removed *removed);
void removed_free(struct removed *removed);
/*
 * For a pool that is to go: refuses if a volume is active, or (@force)
 * deactivates them all; all or none.
 */
int volumes_deactivate_all(const struct pool *pool, bool force,
			   struct removed *removed);

json_t *volume_json(const struct pool *pool, const struct volumes *vols,
		    const struct volume *v);

#endif /* HPMCTL_VOLUME_H */
